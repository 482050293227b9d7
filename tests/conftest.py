"""What tests stand on: a real engine, real stacks, real databases.

An engine that cannot be had fails the suite. Only OPSCONSOLE_TESTS=offline skips the tests that need one.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import hypothesis
import pytest

from opsconsole.operations import launch
from tests import children, spreading
from tests import shared_stacks as shared
from tests.parts import engine as engines
from tests.parts import images, leftovers
from tests.parts.borrowed import borrowed_engine
from tests.parts.engine import Engine
from tests.parts.install import install, install_newer_engine
from tests.parts.machine import wait_until as wait_until
from tests.parts.servers import Server, start_mongod, start_redis
from tests.parts.stacks import Stack, copy_stack
from tests.shared_stacks import SharedStacks

# Started in the background of a script, Ctrl+C is ignored by us and by every program that we start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The console is started hundreds of times and must not be compiled anew each time, as it is not where it is installed.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# How long an example takes says something about the machine only.
hypothesis.settings.register_profile("patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("patient")

# A developer's own settings must not reach the stacks under test.
FOREIGN = ("COMPOSE_PROJECT_NAME", "COMPOSE_FILE", "COMPOSE_PROFILES", "COMPOSE_ENV_FILES", "DOCKER_CONTEXT")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Spread over several processes, tests that share something stay together."""
    if config.getoption("loadgroup", False):
        spreading.spread(items)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes may hold the time they were made at: every process must know a test by the same name."""
    return argname if isinstance(val, bytes) and not val.isascii() else None


class StackFactory(Protocol):
    """Makes stacks for one test."""

    def __call__(self, name: str, *, up: bool = True, seed: bool = True) -> Stack:
        """A copy of tests/stacks/<name>: started and filled, or (up=False) only copied."""
        ...


def offline() -> bool:
    """Whether the tests that need an engine are left out on purpose."""
    return os.environ.get("OPSCONSOLE_TESTS") == "offline"


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """The engine: one that is there already, or one of ours that is started now and stopped at the end."""
    if offline():
        pytest.skip("OPSCONSOLE_TESTS=offline")
    with pytest.MonkeyPatch.context() as patch:
        for variable in FOREIGN:
            patch.delenv(variable, raising=False)
        borrowed = contextlib.nullcontext(engines.find()) if spreading.engine_is_borrowed() else borrowed_engine()
        with borrowed as found:
            for variable, value in found.env.items():
                patch.setenv(variable, value)
            try:
                yield found
            finally:
                leftovers.remove(found, also=leftovers.run_name())


@pytest.fixture(scope="session")
def newer_engine() -> Iterator[Engine]:
    """A newer engine beside the first, in a network of its own: reach it by its socket, not by published ports."""
    if offline():
        pytest.skip("OPSCONSOLE_TESTS=offline")
    if os.geteuid() != 0 or not Path("/etc/debian_version").exists():
        pytest.skip("a second engine needs root on Debian")
    install()
    install_newer_engine()
    newer, started = engines.ensure_newer()
    leftovers.remove(newer)
    images.build_all(newer)
    try:
        yield newer
    finally:
        leftovers.remove(newer, also=leftovers.run_name())
        if started:
            engines.stop(newer)


@pytest.fixture
def stack_factory(engine: Engine, tmp_path: Path) -> Iterator[StackFactory]:
    """Stacks of a test's own, to break and change at will; gone when the test is over."""
    made: list[Stack] = []

    def make(name: str, *, up: bool = True, seed: bool = True) -> Stack:
        stack = copy_stack(name, engine, tmp_path)
        made.append(stack)
        if up:
            stack.up()
        if seed and (up or stack.host_mongod is not None):
            stack.seed()
        return stack

    yield make
    for stack in made:
        stack.down()


@pytest.fixture(scope="session")
def shared_stacks(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedStacks]:
    """The running stacks that tests of many files look at."""
    with shared.shared_stacks(engine, tmp_path_factory) as made:
        yield made


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """After the fixtures of the test itself."""
    shared.close_unused(item, nextitem)


def _shared(name: str) -> Callable[[SharedStacks], Stack]:
    """A fixture with a running stack: to look at, not to change."""

    @pytest.fixture(name=name.replace("-", "_"))
    def look_at(shared_stacks: SharedStacks) -> Stack:
        return shared_stacks.get(name)

    return look_at


thynk = _shared("thynk")
english_chat = _shared("english-chat")
mps = _shared("mps")
smokava = _shared("smokava")
smokava_rs = _shared("smokava-rs")
troubled = _shared("troubled")


@pytest.fixture
def host_mongod(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts real mongods on the host: host_mongod(auth=…, replset=…, port=…, options=…)."""
    made: list[Server] = []

    def start(
        *,
        auth: bool = False,
        replset: bool = False,
        directory: Path | None = None,
        port: int | None = None,
        options: tuple[str, ...] = (),
    ) -> Server:
        place = directory or tmp_path / f"mongod-{len(made)}"
        server = start_mongod(place, auth=auth, replset=replset, port=port, options=options)
        made.append(server)
        return server

    yield from _until_stopped(start, made)


@pytest.fixture
def host_redis(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts real redis-servers on the host: host_redis(password=…, appendonly=…, port=…, options=…)."""
    made: list[Server] = []

    def start(
        *,
        password: str = "",
        appendonly: bool = False,
        directory: Path | None = None,
        port: int | None = None,
        options: tuple[str, ...] = (),
    ) -> Server:
        place = directory or tmp_path / f"redis-{len(made)}"
        server = start_redis(place, password=password, appendonly=appendonly, port=port, options=options)
        made.append(server)
        return server

    yield from _until_stopped(start, made)


@pytest.fixture
def forked_operations(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a command starts runs in a forked process: the imports of a new one take longer than most operations. That
    the command really starts each of them is seen where the installed command is typed, and in test_restore_shapes."""
    monkeypatch.setattr(launch, "launch", children.launch)


@pytest.fixture
def as_in_a_process_of_its_own() -> Iterator[None]:
    """What other tests have left in memory is not the console's garbage to collect."""
    thresholds = gc.get_threshold()
    gc.collect()
    gc.freeze()
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()


@pytest.fixture(scope="session", autouse=True)
def _programs() -> None:
    """The servers that the host fixtures start are there, with or without an engine."""
    if not offline() and spreading.BORROWED not in os.environ:
        install()


def _until_stopped(start: Callable[..., Server], made: list[Server]) -> Iterator[Callable[..., Server]]:
    yield start
    for server in made:
        server.stop(kill=True)
