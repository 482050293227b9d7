"""The releases that are kept: where one can go back to, and which files are not as the newest has them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from opsconsole.incident.evidence import ChangedFile, Kept, Known
from opsconsole.incident.symptoms import symptoms
from opsconsole.model import Snapshot, SourceError, SourceState
from opsconsole.operations import releases
from opsconsole.operations.releases import Release


def all_kept(directory: Path) -> tuple[Release, ...]:
    try:
        return releases.all_releases(directory)
    except SourceError:
        return ()  # it is said by whoever reads them first


def ways_back(directory: Path, snapshot: Snapshot) -> Known:
    """Where a rollback of the code and one of the configuration lead, and which files were changed. Raises SourceError,
    OSError."""
    found = [one for one in releases.all_releases(directory) if one.returnable]
    if not found:
        return Known()
    runs = releases.running(releases.all_releases(directory), snapshot.containers)
    newest = found[-1]
    before = [one for one in found if one.number < (runs.number if runs is not None else newest.number + 1)]
    return Known(
        release=_kept(newest),
        before=_back_to(before, snapshot),
        files=tuple(_changed(directory, newest)),
        files_from=next((one.name for one in reversed(found) if any(_changed(directory, one))), ""),
    )


def _back_to(before: Sequence[Release], snapshot: Snapshot) -> Kept | None:
    """The newest of these that can still run; where none can, the newest with what it lacks. A system that is well
    needs none, and the engine is not asked then."""
    if not before:
        return None
    newest, skipped = _kept(before[-1]), list[str]()
    engine = snapshot.readings.get("engine")
    if engine is None or engine.state is not SourceState.OK or not symptoms(snapshot):
        return newest
    from opsconsole.operations.image_keeping import missing
    from opsconsole.sources.engine_images import EngineImages

    images = EngineImages()
    try:
        for release in reversed(before):
            gone = tuple(one.name for one in missing(images, release))
            if not gone:
                return msgspec.structs.replace(_kept(release), skipped=tuple(skipped))
            if not skipped:
                newest = msgspec.structs.replace(newest, gone=gone)
            skipped.append(release.name)
    except SourceError:
        return newest  # what cannot be asked is not known to be gone, and the plan looks again
    finally:
        images.close()
    return newest


def _kept(release: Release) -> Kept:
    return Kept(
        name=release.name,
        at=release.at,
        images={one.name: one.image_id for one in release.services},
        hashes={one.name: one.hashes for one in release.services},
        commit=release.commit,
    )


def _changed(directory: Path, release: Release) -> Iterable[ChangedFile]:
    for kept in release.files:
        path = directory / kept.path  # an absolute one stays as it is
        try:
            if hashlib.sha256(path.read_bytes()).hexdigest() != kept.sha256:
                at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
                yield ChangedFile(path=kept.path, release=release.name, at=at)
        except FileNotFoundError:
            yield ChangedFile(path=kept.path, release=release.name)
