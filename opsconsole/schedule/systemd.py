"""Units of systemd, a service and a timer or a service that goes on: of the system for root, of the user otherwise."""

from __future__ import annotations

import getpass
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from opsconsole.durable import replace_private, sync_directory
from opsconsole.model import SourceError
from opsconsole.schedule.job import MINUTES, Job, Work, key_of
from opsconsole.text import printable

SYSTEM = Path("/etc/systemd/system")
_LINGER = Path("/var/lib/systemd/linger")
_SECONDS = 60

Run = Callable[[tuple[str, ...]], None]
"""Run a command. Raises SourceError when it fails."""


def is_running() -> bool:
    """Whether systemd runs this host: what sd_booted(3) asks."""
    return Path("/run/systemd/system").is_dir()


def directory(*, root: bool | None = None) -> Path:
    """Where the units of this user lie."""
    if os.geteuid() == 0 if root is None else root:
        return SYSTEM
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "systemd" / "user"


def units(job: Job) -> dict[str, str]:
    """Name -> text of the units."""
    environment = "\n".join(f"Environment={_quoted(f'{name}={value}')}" for name, value in job.environment)
    # A dollar sign begins a variable, though not in the name of the program.
    program, *rest = job.words
    command = " ".join((_quoted(program), *(_quoted(word).replace("$", "$$") for word in rest)))
    if job.work is Work.COLLECT:
        return {names(job.stack, job.work)[0]: _collector(job, command, environment)}
    service = f"""\
{job.made_for}
[Unit]
Description=Backups of the stack {_plain(job.stack)}, when they are due (opsconsole)

[Service]
Type=oneshot
ExecStart={command}
{environment}
TimeoutStartSec=infinity
Nice=10
"""
    timer = f"""\
{job.made_for}
[Unit]
Description=Looks every {MINUTES} minutes whether a backup of the stack {_plain(job.stack)} is due (opsconsole)

[Timer]
OnCalendar=*:{job.minute:02}/{MINUTES}
Persistent=true

[Install]
WantedBy=timers.target
"""
    service_name, timer_name = names(job.stack)
    return {service_name: service, timer_name: timer}


def _collector(job: Job, command: str, environment: str) -> str:
    return f"""\
{job.made_for}
[Unit]
Description=Keeps metrics of the stack {_plain(job.stack)} (opsconsole)
After=docker.service

[Service]
ExecStart={command}
{environment}
Restart=always
RestartSec=10
Nice=5

[Install]
WantedBy={"multi-user.target" if directory() == SYSTEM else "default.target"}
"""


def names(stack: str, work: Work = Work.SCHEDULE) -> tuple[str, ...]:
    """Of the units; the last one is what is started. Raises SourceError for a name that no unit can have."""
    if not stack or not all(one.isascii() and (one.isalnum() or one in "_-.:") for one in stack):
        raise SourceError(f"no unit can be called after the stack {printable(stack)!r}", "Set [stack] name.")
    if work is Work.COLLECT:
        return (f"opsconsole-{key_of(stack, work)}.service",)
    return f"opsconsole-{stack}.service", f"opsconsole-{stack}.timer"


def found_units(stack: str, place: Path, work: Work = Work.SCHEDULE) -> dict[str, str]:
    """Name -> text of those that are there. Raises SourceError when they cannot be read."""
    found = {}
    for name in names(stack, work):
        try:
            found[name] = (place / name).read_text(errors="replace")
        except FileNotFoundError:
            continue
        except OSError as error:
            raise SourceError(f"{place / name} cannot be read: {error.strerror}") from None
    return found


def commands(stack: str, *, root: bool | None = None, work: Work = Work.SCHEDULE) -> tuple[tuple[str, ...], ...]:
    """What is run after the units were written."""
    start, unit = _systemctl(root), names(stack, work)[-1]
    if work is Work.COLLECT:  # one that runs already has to begin anew with what was written
        return ((*start, "daemon-reload"), (*start, "enable", unit), (*start, "restart", unit))
    return ((*start, "daemon-reload"), (*start, "enable", "--now", unit))


def removal(stack: str, *, root: bool | None = None, work: Work = Work.SCHEDULE) -> tuple[tuple[str, ...], ...]:
    """What is run before and after the units are removed."""
    start = _systemctl(root)
    return ((*start, "disable", "--now", names(stack, work)[-1]), (*start, "daemon-reload"))


def install(job: Job, place: Path, run: Run | None = None) -> None:
    """Write the units and start the timer. Raises SourceError; what was there before is there again then."""
    run = run or run_command
    before = found_units(job.stack, place, job.work)
    try:
        place.mkdir(parents=True, exist_ok=True)
        _write(place, units(job))
        for command in commands(job.stack, work=job.work):
            run(command)
    except (OSError, SourceError) as error:
        _remove(place, names(job.stack, job.work))
        _write(place, before)
        if isinstance(error, SourceError):
            raise SourceError(f"the timer was not installed: {error.problem}", error.hint) from None
        raise SourceError(f"the units cannot be written to {place}: {error.strerror}") from None


def remove(stack: str, place: Path, run: Run | None = None, *, work: Work = Work.SCHEDULE) -> None:
    """Stop what runs and remove the units. Raises SourceError; then the units are there still."""
    run = run or run_command
    disable, reload = removal(stack, work=work)
    run(disable)
    try:
        _remove(place, names(stack, work))
    except OSError as error:
        raise SourceError(f"the units in {place} cannot be removed: {error.strerror}") from None
    run(reload)


def lingers(user: str = "") -> bool:
    """Whether the user's timers run while nobody is logged in."""
    return (_LINGER / (user or getpass.getuser())).exists()


def run_command(command: tuple[str, ...]) -> None:
    """Raises SourceError with what it said."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise SourceError(f"{' '.join(command)}: {error}") from None
    if done.returncode != 0:
        said = printable((done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1])
        hint = "Log in as this user itself, not with su." if "bus" in said and "--user" in command else ""
        raise SourceError(f"{' '.join(command)}: {said}", hint)


def _systemctl(root: bool | None) -> tuple[str, ...]:
    as_root = os.geteuid() == 0 if root is None else root
    return ("systemctl",) if as_root else ("systemctl", "--user")


def _write(place: Path, texts: dict[str, str]) -> None:
    for name, text in texts.items():
        replace_private(place / name, text.encode())
        (place / name).chmod(0o644)  # systemd shows them to everybody anyway, and complains of less


def _remove(place: Path, found: tuple[str, ...]) -> None:
    for name in found:
        (place / name).unlink(missing_ok=True)
    if place.is_dir():
        sync_directory(place)


def _plain(text: str) -> str:
    return text.replace("%", "%%")


def _quoted(text: str) -> str:
    """One word of a unit, whatever is in it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%") + '"'
