"""Emergency stop: everything of the stack stopped in parallel within 10 s, evidence saved first as far as time allows.

Needs no Compose, no git and no lock. Containers stay as they are for inspection; nothing is removed.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from opsconsole.config import Config
from opsconsole.model import Container, SourceError, to_json
from opsconsole.operations.facts import Look, observe
from opsconsole.operations.journal import open_private
from opsconsole.operations.plan import Act, Downtime, Kind, Plan, Step
from opsconsole.operations.stack_plans import RUNNING, NothingToDo, data_effects
from opsconsole.text import mask_text, mask_value

TOTAL_SECONDS = 10.0
EVIDENCE_SECONDS = 2.0
GRACE_SECONDS = 5
"""What a program gets to end by itself before it is killed."""

LOG_LINES = 2000
_SETTLE_SECONDS = 0.7


def plan(look: Look) -> Plan:
    """Raises NothingToDo when nothing runs."""
    containers = look.containers
    running = [one for one in containers if one.state in RUNNING]
    if not running:
        raise NothingToDo("nothing of this stack runs: there is nothing to stop", "See `opsconsole status`.")
    names = tuple(one.name for one in running)
    databases = ", ".join(dict.fromkeys(one.service for one in running if _is_database(one)))
    return Plan(
        kind=Kind.EMERGENCY_STOP,
        stack=look.name,
        directory=look.directory,
        bound=False,
        facts=look.facts,
        steps=(
            Step(
                id="evidence",
                title=f"Save the evidence, {EVIDENCE_SECONDS:.0f} s at most",
                act=Act.EVIDENCE,
                services=tuple(one.name for one in containers),
                effect="Logs, inspect and one Snapshot, beside the journal.",
                seconds=EVIDENCE_SECONDS,
            ),
            Step(
                id="stop-all",
                title=f"Stop everything that runs by then, at once ({len(names)} now)",
                act=Act.STOP_ALL,
                commands=(("docker", "stop", "-t", str(GRACE_SECONDS), *names),),
                services=names,
                cuttable=False,
                effect="The containers stay for inspection. An operation that runs is asked to end.",
                seconds=TOTAL_SECONDS - EVIDENCE_SECONDS,
            ),
        ),
        data=data_effects(running, look.volumes, ()),
        downtime=tuple(
            Downtime(service=service, until_started=True) for service in dict.fromkeys(one.service for one in running)
        ),
        running_before=names,
        services=tuple(dict.fromkeys(one.service for one in containers)),
        notes=(
            (f"{databases}: killed when it needs more than {GRACE_SECONDS} s; its own log repairs it when it starts",)
            if databases
            else ()
        ),
    )


def save_evidence(
    place: Path,
    directory: Path,
    config: Config,
    names: Sequence[str],
    secrets: tuple[str, ...],
    project: str,
    seconds: float = EVIDENCE_SECONDS,
) -> str:
    """Save what can be saved until the time is over; one line that says what there is. Never raises."""
    target = place / "evidence"
    deadline = time.monotonic() + seconds
    saved: list[str] = []
    lock = threading.Lock()

    def attempt(name: str, make: Callable[[float], str]) -> None:
        try:
            text = make(max(0.1, deadline - time.monotonic()))
            with lock:
                if time.monotonic() > deadline + 0.3:
                    return  # the summary is written: nothing may come after it
                _write(target / name, text)
                saved.append(name)
        except (OSError, subprocess.SubprocessError, SourceError, ValueError):
            return  # what cannot be had in time is left out, and the summary says so

    wanted: dict[str, Callable[[float], str]] = {
        "inspect.json": lambda left: _inspected(names, left, secrets),
        "snapshot.json": lambda left: _snapshot(directory, config, project, left, secrets),
        **{f"{name}.log": (lambda left, name=name: _logs(name, left, secrets)) for name in names},  # type: ignore[misc]
    }
    target.mkdir(mode=0o700, exist_ok=True)
    threads = [threading.Thread(target=attempt, args=pair, daemon=True) for pair in wanted.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    with lock:
        missing = sorted(wanted.keys() - set(saved))
        return f"{len(saved)} files in {target}" + (f"; no time for {', '.join(missing)}" if missing else "")


def stop_all(
    directory: Path,
    config: Config,
    project: str,
    run: Callable[[tuple[str, ...], float], Any],
    *,
    others: Callable[[], bool] = lambda: False,
) -> str:
    """Stop what runs, look again, stop what came up. Returns the problem, "" when nothing runs any more.

    While `others` says that another operation of the stack still works, what is stopped may be started again.
    """
    deadline = time.monotonic() + TOTAL_SECONDS - EVIDENCE_SECONDS
    grace, quiet = GRACE_SECONDS, 0 if others() else 1
    while True:
        running = [one for one in observe(directory, config, project=project)[0] if one.state in RUNNING]
        left = deadline - time.monotonic()
        quiet = 0 if running or others() else quiet + 1
        if not running and (quiet >= 2 or left <= 0):
            return ""
        if left <= 0:
            return f"still running: {', '.join(one.name for one in running)}"
        if not running:
            time.sleep(_SETTLE_SECONDS)  # the engine ends a restart that it has begun, whoever asked for it is gone
            continue
        names = tuple(one.name for one in running)
        run(("docker", "stop", "-t", str(grace), *names), max(left, 2.0))
        grace = 0  # what came up in between has had no time to begin anything


def stop_unrecorded(directory: Path, config: Config, project: str) -> str:
    """The stop alone, for a disk that is full or a journal that cannot be written. Returns the problem or ""."""

    def run(command: tuple[str, ...], seconds: float) -> None:
        with contextlib.suppress(OSError, subprocess.SubprocessError):  # the next look says what still runs
            _output(command, seconds)

    return stop_all(directory, config, project, run)


def _is_database(container: Container) -> bool:
    from opsconsole.roles import role_of

    return bool(role_of(container.image, container.command))


def _inspected(names: Sequence[str], seconds: float, secrets: tuple[str, ...]) -> str:
    raw = json.loads(_output(("docker", "inspect", *names), seconds))
    for one in raw:
        config = one.get("Config") or {}
        pairs = (entry.partition("=") for entry in config.get("Env") or [])
        config["Env"] = [f"{name}={mask_value(name, value)}" for name, _, value in pairs]
    return json.dumps(masked(raw, secrets), indent=1)


def _logs(name: str, seconds: float, secrets: tuple[str, ...]) -> str:
    text = _output(("docker", "logs", "--timestamps", "--tail", str(LOG_LINES), name), seconds)
    return "\n".join(mask_text(line, secrets) for line in text.splitlines()) + "\n"


def masked(value: Any, secrets: tuple[str, ...], name: str = "") -> Any:
    """What JSON says, text by text: masking the finished JSON would take its quotes too."""
    if isinstance(value, str):
        return mask_text(mask_value(name, value), secrets)
    if isinstance(value, list):
        return [masked(item, secrets) for item in value]
    if isinstance(value, dict):
        return {key: masked(item, secrets, key) for key, item in value.items()}
    return value


def _output(command: tuple[str, ...], seconds: float) -> str:
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=seconds,
        check=False,
    )
    return done.stdout.decode(errors="replace")


def _snapshot(directory: Path, config: Config, project: str, seconds: float, secrets: tuple[str, ...]) -> str:
    from opsconsole.monitor import Monitor
    from opsconsole.real_sources import real_sources

    sources = real_sources(directory, config, project=project, read_only=True)
    monitor = Monitor(sources, directory=str(directory), project=project)
    monitor.start()
    try:
        snapshot = monitor.wait_until_settled(max(0.1, seconds - 0.3), sizes_seconds=0.0)
    finally:
        threading.Thread(target=monitor.stop, daemon=True).start()  # its threads may wait longer than we do
    return json.dumps(masked(json.loads(to_json(msgspec.structs.replace(snapshot, history={}))), secrets), indent=1)


def _write(path: Path, text: str) -> None:
    fd = open_private(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    with os.fdopen(fd, "w", encoding="utf-8", errors="replace") as file:
        file.write(text)
