"""Whether a backup is what its manifest says, in levels; each includes those before it.

    0  the manifest is whole, and the files that it lists are there with their sizes, and no others
    1  every file has its SHA-256
    2  everything in the files can be read: each document, each key, each member of a tar file, and adds up to
       the counts of the manifest
    3  restored into a throw-away server and compared: `proving`, not done here

What is wrong is named by its file. Verifying writes nothing, extracts nothing and follows no link.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from opsconsole.backups import manifest, own_layout
from opsconsole.backups.contents import is_litter
from opsconsole.backups.encryption import NO_KEYS, SUFFIX, Keys, WrongKey, opens
from opsconsole.backups.faults import Fault, Level
from opsconsole.backups.manifest import HeldFile, Manifest, ManifestError
from opsconsole.backups.progress import Counted, Told
from opsconsole.backups.reading import FileReader, Meter, heard_by
from opsconsole.model import Record
from opsconsole.text import printable

_BLOCK = 1 << 20


class Verified(Record, frozen=True):
    """What a look at a backup found. It is right up to `level` when there are no faults."""

    id: str
    level: Level
    faults: tuple[Fault, ...] = ()
    manifest: Manifest | None = None
    reached: Level = Level.MANIFEST  # the level on which the faults were found; `level` when there are none

    @property
    def ok(self) -> bool:
        return not self.faults


def _silent(what: str, done: int, total: int) -> None:
    """Nobody listens."""


def verify(
    directory: Path,
    level: Level = Level.HASHES,
    *,
    told: Told = _silent,
    required: Sequence[str] = (),
    keys: Keys = NO_KEYS,
) -> Verified:
    """Look at a directory with a manifest. A level is only begun when the one before found nothing wrong.

    `required`: collections (`name` or `database.name`) that must have documents, at level 2. Never raises for what
    a backup holds; WrongKey before anything long is begun when it is encrypted and level 2 has no key that opens it.
    """
    held, faults = _manifest(directory)
    reached = Level.MANIFEST
    if held is not None and held.encrypted_to and not faults and level >= Level.PARSED:
        check_keys(directory, held, keys)
    if held is not None and not faults and level >= Level.HASHES:
        reached = Level.HASHES
        pass_words = "1 of 2, hash of " if level >= Level.PARSED else "hash of "
        faults = _hashes(directory, held, Counted(told, held.size, pass_words))
    if held is not None and not faults and level >= Level.PARSED:
        from opsconsole.backups.parsing import parse

        reached = Level.PARSED
        faults = parse(directory, held, Counted(told, held.size, "2 of 2, content of "), required, keys)
    return Verified(id=directory.name, level=level, faults=tuple(faults), manifest=held, reached=reached)


# --- level 0 ---------------------------------------------------------------------------------------


def _manifest(directory: Path) -> tuple[Manifest | None, list[Fault]]:
    try:
        held = manifest.read(directory)
    except ManifestError as error:
        name, _, problem = error.problem.partition(" ")
        return None, [Fault(path=name, problem=problem)]
    sizes, faults = _files_below(directory)
    broken = {fault.path for fault in faults}
    for text in own_layout.differences(held, sizes):
        path = next((one.path for one in held.files if text.startswith(f"{one.path} ")), text.partition(" ")[0])
        if path not in broken:
            faults.append(Fault(path=path, problem=text.removeprefix(f"{path} ")))
    return held, faults


def _files_below(directory: Path) -> tuple[dict[str, int], list[Fault]]:
    """The size of every file, and what is no file and has no place in a backup."""
    sizes: dict[str, int] = {}
    faults: list[Fault] = []
    pending = [(str(directory), "")]
    while pending:
        path, prefix = pending.pop()
        try:
            with os.scandir(path) as items:
                entries = sorted(items, key=lambda item: item.name)
        except OSError as error:
            faults.append(Fault(path=prefix.rstrip("/") or ".", problem=_unread(error)))
            continue
        for item in entries:
            found = item.stat(follow_symlinks=False)
            name = printable(prefix + item.name)
            if stat.S_ISDIR(found.st_mode):
                pending.append((item.path, f"{prefix}{item.name}/"))
            elif stat.S_ISREG(found.st_mode):
                if not is_litter(item.name):
                    sizes[prefix + item.name] = found.st_size
            else:
                kind = "a symbolic link" if stat.S_ISLNK(found.st_mode) else "no regular file"
                faults.append(Fault(path=name, problem=f"is {kind}"))
    return sizes, faults


def check_keys(directory: Path, held: Manifest, keys: Keys) -> None:
    """Raises WrongKey when a backup is encrypted and `keys` do not open it. Its smallest file is looked at; one that
    was damaged says nothing about a key, and is left to the levels to name."""
    files = [file for part in held.parts for file in part.files if file.path.endswith(SUFFIX)]
    if not files:
        return
    whose = "it was encrypted to " + " or ".join(printable(key) for key in held.encrypted_to)
    if not keys:
        raise WrongKey(
            f"the backup {held.id} is encrypted, and there is no key to read it with ({whose})",
            "Set [backups] identity_file in opsconsole.toml to the file with the private key. "
            "Without it, --level 1 checks every byte and reads nothing.",
        )
    smallest = min(files, key=lambda file: file.size)
    try:
        if opens(directory / smallest.path, keys) or hash_problem(directory, smallest):
            return
    except OSError:
        return
    raise WrongKey(
        f"the identity file {printable(keys.source)} does not open the backup {held.id} ({whose})",
        "Set [backups] identity_file in opsconsole.toml to the file with the private key of one of these.",
    )


# --- level 1 ---------------------------------------------------------------------------------------


def _hashes(directory: Path, held: Manifest, counted: Counted) -> list[Fault]:
    faults = []
    with heard_by(counted.went_on):
        for file in held.files:
            counted.at(file.path)
            problem = hash_problem(directory, file)
            if problem:
                faults.append(Fault(path=file.path, problem=problem))
    if not faults and held.checksums is not None:
        listed = tuple(file for part in held.parts for file in part.files)
        expected = hashlib.sha256(manifest.checksum_lines(listed)).hexdigest()
        if expected != held.checksums.sha256:
            faults.append(Fault(path=held.checksums.path, problem="lists other sums than the manifest"))
    return faults


def hash_problem(directory: Path, file: HeldFile) -> str:
    """Why a file is not the one that the manifest lists, "" when it is."""
    digest = hashlib.sha256()
    size = 0
    try:
        with FileReader(str(directory / file.path), Meter(1 << 62)) as reader:
            while data := reader.read(_BLOCK):
                digest.update(data)
                size += len(data)
    except OSError as error:
        return _unread(error)
    if size != file.size:
        return f"has {size:,} bytes and the manifest says {file.size:,}"
    return "" if digest.hexdigest() == file.sha256 else "was changed: its SHA-256 is not the one in the manifest"


def _unread(error: OSError) -> str:
    return f"cannot be read: {(error.strerror or 'not a regular file').lower()}"
