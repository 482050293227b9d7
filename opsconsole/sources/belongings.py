"""What a stack has on the engine beside containers and volumes, and who else uses it: for taking a stack away."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from opsconsole.model import Container, Record
from opsconsole.sources.engine_images import KEEPS, repository_of
from opsconsole.sources.engine_parse import PROJECT, SERVICE, from_listing, is_one_off

_NO_TAG = "<none>:<none>"


class Network(Record, frozen=True):
    """A network that Compose made for the stack. `others` are containers of other stacks in it."""

    name: str
    others: tuple[str, ...] = ()


class Image(Record, frozen=True):
    """An image that the stack uses or has built. With no tag at all it is named by its id."""

    id: str
    own_tags: tuple[str, ...] = ()  # names under which this stack knows it
    release_tags: tuple[str, ...] = ()
    other_tags: tuple[str, ...] = ()  # somebody else's names for it
    others: tuple[str, ...] = ()  # containers of other stacks that were made from it


class Belongings(Record, frozen=True):
    networks: tuple[Network, ...] = ()
    images: tuple[Image, ...] = ()
    one_offs: tuple[Container, ...] = ()  # made by `docker compose run`; not inspected
    keepers: tuple[str, ...] = ()  # containers that hold the images of releases and never run


def belongings(
    containers: Sequence[Mapping[str, Any]],
    networks: Iterable[Mapping[str, Any]],
    images: Iterable[Mapping[str, Any]],
    project: str,
    used_names: Sequence[str] = (),
) -> Belongings:
    """From the engine's lists of all containers, networks and images. `used_names` are names or ids of images that the
    stack is known to use: the list of containers shows an id once a name has moved on."""
    own = [row for row in containers if _label(row, PROJECT) == project]
    keepers = [row for row in containers if _label(row, KEEPS) == project]
    foreign = [row for row in containers if _label(row, PROJECT) != project and row not in keepers]
    names = {tagged(str(name)) for name in (*used_names, *(row.get("Image") or "" for row in own))}
    ids = {str(row.get("ImageID")) for row in own} | {name for name in used_names if name.startswith("sha256:")}
    found = (_image(raw, project, ids, names, foreign) for raw in images)
    return Belongings(
        networks=tuple(_network(raw, foreign) for raw in networks if _label(raw, PROJECT) == project),
        images=tuple(sorted((one for one in found if one is not None), key=lambda one: (one.own_tags, one.id))),
        one_offs=tuple(from_listing(row) for row in own if is_one_off(row)),
        keepers=tuple(sorted(from_listing(row).name for row in keepers)),
    )


def tagged(name: str) -> str:
    """An image's name as the engine lists it: `docker.io/library/mongo` is `mongo:latest`; "" for a digest alone."""
    name, _, digest = name.removeprefix("docker.io/").removeprefix("library/").partition("@")
    has_tag = ":" in name.rpartition("/")[2]
    if not name or name.startswith("sha256:") or (digest and not has_tag):
        return ""
    return name if has_tag else f"{name}:latest"


def _network(raw: Mapping[str, Any], foreign: Sequence[Mapping[str, Any]]) -> Network:
    name, identity = str(raw.get("Name")), str(raw.get("Id"))
    inside = []
    for row in foreign:
        joined = ((row.get("NetworkSettings") or {}).get("Networks") or {}).items()
        if any(key == name or (entry or {}).get("NetworkID") == identity for key, entry in joined):
            inside.append(from_listing(row).name)
    return Network(name=name, others=tuple(sorted(inside)))


def _image(
    raw: Mapping[str, Any], project: str, ids: set[str], names: set[str], foreign: Sequence[Mapping[str, Any]]
) -> Image | None:
    identity = str(raw.get("Id"))
    tags = [str(tag) for tag in raw.get("RepoTags") or [] if tag != _NO_TAG]
    release = [tag for tag in tags if tag.startswith(f"{repository_of(project)}/")]
    built = _label(raw, PROJECT) == project
    if built:
        # An image that somebody built on ours carries our labels, too, but not our name.
        names = names | {f"{project}{joint}{_label(raw, SERVICE)}:latest" for joint in "-_"}
    own = [tag for tag in tags if tag in names and tag not in release]
    if not (own or release or identity in ids or (built and not tags)):
        return None
    others = [
        from_listing(row).name
        for row in foreign
        if row.get("ImageID") == identity or tagged(str(row.get("Image") or "")) in own
    ]
    return Image(
        id=identity,
        own_tags=tuple(own),
        release_tags=tuple(release),
        other_tags=tuple(tag for tag in tags if tag not in own and tag not in release),
        others=tuple(sorted(others)),
    )


def _label(raw: Mapping[str, Any], name: str) -> str:
    return str((raw.get("Labels") or {}).get(name) or "")
