"""Level 3: a backup is restored for a trial, all of it, and what comes out is compared with what was saved.

Databases go into throw-away servers (`sources.throwaway`), files into a directory of their own. Nothing that is live
is touched, and everything is gone afterwards. What is found wrong is a Fault; what only could not be tried here, for
want of a server, of room or of permission, is Unproven and says nothing against the backup.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from opsconsole.backups.encryption import NO_KEYS, SUFFIX, Keys
from opsconsole.backups.faults import Fault
from opsconsole.backups.manifest import Manifest, Part
from opsconsole.backups.older_layouts import OlderPart
from opsconsole.backups.progress import IsCancelled, Told
from opsconsole.backups.proof import LiveServer, Proof, ProvenPart, Trial, Unproven
from opsconsole.backups.proving_files import prove_config, prove_files, prove_unpacked
from opsconsole.backups.reading import Corrupt
from opsconsole.model import SourceError
from opsconsole.text import printable


def prove(
    directory: Path,
    held: Manifest,
    servers: Sequence[LiveServer],
    told: Told = lambda what, done, total: None,
    cancelled: IsCancelled = lambda: False,
    *,
    operation: str = "",
    keys: Keys = NO_KEYS,
) -> Proof:
    """Restore every part of a backup that was found right on level 2. Needs room beside it. Raises Cancelled."""
    weights = [max(part.size, part.content_size) for part in held.parts]
    progress = _Progress(told, sum(weights))
    results = []
    for part, weight in zip(held.parts, weights, strict=True):
        trial = Trial(directory.parent, servers, operation, progress.told, cancelled, keys)
        results.append(_tried(part.kind, part.name, lambda part=part, trial=trial: _part(directory, part, trial)))  # type: ignore[misc]
        progress.passed(weight)
    return _proof(results)


def prove_older(
    parts: Sequence[OlderPart],
    scratch: Path,
    servers: Sequence[LiveServer],
    told: Told = lambda what, done, total: None,
    cancelled: IsCancelled = lambda: False,
    *,
    operation: str = "",
) -> Proof:
    """The same for a backup without a manifest, whose parts were made ready by `older_layouts.opened`: what comes out
    of a restore is compared with what the dump itself holds. Raises Cancelled."""
    weights = [_size(Path(part.path)) for part in parts]
    progress = _Progress(told, sum(weights))
    results = []
    for part, weight in zip(parts, weights, strict=True):
        trial = Trial(scratch, servers, operation, progress.told, cancelled)
        results.append(_tried(part.kind, part.name, lambda part=part, trial=trial: _older(part, trial)))  # type: ignore[misc]
        progress.passed(weight)
    return _proof(results)


def _tried(kind: str, name: str, trying: Callable[[], ProvenPart]) -> ProvenPart | Unproven:
    try:
        return trying()
    except SourceError as error:
        return Unproven(kind=kind, name=name, problem=printable(error.problem), hint=printable(error.hint))


def _proof(results: Sequence[ProvenPart | Unproven]) -> Proof:
    return Proof(
        parts=tuple(one for one in results if isinstance(one, ProvenPart)),
        unproven=tuple(one for one in results if isinstance(one, Unproven)),
    )


def _part(directory: Path, part: Part, trial: Trial) -> ProvenPart:
    trial.waiting()
    match part.kind:
        case "mongo" if part.is_slice:
            raise SourceError(
                "a slice of the oplog is of use only together with the full backup before it",
                "Prove that one; level 2 reads every entry of the slice.",
            )
        case "mongo":
            from opsconsole.backups.mongo_part import expected_of
            from opsconsole.backups.proving_mongo import MongoDump, prove_mongo

            indexes = {f"{one.database}.{one.name}": one.indexes for one in part.collections}
            return _of_files(
                part,
                lambda path: prove_mongo(
                    MongoDump(
                        name=part.name,
                        path=directory / path,
                        shown=path,
                        size=part.content_size,
                        version=_version(part.server),
                        expected=expected_of(part),
                        indexes=indexes,
                    ),
                    trial,
                ),
            )
        case "redis":
            from opsconsole.backups.proving_redis import RedisDump, prove_redis

            return _of_files(
                part,
                lambda path: prove_redis(
                    RedisDump(part.name, directory / path, path, _version(part.server), part.keys), trial
                ),
                ".rdb",
            )
        case "files":
            return prove_files(directory, part, trial)
        case "config":
            return prove_config(directory, part, trial)


def _of_files(part: Part, prove_file: Callable[[str], ProvenPart], suffix: str = "") -> ProvenPart:
    """A part of a database has one file with its data."""
    paths = [file.path for file in part.files if file.path.removesuffix(SUFFIX).endswith(suffix)]
    if len(paths) != 1:
        fault = Fault(path=part.name, problem=f"has {len(paths)} files with data in the manifest, and not one")
        return ProvenPart(kind=part.kind, name=part.name, faults=(fault,))
    return prove_file(paths[0])


def _older(part: OlderPart, trial: Trial) -> ProvenPart:
    trial.waiting()
    path = Path(part.path)
    if part.kind == "mongo":
        return _older_mongo(part, path, trial)
    if part.kind == "redis":
        from opsconsole.backups.proving_redis import RedisDump, prove_redis

        return prove_redis(RedisDump(part.name, path, part.name), trial)
    return prove_unpacked(part.kind, part.name, path)


def _older_mongo(part: OlderPart, path: Path, trial: Trial) -> ProvenPart:
    from opsconsole.backups.mongo_dumps import check_dump, open_dump
    from opsconsole.backups.proving_mongo import MongoDump, prove_mongo

    try:
        with open_dump(path) as dump:
            version = dump.server_version
            found = check_dump(dump)
    except Corrupt as fault:
        found_wrong = Fault(path=part.name, problem=printable(fault.problem))
        return ProvenPart(kind="mongo", name=part.name, faults=(found_wrong,))
    except OSError as error:
        raise SourceError(f"{part.name} cannot be read: {error.strerror or error}") from None
    expected: Mapping[str, tuple[int, str]] = {one.entry.path: (one.documents, one.digest) for one in found}
    size = sum(one.bytes for one in found)
    return prove_mongo(MongoDump(part.name, path, part.name, size, version, expected), trial)


def _version(server: str) -> str:
    """`6.0.5` of `MongoDB 6.0.5`."""
    return server.rpartition(" ")[2]


def _size(path: Path) -> int:
    if not path.is_dir():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file() and not file.is_symlink())


class _Progress:
    """Bytes of all parts, of those of one."""

    def __init__(self, told: Told, total: int) -> None:
        self._told = told
        self._total = total
        self._before = 0

    def told(self, what: str, done: int) -> None:
        self._told(what, min(self._before + done, self._total), self._total)

    def passed(self, weight: int) -> None:
        self._before += weight
        self._told("", self._before, self._total)
