"""Where operations are kept: `.opsconsole/` in the stack's directory, readable by nobody else."""

from __future__ import annotations

import os
import re
import secrets
from datetime import UTC, datetime
from pathlib import Path

from opsconsole.model import SourceError

_ID = re.compile(r"^\d{8}T\d{9}Z-[a-z-]+-[0-9a-f]{6}$")


def state_directory(directory: Path) -> Path:
    """`.opsconsole` of a stack, made with mode 0700. Raises SourceError when it cannot be written."""
    return _made(directory / ".opsconsole")


def operations_directory(directory: Path) -> Path:
    """Where each operation has a directory of its own; made when it is not there."""
    return _made(state_directory(directory) / "operations")


def existing_operations(directory: Path) -> tuple[Path, ...]:
    """The directories of all operations, oldest first; looking makes nothing."""
    names = sorted(entries(directory, "operations", _ID))
    return tuple(directory / ".opsconsole" / "operations" / name for name in names)


def entries(directory: Path, kept: str, name: re.Pattern[str]) -> list[str]:
    """The names in `.opsconsole/<kept>` that match, in no order; none where it is not there. Raises SourceError."""
    try:
        return [entry.name for entry in os.scandir(directory / ".opsconsole" / kept) if name.match(entry.name)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise SourceError(
            f"the {kept} of this stack cannot be read: {error.strerror}",
            "Run opsconsole as the owner of .opsconsole, or with sudo.",
        ) from None


def operation_directory(directory: Path, name: str) -> Path:
    """The directory of one operation; the end of its id is enough when only one has it. Raises SourceError."""
    found = [path for path in existing_operations(directory) if path.name == name or path.name.endswith(f"-{name}")]
    if len(found) != 1:
        known = f"{len(found)} operations end with it" if found else "there is none"
        raise SourceError(f"no operation {name}: {known}", "See `opsconsole history`.")
    return found[0]


def new_id(kind: str, now: datetime | None = None) -> str:
    """`20260131T020000417Z-restart-1a2b3c`: sorts by time, to the millisecond, and says what it was."""
    at = now or datetime.now(UTC)
    return f"{at:%Y%m%dT%H%M%S}{at.microsecond // 1000:03}Z-{kind}-{secrets.token_hex(3)}"


def _made(path: Path) -> Path:
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        found = path.lstat()
        if found.st_uid == os.geteuid() and found.st_mode & 0o077:
            path.chmod(0o700)  # made by an older version or another program
    except OSError as error:
        raise SourceError(
            f"{path} cannot be made: {error.strerror}", "Run opsconsole as the owner of the stack's directory."
        ) from None
    return path
