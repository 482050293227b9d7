"""The acts of a rollback of the configuration: compose and env files of another version put in place, and taken back.

Before the first file is touched, all that will be are kept in the operation's directory (`files-before`, mode 0700),
byte for byte with owner and mode. Each file is replaced in one move. Both acts may be run again after a kill.
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

import msgspec

from opsconsole.backups.config_part import read_stored
from opsconsole.durable import open_private, replace_private, sync_directory, write_all
from opsconsole.model import Record, SourceError
from opsconsole.operations import acts, journal
from opsconsole.operations.acts import Failed, Fields, Operation, Stopped
from opsconsole.operations.backup_keys import private_keys
from opsconsole.operations.journal import Result
from opsconsole.operations.orders import NewFile, ServiceEdit
from opsconsole.operations.places import state_directory
from opsconsole.operations.plan import Act, Step
from opsconsole.operations.steps import step
from opsconsole.stack.compose_edit import with_options

KEPT = "files-before"


class KeptBefore(Record, frozen=True):
    """One file as it was. `stored` is "" when there was none."""

    path: str  # absolute, links followed
    stored: str = ""
    sha256: str = ""
    mode: int = 0o600
    uid: int = 0
    gid: int = 0
    put: str = ""  # SHA-256 of what was put there, "" when the file was taken away


def restore_files(operation: Operation, one: Step) -> Fields:
    """Act.RESTORE_FILES: put the files of `Plan.files` there, once everything that is there is kept."""
    kept = _kept_place(operation)
    contents = {file.path: _content(operation, file) for file in operation.plan.files}
    if not (kept / "files.json").exists():
        _keep(operation, kept)
    step("T04")
    before = {entry.path: entry for entry in kept_before(kept)}
    for file in operation.plan.files:
        path = _real(operation, file.path)
        content = contents[file.path]
        if content is None:
            path.unlink(missing_ok=True)
        elif digest(path) != file.sha256:
            _replace(path, content, before[str(path)])
        step("T05")
    return {"text": f"{len(operation.plan.files)} files; what was there before is kept in {kept}"}


def files_back(operation: Operation, one: Step) -> Fields:
    """Act.FILES_BACK: what was there before, unless somebody has changed it since: then it is left and named."""
    kept = _kept_place(operation)
    if not (kept / "files.json").exists():
        return {"text": "nothing had been replaced"}
    changed = []
    for entry in kept_before(kept):
        path = Path(entry.path)
        there = digest(path)
        if there not in (entry.sha256, entry.put):
            changed.append(entry.path)
        elif not entry.stored:
            path.unlink(missing_ok=True)
        elif there != entry.sha256 or not _same_owner(path, entry):
            _replace(path, (kept / entry.stored).read_bytes(), entry)
        step("T06")
    if changed:
        problem = f"changed by somebody in between and left as it is: {', '.join(changed)}"
        raise Failed({}, Stopped(Result.FAILED, problem, f"As they were before: {kept}."))
    return {"text": "every file is as it was before"}


# --- parts -----------------------------------------------------------------------------------------


def _keep(operation: Operation, kept: Path) -> None:
    """Keep every file that will be touched; the list is written last, so it is there only when all of it is."""
    kept.mkdir(mode=0o700, exist_ok=True)
    entries = []
    for number, file in enumerate(operation.plan.files):
        path = _real(operation, file.path)
        try:
            found = path.stat()
            data = path.read_bytes()
        except FileNotFoundError:
            entries.append(KeptBefore(path=str(path), put=file.sha256))
            continue
        stored = f"{number}-{path.name}"
        replace_private(kept / stored, data)
        entries.append(
            KeptBefore(
                path=str(path),
                stored=stored,
                sha256=hashlib.sha256(data).hexdigest(),
                mode=stat.S_IMODE(found.st_mode),
                uid=found.st_uid,
                gid=found.st_gid,
                put=file.sha256,
            )
        )
    replace_private(kept / "files.json", msgspec.json.encode(entries))


def _content(operation: Operation, file: NewFile) -> bytes | None:
    """The bytes to put there, None for a file that goes. Raises SourceError when they are not what was planned."""
    if not file.sha256:
        return None
    if file.edit is not None:
        data = _edited(operation, file, file.edit)
    elif file.commit:
        from opsconsole.stack.git_program import Git

        data = Git(operation.directory).ask("cat-file", "blob", file.stored)
    else:
        kept = state_directory(operation.directory) / "releases" / file.release / file.stored
        try:
            data = read_stored(Path(file.backup), private_keys(operation.config)) if file.backup else kept.read_bytes()
        except OSError as error:
            raise SourceError(f"{file.path} of {_origin(file)} cannot be read: {error.strerror}") from None
    if hashlib.sha256(data).hexdigest() != file.sha256:
        raise SourceError(
            f"{file.path} of {_origin(file)} is not what the plan was made from",
            "Nothing was replaced. Make the plan anew.",
        )
    return data


def _edited(operation: Operation, file: NewFile, edit: ServiceEdit) -> bytes:
    """The file of before with lines put in: the one that is kept, once it is."""
    path, kept = _real(operation, file.path), _kept_place(operation)
    if (kept / "files.json").exists():
        stored = next(one.stored for one in kept_before(kept) if one.path == str(path))
        path = kept / stored
    try:
        text = path.read_bytes().decode("utf-8")
        return with_options(text, edit.service, edit.options, image=edit.image, volume=edit.volume).encode()
    except (OSError, ValueError) as error:
        raise SourceError(f"{file.path} cannot be edited: {error}") from None


def _origin(file: NewFile) -> str:
    return file.release or file.commit or ("the plan" if file.edit else "the backup")


def _replace(path: Path, data: bytes, like: KeptBefore) -> None:
    """In one move, with the mode and owner of the file that is, or was, there."""
    _make_directory(path.parent)
    new = path.with_name(f".{path.name}.opsconsole-new")
    new.unlink(missing_ok=True)
    mode, uid, gid = like.mode, like.uid, like.gid
    if not like.stored:
        parent = path.parent.stat()
        mode, uid, gid = (0o600 if ".env" in path.name else 0o644), parent.st_uid, parent.st_gid
    fd = open_private(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        write_all(fd, data)
        if os.geteuid() == 0:
            os.fchown(fd, uid, gid)
        os.fchmod(fd, mode)
        os.fsync(fd)
    finally:
        os.close(fd)
    new.replace(path)
    sync_directory(path.parent)


def _make_directory(directory: Path) -> None:
    """One that is not there belongs to whom the one above it belongs to."""
    if directory.exists():
        return
    _make_directory(directory.parent)
    directory.mkdir(mode=0o755)
    above = directory.parent.stat()
    if os.geteuid() == 0:
        os.chown(directory, above.st_uid, above.st_gid)


def _real(operation: Operation, path: str) -> Path:
    """Through links, so that a link to an env file elsewhere stays one."""
    return Path(os.path.realpath(operation.directory / path))


def _same_owner(path: Path, entry: KeptBefore) -> bool:
    found = path.stat()
    return (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (entry.mode, entry.uid, entry.gid)


def digest(path: Path) -> str:
    """SHA-256 of a file, "" when there is none. Raises OSError."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        return ""


def kept_before(kept: Path) -> list[KeptBefore]:
    """What an operation kept, from its directory KEPT. Raises SourceError."""
    try:
        return msgspec.json.decode((kept / "files.json").read_bytes(), type=list[KeptBefore])
    except (OSError, msgspec.DecodeError, msgspec.ValidationError) as error:
        raise SourceError(f"what was kept in {kept} cannot be read: {error}") from None


def _kept_place(operation: Operation) -> Path:
    """In the directory of the operation that began it."""
    place, what = operation.place, operation.plan
    while what.resolves:
        place = place.with_name(what.resolves)
        what = journal.read_plan(place)
    return place / KEPT


ACTS: dict[Act, acts.Act] = {Act.RESTORE_FILES: restore_files, Act.FILES_BACK: files_back}
