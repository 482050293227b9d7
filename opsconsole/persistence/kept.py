"""The last verdict, in `.opsconsole/persistence.json`: what the console shows between two looks."""

from __future__ import annotations

from pathlib import Path

from opsconsole.model import Proof
from opsconsole.operations import state_files
from opsconsole.persistence.verdict import Verdict

NAME = "persistence.json"


def read(directory: Path) -> Verdict | None:
    """Never raises: a file that cannot be read counts as none."""
    return state_files.read(directory, NAME, Verdict)


def proof(verdict: Verdict | None) -> Proof | None:
    """The verdict as a Snapshot has it."""
    if verdict is None:
        return None
    return Proof(at=verdict.at, percent=verdict.score, missing=tuple(one.title for one in verdict.missing))


def write(directory: Path, verdict: Verdict) -> None:
    """Replace it. Raises SourceError."""
    state_files.write(directory, NAME, verdict)
