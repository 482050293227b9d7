"""What a plan of a deploy or a rollback is made from, beside the look: releases, images, what a restart took."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from opsconsole.operations import image_keeping, layer_files, past, releases
from opsconsole.operations.facts import Look, with_configuration
from opsconsole.operations.release_making import Configuration, known_configurations
from opsconsole.operations.releases import Release
from opsconsole.sources.engine_images import EngineImages, ImageFacts
from opsconsole.stack import compose
from opsconsole.stack.compose_parse import parse


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """`images` by the names that the configuration uses and by the ids that containers run."""

    releases: tuple[Release, ...] = ()
    number: int = 1  # of the next release
    images: Mapping[str, ImageFacts] = {}
    configurations: Mapping[str, Configuration] = {}
    gone: Mapping[str, tuple[str, ...]] = {}  # release -> services whose image is not on the engine any more
    under: Mapping[str, Look] = {}  # the stack under the configuration of each release that it can go back to
    own_files: Mapping[str, tuple[str, ...] | None] = {}  # by container: what it wrote in no volume or mount
    seconds: Mapping[str, float] = {}  # how long a service was away the last time

    def __repr__(self) -> str:
        return f"Known({', '.join(one.name for one in self.releases)})"


def learn(directory: Path, look: Look, scratch: Sequence[str] = ()) -> Known:
    """Ask the engine and read the releases. `scratch`: directories in containers whose files count for nothing. Raises
    SourceError."""
    kept = releases.all_releases(directory)
    images = EngineImages()
    try:
        names = [service.image for service in look.services]
        found = images.find([*names, *(one.image_id for one in look.containers)])
        gone = {
            release.name: tuple(one.name for one in image_keeping.missing(images, release))
            for release in kept
            if release.returnable
        }
    finally:
        images.close()
    return Known(
        releases=kept,
        number=releases.next_number(directory),
        images=found,
        configurations=known_configurations(directory, kept),
        gone=gone,
        under=_under(directory, look, kept),
        own_files=layer_files.written(look.containers, scratch),
        seconds=past.seconds_by_service(directory),
    )


def _under(directory: Path, look: Look, kept: Sequence[Release]) -> dict[str, Look]:
    """For the mount comparison of a rollback: today's containers beside what each release says."""
    found = {}
    for release in kept:
        try:
            raw = compose.unescaped(json.loads(releases.compose_file(directory, release.name).read_text()))
        except (OSError, ValueError):
            continue
        for service in release.services:  # our tag does not tell what runs in an image
            if service.name in (raw.get("services") or {}):
                raw["services"][service.name]["image"] = service.image
        if release.returnable:
            rendered = parse(raw, project=look.name, directory=look.directory)
            found[release.name] = with_configuration(look, rendered)
    return found
