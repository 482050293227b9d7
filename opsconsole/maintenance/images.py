"""Whether a registry has newer images than those that run: asked through the engine, on request, and remembered.

The engine asks the registry for the digest that a tag has there, with the account's own login, and nothing is pulled.
An image that was built here and is in no registry is not asked for. The answers lie in `.opsconsole/images.json`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from opsconsole.model import Container, Record, SourceError
from opsconsole.operations import state_files
from opsconsole.sources.engine_images import EngineImages, ImageFacts

NAME = "images.json"
SECONDS = 15.0
"""For one answer of a registry: the engine itself waits longer for one that is away."""

_AT_ONCE = 4

Ask = Callable[[str], str]
"""The digest that this name has in its registry. Raises SourceError."""


class State(StrEnum):
    CURRENT = "current"
    NEWER = "newer in the registry"
    UNKNOWN = "not known"  # the registry could not be asked, or does not have it
    OWN = "built here"


class Image(Record, frozen=True):
    """What was found out about the image of some services."""

    name: str
    image_id: str
    services: tuple[str, ...]
    state: State
    said: str = ""


class Asked(Record, frozen=True):
    at: datetime
    images: tuple[Image, ...] = ()

    def of(self, *states: State) -> tuple[Image, ...]:
        return tuple(one for one in self.images if one.state in states)


def ask_registries(containers: Iterable[Container], now: datetime) -> Asked:
    """Ask for every image that a container of the stack was made of. Raises SourceError when the engine is away."""
    images = EngineImages(timeout=SECONDS)
    try:
        known = images.find([one.image_id for one in containers])
        return asked(tuple(containers), known, images.in_registry, now)
    finally:
        images.close()


def asked(containers: Sequence[Container], known: dict[str, ImageFacts], ask: Ask, now: datetime) -> Asked:
    """The same with what the engine knows of the images, by their id, and with somebody who asks."""
    services: dict[tuple[str, str], set[str]] = {}
    for one in containers:
        if one.image and one.image_id:
            services.setdefault((one.image, one.image_id), set()).add(one.service or one.name)

    def look(pair: tuple[str, str]) -> Image:
        state, said = _judged(pair[0], known.get(pair[1]), ask)
        return Image(name=pair[0], image_id=pair[1], services=tuple(sorted(services[pair])), state=state, said=said)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return Asked(at=now, images=tuple(pool.map(look, sorted(services))))


def _judged(name: str, facts: ImageFacts | None, ask: Ask) -> tuple[State, str]:
    if "@sha256:" in name:
        return State.CURRENT, "bound to its digest: nothing newer goes by this name"
    digests = {one.partition("@")[2] for one in facts.digests} if facts is not None else set()
    if not digests:
        return State.OWN, "in no registry: built here, or loaded"
    try:
        there = ask(name)
    except SourceError as error:
        return State.UNKNOWN, error.problem
    if there in digests:
        return State.CURRENT, f"the registry has the same: {there[:19]}"
    return State.NEWER, f"the registry has {there[:19]}, here is {min(digests)[:19]}"


# --- what was found out ----------------------------------------------------------------------------


def read(directory: Path) -> Asked | None:
    """Never raises: a file that cannot be read counts as none."""
    return state_files.read(directory, NAME, Asked)


def write(directory: Path, found: Asked) -> None:
    """Replace it. Raises SourceError."""
    state_files.write(directory, NAME, found)
