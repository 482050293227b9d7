"""Checks everything the console needs on this host and says how to mend what is missing."""

from __future__ import annotations

import locale
import os
import shutil
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from opsconsole.config import FILE_NAME, Config, ConfigError, load_from
from opsconsole.model import Container, DatabaseStatus, SourceError, Stack
from opsconsole.text import mask_text, printable

if TYPE_CHECKING:
    from opsconsole.stack.discover import StackDiscovery

T = TypeVar("T")

OK, WARNING, FAILED = "ok", "warning", "failed"

MIN_FREE_PERCENT = 10.0
MIN_FREE_BYTES = 1 << 30
SMALLEST_SCREEN = (60, 20)
PATIENCE_SECONDS = 10.0  # for the engine and for the databases, each


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at. `state` is "ok", "warning" or "failed"; `mend` is what to do about it."""

    name: str
    state: str = OK
    found: str = ""
    mend: str = ""

    @property
    def failed(self) -> bool:
        """Without this the console cannot do its work."""
        return self.state == FAILED


def examine(directory: Path | str) -> tuple[Check, ...]:
    """Look at everything once. Reads only; takes a few seconds, longer by a timeout for each thing that hangs."""
    here = Path(directory).absolute()
    checks = [*terminal_checks(), _guarded("Python", _python)]
    checks += [_guarded("git", _git), _guarded("docker command", _docker_command)]
    engine, containers = _engine(here)
    checks += engine
    checks.append(_guarded("Compose", _compose))
    config_check, config = _settings(here)
    checks.append(config_check)
    checks += _stack(here, config, containers)
    checks += [_guarded("clock", _clock), _guarded("logout", logout_check)]
    return tuple(checks)


def report(checks: Sequence[Check]) -> str:
    """The checks as a table for any terminal: the state is a word, nothing depends on colour."""
    width = max((len(check.name) for check in checks), default=0)
    lines = []
    for check in checks:
        start = f"{check.state:<8} {check.name:<{width}}  "
        indent = " " * len(start)
        lines += _wrapped(start, check.found, indent)
        if check.mend:
            lines += _wrapped(indent + "-> ", check.mend, indent + "   ")
    failed = sum(check.state == FAILED for check in checks)
    warned = sum(check.state == WARNING for check in checks)
    if failed or warned:
        counts = [f"{failed} failed"] * bool(failed) + [f"{_count(warned, 'warning')}"] * bool(warned)
        lines += ["", ", ".join(counts) + f" of {len(checks)} checks"]
    else:
        lines += ["", f"all {len(checks)} checks passed"]
    return "\n".join(lines) + "\n"


def _wrapped(start: str, text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        start + printable(text), 110, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    ) or [start]


# --- this program and its terminal -----------------------------------------------------------------


def terminal_checks() -> list[Check]:
    """Encoding, size and colours of the terminal that this runs in."""
    encoding = locale.getencoding()
    checks = []
    if encoding.lower().replace("-", "") == "utf8" or sys.flags.utf8_mode:
        checks.append(Check(name="locale", found="UTF-8"))
    else:
        mend = "export LANG=C.UTF-8 (and log in again), or start with --ascii"
        checks.append(Check(name="locale", state=WARNING, found=f"{encoding}, not UTF-8", mend=mend))
    if not sys.stdout.isatty():
        checks.append(Check(name="terminal", found="none: the output goes into a pipe or a file"))
        return checks
    size = shutil.get_terminal_size()
    said = f"{os.environ.get('TERM', 'unknown')}, {size.columns}x{size.lines}, {_colours()}"
    if size.columns < SMALLEST_SCREEN[0] or size.lines < SMALLEST_SCREEN[1]:
        mend = f"make the window at least {SMALLEST_SCREEN[0]}x{SMALLEST_SCREEN[1]}; 80x24 shows all panes well"
        checks.append(Check(name="terminal", state=WARNING, found=said, mend=mend))
    elif os.environ.get("TERM", "dumb") in ("dumb", ""):
        mend = "export TERM=xterm-256color"
        checks.append(Check(name="terminal", state=FAILED, found=said, mend=mend))
    else:
        checks.append(Check(name="terminal", found=said))
    return checks


def _colours() -> str:
    if "NO_COLOR" in os.environ:
        return "no colours (NO_COLOR is set)"
    if os.environ.get("COLORTERM", "").lower() in ("truecolor", "24bit"):
        return "16 million colours"
    return "256 colours" if "256" in os.environ.get("TERM", "") else "16 colours"


def _python() -> Check:
    return Check(name="Python", found=".".join(map(str, sys.version_info[:3])))


def _git() -> Check:
    program = shutil.which("git")
    if program is None:
        mend = "apt-get install git; without it nothing tells whether the working tree has changes"
        return Check(name="git", state=WARNING, found="not installed", mend=mend)
    return Check(name="git", found=_first_line((program, "--version")))


def _clock() -> Check:
    now = datetime.now().astimezone()
    found = f"{now:%Y-%m-%d %H:%M:%S %Z} (UTC{now:%z})"
    if now.astimezone(UTC).year < 2024:
        return Check(name="clock", state=FAILED, found=found, mend="set the clock: timedatectl set-ntp true")
    if not shutil.which("timedatectl"):
        return Check(name="clock", found=found)
    synchronised = _first_line(("timedatectl", "show", "--property=NTPSynchronized", "--value"))
    if synchronised == "no":
        mend = "timedatectl set-ntp true; ages of backups and log times rely on the clock"
        return Check(name="clock", state=WARNING, found=f"{found}, not synchronised", mend=mend)
    return Check(name="clock", found=found)


def logout_check(kept: tuple[str, ...] | None = None, lingers: bool | None = None) -> Check:
    """Whether an operation goes on when the last session ends. `kept` are the words that take it out of the session."""
    from opsconsole.operations import launch
    from opsconsole.schedule import systemd

    # A scope of the user is ended with the user's manager, unless that lingers.
    words = launch.scope("doctor") if kept is None else kept
    if "--user" in words and not (systemd.lingers() if lingers is None else lingers):
        found = "ends everything of yours (KillUserProcesses of logind), an operation that runs, too"
        return Check(name="logout", state=WARNING, found=found, mend="loginctl enable-linger")
    return Check(name="logout", found="an operation that runs goes on")


# --- Docker ----------------------------------------------------------------------------------------


def _docker_command() -> Check:
    program = shutil.which("docker")
    if program is None:
        mend = "install Docker's command line (docker-ce-cli, or docker.io); a shell in a container needs it"
        return Check(name="docker command", state=WARNING, found="not installed", mend=mend)
    return Check(name="docker command", found=_first_line((program, "--version")))


def _engine(directory: Path) -> tuple[list[Check], tuple[Container, ...]]:
    """Whether an engine answers, and the containers that were started from this directory."""
    from opsconsole.sources.engine import DockerEngine

    engine = DockerEngine()
    try:
        found = _within(PATIENCE_SECONDS, engine.describe)
        containers = _within(PATIENCE_SECONDS, lambda: engine.containers(directory=str(directory)))
    except SourceError as error:
        return [Check(name="engine", state=FAILED, found=error.problem, mend=error.hint)], ()
    finally:
        engine.close()
    said = f"Docker {found.version}, API {found.api_version}, {found.endpoint}"
    return [Check(name="engine", found=said)], containers


def _compose() -> Check:
    from opsconsole.stack import compose

    found = compose.find()
    if found is None:
        found_less = "not installed: the compose file is read without it, and drift is not known"
        return Check(name="Compose", state=WARNING, found=found_less, mend=compose.NO_COMPOSE_HINT)
    if found.major < 2:
        mend = (
            "works, but is no longer maintained; install Compose v2: apt-get install docker-compose-plugin "
            "(containers are recreated once at the first `up` with it)"
        )
        return Check(name="Compose", state=WARNING, found=str(found), mend=mend)
    return Check(name="Compose", found=str(found))


# --- the stack -------------------------------------------------------------------------------------


def _settings(directory: Path) -> tuple[Check, Config]:
    try:
        config = load_from(directory)
    except ConfigError as error:
        mend = error.hint or "correct that line, or write a new file: opsconsole init --force"
        return Check(name="settings", state=FAILED, found=error.problem, mend=mend), Config()
    found = config.path or f"no {FILE_NAME}, none is needed"
    return Check(name="settings", found=found), config


def _stack(directory: Path, config: Config, containers: tuple[Container, ...]) -> list[Check]:
    from opsconsole.stack.discover import StackDiscovery
    from opsconsole.stack.reading import NO_COMPOSE

    if not os.access(directory, os.R_OK | os.X_OK) and os.path.lexists(directory):
        mend = "start opsconsole as its owner or with sudo"
        return [Check(name="stack", state=FAILED, found=f"{directory} is closed to this user", mend=mend)]
    discovery = StackDiscovery(directory, config)
    try:
        stack = discovery.look(containers)
    except SourceError as error:
        return [Check(name="stack", state=FAILED, found=error.problem, mend=error.hint)]
    files = ", ".join(Path(file).name for file in stack.compose_files)
    services = _count(len(stack.services), "service")
    running = sum(one.state == "running" for one in containers)
    said = f"{stack.name}: {files or 'no compose file'}, {services}, {_count(running, 'container')} running"
    checks = [Check(name="stack", found=said)]
    checks += [
        Check(name="stack", state=WARNING, found=problem, mend="correct it; the rest of the console works")
        for problem in stack.problems
        if not problem.startswith(NO_COMPOSE)  # said by the check for Compose
    ]
    checks.append(_env_file(stack))
    checks += _databases(discovery, stack, containers)
    checks += [_guarded("backups", lambda: _backups(stack)), _guarded("disk space", lambda: _disk(stack))]
    return checks


def _env_file(stack: Stack) -> Check:
    if not stack.env_file:
        return Check(name="env file", found="none")
    path = Path(stack.env_file)
    try:
        others_read = path.stat().st_mode & 0o004
    except OSError as error:
        return Check(
            name="env file", state=FAILED, found=f"{path}: {error.strerror}", mend="create it or correct its name"
        )
    if not os.access(path, os.R_OK):
        mend = "start opsconsole as its owner or with sudo"
        return Check(name="env file", state=WARNING, found=f"{path.name} cannot be read by this user", mend=mend)
    if others_read:
        mend = f"chmod o-r {path.name}: it holds passwords"
        return Check(name="env file", state=WARNING, found=f"{path.name} can be read by every user", mend=mend)
    return Check(name="env file", found=path.name)


def _databases(discovery: StackDiscovery, stack: Stack, containers: tuple[Container, ...]) -> list[Check]:
    from opsconsole.sources.databases import Databases

    if not stack.databases:
        return [Check(name="databases", found="no MongoDB and no Redis in this stack")]
    source = Databases(discovery.connections)
    try:
        statuses = _within(PATIENCE_SECONDS, lambda: source.look(stack, containers, collections=False))
    except SourceError as error:
        return [Check(name="databases", state=FAILED, found=error.problem, mend=error.hint)]
    finally:
        source.close()
    return [_database(status) for status in statuses]


def _database(status: DatabaseStatus) -> Check:
    target = status.target
    name = "MongoDB" if target.kind == "mongodb" else "Redis"
    if not status.reachable:
        return Check(name=name, state=FAILED, found=f"{target.name}: {status.problem}", mend=status.hint)
    found = f"{target.name}: version {status.version}"
    if status.problem:
        return Check(name=name, state=WARNING, found=f"{found}, {status.problem}", mend=status.hint)
    return Check(name=name, found=f"{found}, {target.address}")


def _backups(stack: Stack) -> Check:
    path = Path(stack.backup_directory)
    if not os.path.isdir(path):
        mend = "it is made by the first backup; name another one as backups.directory in opsconsole.toml"
        return Check(name="backups", state=WARNING, found=f"{path} does not exist", mend=mend)
    if not os.access(path, os.R_OK | os.X_OK):
        return Check(name="backups", state=FAILED, found=f"{path} cannot be read", mend=f"sudo chmod g+rx {path}")
    if not os.access(path, os.W_OK):
        mend = "backups are shown; to make some, start opsconsole as their owner"
        return Check(name="backups", state=WARNING, found=f"{path} cannot be written to", mend=mend)
    return Check(name="backups", found=str(path))


def _disk(stack: Stack) -> Check:
    """The fuller one of the disks that hold the stack and its backups."""
    rows = []
    for path in (stack.directory, stack.backup_directory):
        place = next(one for one in (Path(path), *Path(path).parents) if os.path.exists(one))
        usage = shutil.disk_usage(place)
        rows.append((100 * usage.free / usage.total if usage.total else 100.0, usage.free, str(place)))
    percent, free, place_name = min(rows)
    found = f"{free / 1e9:.1f} GB free ({percent:.0f} %) at {place_name}"
    if percent < MIN_FREE_PERCENT or free < MIN_FREE_BYTES:
        mend = "make room before the next backup: docker system df, du -sh backups/*"
        return Check(name="disk space", state=WARNING, found=found, mend=mend)
    return Check(name="disk space", found=found)


# --- asking ----------------------------------------------------------------------------------------


def _guarded(name: str, look: Callable[[], Check]) -> Check:
    """A check that breaks is a failed check: the others are worth reading."""
    try:
        return look()
    except Exception as error:
        said = f"could not be checked: {type(error).__name__}: {mask_text(printable(str(error)))}"
        return Check(name=name, state=WARNING, found=said)


def _within(seconds: float, question: Callable[[], T]) -> T:
    """The answer, or SourceError after so many seconds: a hung engine must not hang the doctor."""
    answers: list[T] = []
    failures: list[SourceError] = []

    def ask() -> None:
        try:
            answers.append(question())
        except SourceError as error:
            failures.append(error)
        except Exception as error:
            said = mask_text(printable(str(error)))
            failures.append(SourceError(f"unexpected {type(error).__name__}: {said}", "please report this"))

    asker = threading.Thread(target=ask, name="doctor", daemon=True)
    asker.start()
    asker.join(seconds)
    if answers:
        return answers[0]
    if failures:
        raise failures[0]
    raise SourceError(f"no answer within {seconds:.0f} s", "it hangs or is overloaded: see its log")


def _first_line(words: Sequence[str]) -> str:
    answer = subprocess.run(
        list(words), stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=5, check=False
    )
    return next(iter(answer.stdout.splitlines()), "") or f"{Path(words[0]).name} gave no answer"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
