"""What `rollback config --undo` puts in place: the compose and env files that an operation kept before it replaced
them. It is a rollback of the configuration like any other, and is undone the same way."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from opsconsole.config import Config
from opsconsole.model import SourceError
from opsconsole.operations import file_acts, journal, next_version, restore_state
from opsconsole.operations.compose_call import from_here
from opsconsole.operations.config_plans import Restoration
from opsconsole.operations.facts import Look
from opsconsole.operations.file_acts import KeptBefore
from opsconsole.operations.journal import Result
from opsconsole.operations.orders import NewFile
from opsconsole.operations.places import existing_operations
from opsconsole.operations.plan import Kind
from opsconsole.operations.stack_plans import NothingToDo
from opsconsole.stack.copies import KeptFiles

_REPLACING = (Kind.ROLLBACK, Kind.RESTORE)


def look_back(look: Look, config: Config, operation: str = "") -> Restoration:
    """The files of before the last operation that was done and replaced some, or of the one that is named (the end of
    its id is enough).

    Raises SourceError when there is none, and where a file was changed after that: its change would be lost.
    """
    place = _last(Path(look.directory), operation)
    entries = [one for one in file_acts.kept_before(place / file_acts.KEPT) if one.sha256 != one.put]
    if not entries:
        raise NothingToDo(f"{place.name} replaced no file by another one")
    as_written = {os.path.realpath(path): path for path in (*look.compose_files, *look.env_files)}
    contents = {as_written.get(path, path): data for path, data in _contents(place / file_acts.KEPT, entries)}
    gone = tuple(as_written.get(one.path, one.path) for one in entries if not one.stored)
    stay = [path for path in look.compose_files if path not in gone]
    came = [path for path in contents if path.endswith((".yml", ".yaml")) and path not in stay]
    what = f"the configuration of before {place.name}"
    version = next_version.read(KeptFiles(contents, gone), look, config, compose_files=(*stay, *came), what=what)
    next_version.refuse_lacking(version, what)
    files = tuple(
        NewFile(
            path=from_here(Path(look.directory), Path(one.path)),
            sha256=one.sha256,
            backup=str(place / file_acts.KEPT / one.stored) if one.stored else "",
        )
        for one in entries
    )
    return Restoration(origin=f"before {place.name}", version=version, files=files)


def _last(directory: Path, operation: str) -> Path:
    for place in reversed(existing_operations(directory)):
        if operation and place.name != operation and not place.name.endswith(f"-{operation}"):
            continue
        records, plan = journal.read(place), journal.read_plan(place)
        done = bool(records) and records[-1].result is Result.DONE and not plan.as_undo
        if done and plan.kind in _REPLACING and plan.files:
            return restore_state.home(place)
    named = f"{operation} replaced no configuration, or it is not there" if operation else "none is there"
    raise SourceError(f"there is no rollback of the configuration to undo: {named}", "See `opsconsole history`.")


def _contents(kept: Path, entries: list[KeptBefore]) -> Iterator[tuple[str, bytes]]:
    """By path. Raises SourceError for what is not as it was left, here or there."""
    for one in entries:
        if file_acts.digest(Path(one.path)) != one.put:
            raise SourceError(
                f"{one.path} was changed after it was put in place",
                f"Nothing was changed. The file of before is {kept / one.stored if one.stored else 'none'}.",
            )
        if not one.stored:
            continue
        try:
            data = (kept / one.stored).read_bytes()
        except OSError as error:
            raise SourceError(f"{kept / one.stored} cannot be read: {error.strerror}") from None
        if hashlib.sha256(data).hexdigest() != one.sha256:
            raise SourceError(f"{kept / one.stored} was changed after it was kept")
        yield one.path, data
