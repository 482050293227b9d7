"""A backup is copied away from this host, whole, and the copy is read again (`[copy]` in opsconsole.toml).

The manifest goes last, after everything else was compared: a directory without it counts as unfinished, so neither an
interrupted copy nor a wrong one looks like a backup. Nothing else at the target is touched, and nothing there is ever
removed for being old.

Whoever runs the commands is given: they write into the output of the operation, under its time limit. No password
stands on any of them; rclone has its own configuration, ssh its keys.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol

from opsconsole.backups import manifest
from opsconsole.backups.faults import Level
from opsconsole.backups.marks import Copy
from opsconsole.backups.verifying import verify
from opsconsole.config.sections import CopySection
from opsconsole.model import SourceError
from opsconsole.programs import problem_of
from opsconsole.text import is_secret_name, mask_text, printable

_HOUR = 3600.0
_SSH = "ssh -oBatchMode=yes -oConnectTimeout=20"  # a question would wait for an answer that nobody gives
_REMOTE = re.compile(r"^(?:rsync://|[^/]*:)")
_OF_THE_COMMAND = "$ "  # so begins the line of the operation's output that says what is run
_NO_HASHES = "hashes could not be checked"
_CAUSE = re.compile(r"^(?:ssh|rsync): |\b(?:ERROR|CRITICAL)\b|Permission denied")
_DIFFERENCE = re.compile(r"^(?:[<>ch.][fdLDS][^ ]* |\*deleting )")  # of rsync --itemize-changes
_OPTION = re.compile(r"[,:]\s*(?P<name>\w+)\s*=\s*(?P<value>[^,:]+)")


class Ran(Protocol):
    """How a command ended: `operations.commands.Ran` is one."""

    @property
    def exit_code(self) -> int: ...

    @property
    def last_lines(self) -> tuple[str, ...]: ...

    @property
    def problem(self) -> str: ...


class RunCommand(Protocol):
    """Runs a command to its end, so many seconds at most, and never raises for one that fails."""

    def __call__(
        self, command: tuple[str, ...], seconds: float, *, environment: Mapping[str, str] | None = None
    ) -> Ran: ...


class CopyFailed(SourceError):
    """There is no copy, or one that is not the same. The backup itself is as good as before."""


class CopyInDoubt(CopyFailed):
    """Something was run for it: what lies over there may be half a copy by now."""


def place_of(section: CopySection) -> str:
    """Where backups are copied to, as it may be shown; "" when they are not. Raises CopyFailed for what spells out a
    password."""
    target = section.rclone or section.rsync
    if _spells_out_a_secret(target):
        raise CopyFailed(
            "[copy] spells out a password", "Put it into rclone's own configuration (rclone config), or use an SSH key."
        )
    return target or (f"command {section.command[0]}" if section.command else "")


def chosen_place(section: CopySection) -> str:
    """`rsync nas:/backups`, "" when nothing is copied; without the place where that spells out a password."""
    way = " ".join(section.chosen)
    try:
        place = place_of(section)
    except CopyFailed:
        return way
    return place if section.command else f"{way} {place}".strip()


def commands(backup: Path, section: CopySection) -> tuple[tuple[str, ...], ...]:
    """What is run for a copy, in this order, as a plan shows it. Raises CopyFailed."""
    place_of(section)
    if section.rclone:
        return tuple(_rclone(backup, section.rclone).values())
    if section.rsync:
        return tuple(_rsync(backup, section.rsync).values())
    return tuple(words for words in (section.command, section.verify_command) if words)


def problem_before(section: CopySection, directory: Path) -> tuple[str, str] | None:
    """(what is wrong, what to do) with what a copy needs on this host, None when it can be tried. `directory`: of the
    stack. Raises CopyFailed for what spells out a password."""
    place_of(section)
    programs = (["rclone"] if section.rclone else []) + (["rsync"] if section.rsync else [])
    programs += [words[0] for words in (section.command, section.verify_command) if words]
    return next((wrong for one in programs if (wrong := problem_of(one, directory, "copy"))), None)


def copy(
    backup: Path,
    section: CopySection,
    run_command: RunCommand,
    now: Callable[[], datetime],
    directory: Path,
    told: Callable[[str], None] = lambda what: None,
) -> Copy:
    """Copy one backup directory and compare. Raises CopyFailed, with the program's own words.

    `directory`: of the stack, where the commands run. A command without `verify_command` gives a copy that is not
    verified.
    """
    place = place_of(section)
    if wrong := problem_before(section, directory):
        raise CopyFailed(f"{backup.name} was not copied: {wrong[0]}", wrong[1])
    run = _Commands(run_command, section.timeout_hours * _HOUR, backup, told)
    verified = True
    if section.rclone:
        _with_rclone(run, backup, section.rclone)
    elif section.rsync:
        _with_rsync(run, backup, section.rsync, directory)
    elif section.command:
        verified = _with_command(run, section)
    else:
        raise CopyFailed("there is no place to copy to", "Set [copy] in opsconsole.toml.")
    return Copy(place=place, at=now(), verified=verified)


def words(copied: Copy) -> str:
    """`copied to far:/backups and verified`."""
    return f"copied to {copied.place} and {'verified' if copied.verified else 'not verified'}"


class _Commands:
    """The commands of one copy, one after the other."""

    def __init__(self, run: RunCommand, seconds: float, backup: Path, told: Callable[[str], None]) -> None:
        self._run = run
        self._seconds = seconds
        self._backup = backup
        self._told = told

    def __call__(self, what: str, words: tuple[str, ...]) -> tuple[str, ...]:
        """What it said. Raises CopyFailed when it fails; `what` completes "could not be ..."."""
        ran = self.tried(what, words)
        if ran.exit_code or ran.problem:
            raise CopyInDoubt(f"{self._backup.name} could not be {what}: {why(words, ran)}")
        return said(ran)

    def tried(self, what: str, words: tuple[str, ...]) -> Ran:
        self._told(f"being {what}")
        environment = {
            "OPSCONSOLE_BACKUP_ID": self._backup.name,
            "OPSCONSOLE_BACKUP_PATH": str(self._backup),
            "RCLONE_ASK_PASSWORD": "false",  # of its configuration: nobody is there to type it
            "RSYNC_RSH": os.environ.get("RSYNC_RSH") or _SSH,
            "LC_ALL": "C.UTF-8",  # what rclone and rsync say is compared
        }
        return self._run(words, self._seconds, environment=environment)

    def differs(self, where: str, words: Sequence[str]) -> CopyFailed:
        first = printable(mask_text(words[0])) if words else "it was changed on the way"
        return CopyInDoubt(
            f"the copy of {self._backup.name} at {where} is not the same: {first}",
            "It has no sound manifest there and counts as no backup. Look at that disk, remove it, copy again.",
        )


def why(words: tuple[str, ...], ran: Ran) -> str:
    """Why a command failed, in its own words where it has some."""
    lines = said(ran)
    # The last line of rsync and of rclone only counts what the lines before it tell.
    told = next((line for line in lines if _CAUSE.search(line)), lines[-1] if lines else "")
    reason = ran.problem or (f"exit code {ran.exit_code}" + (f": {told}" if told else ""))
    return printable(mask_text(f"{words[0]}: {reason}"))


def said(ran: Ran) -> tuple[str, ...]:
    """The last lines of its output, without the command itself."""
    return tuple(line for line in ran.last_lines if line.strip() and not line.startswith(_OF_THE_COMMAND))


# --- rsync -----------------------------------------------------------------------------------------


def _rsync(backup: Path, target: str) -> dict[str, tuple[str, ...]]:
    source, made = f"{backup}/", f"{target.rstrip('/')}/{backup.name}/"
    data = ("rsync", "--checksum", "--recursive", "--exclude=/manifest.json")
    last = f"{backup}/{manifest.NAME}"
    kept = ("--perms", "--times", "--chmod=D0700,F0600")
    # A manifest of an earlier copy goes before anything else is changed.
    clears = ("--delete-before", "--delete-excluded")
    compares = ("--dry-run", "--itemize-changes", "--delete")
    return {
        "data": (*data, *kept, *clears, "--", source, made),
        "data alike": (*data, *compares, "--", source, made),
        "manifest": ("rsync", "--checksum", *kept, "--", last, made),
        "manifest alike": ("rsync", "--checksum", "--dry-run", "--itemize-changes", "--", last, made),
    }


def _with_rsync(run: _Commands, backup: Path, target: str, directory: Path) -> None:
    words = _rsync(backup, target)
    run("copied", words["data"])
    _no_difference(run, words["data alike"], target)
    run("finished at the target", words["manifest"])
    _no_difference(run, words["manifest alike"], target)
    if not _REMOTE.match(target):
        _look_at(directory / target / backup.name, run, target)


def _no_difference(run: _Commands, words: tuple[str, ...], target: str) -> None:
    """Both sides are read. What ssh says of itself is no difference."""
    differences = [line for line in run("compared with its copy", words) if _DIFFERENCE.search(line)]
    if differences:
        raise run.differs(target, differences)


def _look_at(copied: Path, run: _Commands, target: str) -> None:
    """A copy on this host is looked at as any backup is."""
    faults = verify(copied, Level.HASHES).faults
    if faults:
        (copied / manifest.NAME).unlink(missing_ok=True)
        raise run.differs(target, [str(faults[0])])


# --- rclone ----------------------------------------------------------------------------------------


def _rclone(backup: Path, target: str) -> dict[str, tuple[str, ...]]:
    made = f"{target if target.endswith((':', '/')) else f'{target}/'}{backup.name}"
    start = ("rclone", "--stats=0")
    last = f"{backup}/{manifest.NAME}"
    data = ("--exclude=/manifest.json",)
    return {
        "data": (*start, "sync", "--checksum", *data, "--delete-before", "--delete-excluded", "--", str(backup), made),
        "data alike": (*start, "check", *data, "--", str(backup), made),
        "manifest": (*start, "copyto", "--", last, f"{made}/{manifest.NAME}"),
        "manifest alike": (*start, "check", "--include=/manifest.json", "--", str(backup), made),
    }


def _with_rclone(run: _Commands, backup: Path, target: str) -> None:
    words = _rclone(backup, target)
    run("copied", words["data"])
    _compare(run, words["data alike"], target)
    run("finished at the target", words["manifest"])
    _compare(run, words["manifest alike"], target)


def _compare(run: _Commands, words: tuple[str, ...], target: str) -> None:
    """By the sums that the other side keeps, or by reading everything back where it keeps none."""
    ran = run.tried("compared with its copy", words)
    if not (ran.exit_code or ran.problem) and any(_NO_HASHES in line for line in said(ran)):
        at = words.index("check") + 1
        words = (*words[:at], "--download", *words[at:])
        ran = run.tried("read back", words)
    if ran.problem:
        raise run.differs(target, [why(words, ran)])
    if ran.exit_code:
        raise run.differs(target, [line for line in said(ran) if "ERROR" in line] or [why(words, ran)])


# --- a program of the stack's own ------------------------------------------------------------------


def _with_command(run: _Commands, section: CopySection) -> bool:
    run("copied", section.command)
    if section.verify_command:
        run("compared with its copy", section.verify_command)
    return bool(section.verify_command)


def _spells_out_a_secret(target: str) -> bool:
    """`user:password@host`, or an option of an rclone remote that is written into its name."""
    options = {found["name"]: found["value"] for found in _OPTION.finditer(target)}
    switches = ("true", "false")
    return mask_text(target) != target or any(
        is_secret_name(name) and value not in switches for name, value in options.items()
    )
