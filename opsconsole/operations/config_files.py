"""The configuration of a backup as files that are put in place."""

from __future__ import annotations

import hashlib
from pathlib import Path

from opsconsole.backups.config_part import read_state, read_stored
from opsconsole.backups.encryption import SUFFIX, Keys
from opsconsole.backups.opening import Opened
from opsconsole.model import SourceError
from opsconsole.operations.backup_scope import Scope
from opsconsole.operations.compose_call import from_here
from opsconsole.operations.orders import NewFile


def config_files(found: Scope, opened: Opened, backup: Path, keys: Keys) -> tuple[NewFile, ...]:
    """Env and compose files, each for the place that it was read from; those that are the same today are left out.

    `backup`: where it lies. Raises SourceError for one that lay outside of the stack's directory.
    """
    directory = Path(found.look.directory)
    files = []
    for part in opened.parts:
        if part.kind != "config":
            continue
        for stored, place in _stored(Path(part.path), found, keys):
            if not stored.is_relative_to(backup):  # packed, and unpacked for the look only
                raise SourceError(f"{part.name} is packed with other parts", "Unpack it by hand.")
            data = read_stored(stored, keys)
            target = directory / place
            if not target.resolve().is_relative_to(directory.resolve()):
                raise SourceError(f"{place} lies outside of {directory}", f"Copy it by hand from {stored}.")
            if target.is_file() and target.read_bytes() == data:
                continue
            digest = hashlib.sha256(data).hexdigest()
            files.append(NewFile(path=from_here(directory, target), sha256=digest, backup=str(stored)))
    return tuple(files)


def _stored(path: Path, found: Scope, keys: Keys) -> list[tuple[Path, str]]:
    """What is kept, and where it belongs."""
    if path.is_file():  # an older layout keeps the env file alone
        return [(path, found.stack.env_file or ".env")]
    state = read_state(path.parent, keys)
    kept = [(path / f"{name}{suffix}", place) for name, place in state.files.items() for suffix in ("", SUFFIX)]
    return [(stored, place) for stored, place in kept if stored.is_file()]
