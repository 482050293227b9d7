"""A struct in a file of its own in `.opsconsole/`: what was found out or done last, for whoever looks next."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec

from opsconsole.durable import replace_private
from opsconsole.model import Record, SourceError
from opsconsole.operations.places import state_directory

Kept = TypeVar("Kept", bound=Record)


def read(directory: Path, name: str, kind: type[Kept]) -> Kept | None:
    """What a stack keeps under this name. Never raises: a file that cannot be read counts as none."""
    try:
        return msgspec.json.decode((directory / ".opsconsole" / name).read_bytes(), type=kind)
    except (OSError, msgspec.MsgspecError, ValueError):
        return None


def write(directory: Path, name: str, content: Record) -> None:
    """The file has the old content or the new one, whenever the power goes. Raises SourceError."""
    path = state_directory(directory) / name
    try:
        replace_private(path, msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n")
    except OSError as error:
        raise SourceError(f"{path} cannot be written: {error.strerror}") from None
