"""Keeps the images of releases: a tag of ours on each, and for each image a container that is created, never started.

`docker image prune -a` takes an image that has a tag but no container, so the tag alone would not keep it. The
containers carry no label of Compose and have no network and no volume: neither Compose nor our lists see them.
What has to be there follows from the releases on the disk alone, so after a crash the next call sets it right.
"""

from __future__ import annotations

from collections.abc import Sequence

from opsconsole.model import SourceError
from opsconsole.operations.acts import Operation
from opsconsole.operations.releases import KeptService, Release
from opsconsole.operations.steps import step
from opsconsole.sources.engine_images import KEEPS, EngineImages, repository_of

SECONDS = 60.0
_NO_LABELS = ("com.docker.compose.project=", "com.docker.compose.service=")


def missing(images: EngineImages, release: Release) -> tuple[KeptService, ...]:
    """The services whose image is gone from the engine. Raises SourceError."""
    found = images.find([name for one in release.services for name in (one.tag, one.image_id)])
    return tuple(
        one
        for one in release.services
        if one.image_id not in found and (one.tag not in found or found[one.tag].id != one.image_id)
    )


def reconcile(operation: Operation, releases: Sequence[Release]) -> None:
    """Make tags and keepers what these releases need, and remove those that none needs. Raises SourceError.

    An image that is gone nevertheless is left out: who goes back to it is told.
    """
    images = EngineImages()
    try:
        label = f"{KEEPS}={operation.project}"
        tags = images.tags(f"{repository_of(operation.project)}/*")
        keepers = {one.name: one.image_id for one in images.keepers(label)}
        wanted = {one.tag: one.image_id for release in releases for one in release.services if one.image_id}
        found = images.find(tuple(wanted.values()))
        there = {one.id: one for one in found.values()}
        names = {_keeper(operation.project, image): image for image in wanted.values() if image in there}
        for tag, image in wanted.items():
            if image in there and tags.get(tag) != image:
                _order(operation, ("docker", "tag", image, tag))
        step("D02")
        for name, image in names.items():
            if keepers.get(name) != image:
                _order(operation, _created(name, label, image, there[image].volumes))
        step("D03")
        # What is let go of comes last: an image is never without a keeper in between.
        if old := sorted(keepers.keys() - names.keys()):
            _order(operation, ("docker", "rm", *old))
        for tag in sorted(tags.keys() - wanted.keys()):
            _order(operation, ("docker", "image", "rm", tag), must=False)
    finally:
        images.close()


def ensure(operation: Operation, release: Release) -> None:
    """Our tags point at the release's images. Raises SourceError with what to do when one is gone."""
    images = EngineImages()
    try:
        if gone := missing(images, release):
            names = ", ".join(one.name for one in gone)
            raise SourceError(f"the images of {release.name} are gone from the engine: {names}", GONE_HINT)
        tags = images.find([one.tag for one in release.services])
    finally:
        images.close()
    for one in release.services:
        if one.tag not in tags or tags[one.tag].id != one.image_id:
            _order(operation, ("docker", "tag", one.image_id, one.tag))


GONE_HINT = (
    "Something removed them from outside (`docker system prune -a`). Check out the commit of that release and deploy, "
    "or pull them by their digests (`opsconsole releases --json`)."
)


def _created(name: str, label: str, image: str, volumes: Sequence[str]) -> tuple[str, ...]:
    # A tmpfs over each declared volume: else the engine makes one without a name for a container that never runs.
    over = [word for path in volumes for word in ("--tmpfs", path)]
    # An image that Compose built carries the labels by which Compose knows its containers.
    labels = [word for one in (label, *_NO_LABELS) for word in ("--label", one)]
    return ("docker", "create", "--name", name, *labels, "--network", "none", *over, image, "keeps-the-image")


def _order(operation: Operation, command: tuple[str, ...], *, must: bool = True) -> None:
    ran = operation.run_command(command, SECONDS, cuttable=False)
    if must and ran.exit_code:
        said = ran.last_lines[-1] if ran.last_lines else ran.problem
        raise SourceError(f"{' '.join(command[:2])} failed: {said}", "The engine's log: `journalctl -u docker`")


def _keeper(project: str, image: str) -> str:
    return f"opsconsole-{project}-keeps-{image.removeprefix('sha256:')[:12]}"
