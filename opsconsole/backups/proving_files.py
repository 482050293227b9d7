"""Files and the configuration of a backup tried: unpacked into a directory of our own, counted, removed."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from opsconsole.backups.config_part import check_config_part
from opsconsole.backups.encryption import SUFFIX, Keys
from opsconsole.backups.faults import Fault
from opsconsole.backups.files_loading import extract
from opsconsole.backups.files_part import check_files_part
from opsconsole.backups.manifest import Part
from opsconsole.backups.packed_files import UnpackedFile
from opsconsole.backups.proof import ProvenPart, Trial, is_corrupt
from opsconsole.backups.reading import Corrupt, LimitReached, up_to
from opsconsole.model import SourceError
from opsconsole.sources.throwaway_places import private_directory

_RESERVE = 1 << 30
_PER_MEMBER = 4096
_LARGEST = 16 << 20
_RENDERED = "config/rendered.yml"


def room(scratch: Path) -> int:
    """Bytes that may be used for a trial: what is free, but for a reserve."""
    return max(0, shutil.disk_usage(scratch).free - _RESERVE)


def prove_files(directory: Path, part: Part, trial: Trial) -> ProvenPart:
    """Raises Cancelled, and SourceError when it cannot be tried here."""
    needed = part.content_size + part.members * _PER_MEMBER
    if needed > room(trial.scratch):
        faults = check_files_part(directory, part, trial.keys)
        counts = ((part.members, "entry"),) if not faults else ()
        way = f"read through: there is no room to unpack {needed >> 20:,} MiB at {trial.scratch}"
        return ProvenPart(kind="files", name=part.name, counts=counts, way=way, faults=faults)
    made = members = 0
    begun = time.monotonic()
    with private_directory(trial.scratch) as place:
        for file in part.files:

            def told(path: str, members: int, size: int, archive: str = file.path) -> None:
                trial.waiting()
                trial.told(archive, size)

            try:
                found = extract(directory / file.path, place / "files", limit=_limit(part), keys=trial.keys, told=told)
            except SourceError as error:
                if not (is_corrupt(error) or isinstance(error.__context__, LimitReached | FileExistsError)):
                    raise
                problem = error.problem.removeprefix(f"{Path(file.path).name} ")
                return _faulty(part, Fault(path=file.path, problem=problem))
            members += found.members
            made += sum(1 for _ in _entries(place / "files"))
        seconds = time.monotonic() - begun
    way = "unpacked into a directory of its own"
    for number, what in ((members, "holds"), (made, "unpacks to")):
        if number != part.members:
            problem = f"{what} {number:,} files and directories, the manifest says {part.members:,}"
            return _faulty(part, Fault(path=part.files[0].path, problem=problem))
    return ProvenPart(kind="files", name=part.name, counts=((made, "entry"),), seconds=seconds, way=way)


def prove_config(directory: Path, part: Part, trial: Trial) -> ProvenPart:
    """Every file is read, and what Compose made of its own files is YAML with services."""
    faults = list(check_config_part(directory, part, trial.keys))
    for path in (file.path for file in part.files if file.path.removesuffix(SUFFIX) == _RENDERED):
        faults += [Fault(path=path, problem=problem) for problem in _rendered(directory / path, trial.keys)]
    return ProvenPart(
        kind="config", name=part.name, counts=((len(part.files), "file"),), way="parsed", faults=tuple(faults)
    )


def prove_unpacked(kind: str, name: str, path: Path) -> ProvenPart:
    """Files of an older layout, which were unpacked to be looked at."""
    if not path.is_dir():
        return ProvenPart(kind=kind, name=name, counts=((1, "file"),), way="read")
    return ProvenPart(
        kind=kind, name=name, counts=((sum(1 for _ in _entries(path)), "entry"),), way="unpacked and read"
    )


def _rendered(path: Path, keys: Keys) -> Iterator[str]:
    from opsconsole.stack.yaml_text import YamlError, load

    try:
        with UnpackedFile(path, keys=keys) as reader:
            text = up_to(reader, _LARGEST).decode("utf-8", "surrogateescape")
        services = load(text).get("services")
    except YamlError as error:
        yield f"is no YAML: {error}"
        return
    except Corrupt as fault:
        yield fault.problem
        return
    except OSError as error:
        raise SourceError(f"{path.name} cannot be read: {error.strerror}") from None
    if not isinstance(services, dict):
        yield "has no services"


def _limit(part: Part) -> int:
    """As `check_files_part` bounds it: headers take little, and a bomb finds no room."""
    return 2 * part.content_size + part.members * (1 << 17) + (1 << 20)


def _entries(directory: Path) -> Iterator[str]:
    for _, directories, files in os.walk(directory):
        yield from directories
        yield from files


def _faulty(part: Part, fault: Fault) -> ProvenPart:
    return ProvenPart(kind="files", name=part.name, faults=(fault,))
