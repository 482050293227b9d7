"""The last verdict, in `.opsconsole/persistence.json`: what the console shows between two looks."""

from __future__ import annotations

from pathlib import Path

import msgspec

from opsconsole.durable import replace_private
from opsconsole.model import Proof, SourceError
from opsconsole.operations.places import state_directory
from opsconsole.persistence.verdict import Verdict

NAME = "persistence.json"


def read(directory: Path) -> Verdict | None:
    """Never raises: a file that cannot be read counts as none."""
    try:
        return msgspec.json.decode((directory / ".opsconsole" / NAME).read_bytes(), type=Verdict)
    except (OSError, msgspec.MsgspecError, ValueError):
        return None


def proof(verdict: Verdict | None) -> Proof | None:
    """The verdict as a Snapshot has it."""
    if verdict is None:
        return None
    return Proof(at=verdict.at, percent=verdict.score, missing=tuple(one.title for one in verdict.missing))


def write(directory: Path, verdict: Verdict) -> None:
    """Replace it. Raises SourceError."""
    path = state_directory(directory) / NAME
    try:
        replace_private(path, msgspec.json.format(msgspec.json.encode(verdict), indent=1) + b"\n")
    except OSError as error:
        raise SourceError(f"{path} cannot be written: {error.strerror}") from None
