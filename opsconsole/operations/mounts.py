"""The mount comparison: where today's containers keep their data, and where the new configuration would. Pure.

What Compose 2.40 does was seen: `up` carries the mount of the old container over to the new one wherever the new
configuration has a volume without a name, or the image declares one and the configuration is silent. A renamed
service inherits nothing. `up --yes` removes a named volume whose options or labels changed, so it is never used here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import msgspec

from opsconsole.model import Container, Mount, Volume, VolumeKind, volume_words
from opsconsole.operations.facts import Look
from opsconsole.operations.ground import Ground
from opsconsole.operations.mount_places import Place, cover, key_of, mounts_of, same_place, state_of
from opsconsole.operations.plan import DataEffect, Effect
from opsconsole.roles import DATA_PATHS
from opsconsole.sources.volumes import data_directory_option, data_paths
from opsconsole.stack.rendered import ServiceConfig

_WHAT = {"volume": "volume", "bind": "bind mount", "tmpfs": "tmpfs"}
_NO_NAME = "volume without a name"


def compare(look: Look, services: Collection[str] | None = None) -> tuple[DataEffect, ...]:
    """What becomes of each piece of data when these services are made anew as `look.rendered` has them.

    `services` are those whose containers are made anew, None for the whole stack. One effect for each volume, mount
    and database path of today; a database that would come up without its data has `left_behind` set.
    """
    rendered, containers = look.rendered.services, look.containers
    chosen = set(services) if services is not None else {*rendered, *(one.service for one in containers)}
    empty = _start_empty(look, chosen)
    # A database under a new name begins empty: what has its data now is no longer in the configuration.
    roles = {role for _, role in empty}
    left = {one.service for one in containers if one.service not in rendered and data_paths(one)[0] in roles}
    found = [
        effect
        for container in containers
        if container.service in chosen | left
        for effect in _Today(look, container).effects()
    ]
    known = {effect.name for effect in found}
    more = [*_forgotten(look, empty, all_of_them=services is None), *_new_sources(look, chosen)]
    effects = _merged([*found, *(effect for effect in more if effect.name not in known)])
    return tuple(sorted(effects, key=lambda one: (not one.needs_acceptance, not one.database, one.name)))


def obstacles(look: Look, services: Collection[str] | None = None) -> tuple[str, ...]:
    """What makes Compose refuse the new configuration, one line each, known before anything is touched."""
    lines = []
    for name, service in look.rendered.services.items():
        if services is not None and name not in services:
            continue
        for mount in mounts_of(look, service):
            declared = look.rendered.volumes.get(mount.name) if mount.kind == "volume" else None
            if declared and declared.external and look.engine_volumes and mount.name not in look.engine_volumes:
                lines.append(f"{name}: the external volume {mount.name} does not exist; make it or correct its name")
            if holder := _holder(look, service, mount):
                lines.append(
                    f"{name}: {holder.name} still runs, has the same data and is no longer in the configuration; "
                    f"stop it first: docker stop {holder.name}"
                )
            if mount.source in service.strict_binds and look.ground.get(mount.source) is Ground.MISSING:
                lines.append(f"{name}: {mount.source} does not exist, and nobody makes it; make it or correct the path")
    return tuple(dict.fromkeys(lines))


def _holder(look: Look, service: ServiceConfig, mount: Mount) -> Container | None:
    """A database of a service that was renamed: two servers on one directory end in broken files."""
    if not service.role or mount.read_only or not any(cover((mount,), path) for path in DATA_PATHS[service.role]):
        return None
    for one in look.containers:
        orphan = one.service not in look.rendered.services and one.state in ("running", "paused", "restarting")
        if orphan and data_paths(one)[0] == service.role and key_of(mount) in {key_of(other) for other in one.mounts}:
            return one
    return None


# --- one container of today ------------------------------------------------------------------------


class _Today:
    """A container of today beside what its service would be."""

    def __init__(self, look: Look, container: Container) -> None:
        self.look = look
        self.container = container
        self.config = look.rendered.services.get(container.service)
        self.new = mounts_of(look, self.config) if self.config else ()
        self.role, today = data_paths(container)
        if not self.role and self.config and self.config.role:
            self.role, today = self.config.role, DATA_PATHS[self.config.role]
        covered = tuple(path for path in today if cover(container.mounts, path))
        self.directories = (covered or today[:1]) if self.role else ()
        # The service may be called what it likes: what an operator knows is its name.
        self.name = container.service or container.name

    def effects(self) -> Iterator[DataEffect]:
        kept = {path: cover(self.container.mounts, path) for path in self.directories}
        for mount in self.container.mounts:
            databases = [path for path, place in kept.items() if place and place.mount is mount and not mount.read_only]
            for path in databases or [mount.destination]:
                yield self._effect(mount, path, self.role if databases else "")
        for path, place in kept.items():
            if place is None:
                yield DataEffect(
                    name=f"{self.name}:{path}",
                    what="files inside the container",
                    effect=Effect.LOST,
                    why="it is written into the container itself, which is made anew",
                    database=self.role,
                )

    def _effect(self, mount: Mount, path: str, database: str) -> DataEffect:
        name, what = self._words(mount)
        effect = DataEffect(name=name, what=what, database=database)
        if mount.kind == "tmpfs":
            fate = (
                Effect.LOST if database else Effect.REPLACED
            )  # whoever keeps files in memory has said that they may go
            return msgspec.structs.replace(
                effect, effect=fate, why="it is in memory and is emptied when its container is made anew"
            )
        if mount.read_only:
            return msgspec.structs.replace(effect, why="read only: nothing is written there")
        if self.config is None:
            return self._gone(effect, mount, path, database)
        today = cover((mount,), path)
        assert today is not None  # a mount covers its own destination
        after = cover(self.new, self._path_after(path, database))
        why, behind = self._judged(today, after, path, database)
        return msgspec.structs.replace(effect, why=why, left_behind=behind)

    def _judged(self, today: Place, after: Place | None, path: str, database: str) -> tuple[str, bool]:
        """(why, whether the data of today is left behind)."""
        old = self._words(today.mount)[0]
        stays = f"today's data stays in {_said(today.mount, old)}"
        if after is None or after.key == "new":
            return self._inherited(today, after, path, database, stays)
        if not same_place(today, after):
            into = f" ({after.below})" if after.key == today.key else ""
            arrow = f"{old} -> {_described(after.mount)}{into}: {self._comes_up(after, database)}"
            return f"{arrow}; {stays}", True
        if after.mount.read_only:
            return f"becomes read only: {self.name} could no longer write there; {stays}", True
        if problem := self._source_gone(today.mount, database):
            return problem, bool(database)
        return self._small_print(after.mount), False

    def _inherited(self, today: Place, after: Place | None, path: str, database: str, stays: str) -> tuple[str, bool]:
        """The new configuration names nothing for this path."""
        if today.mount.anonymous:
            if self.container.number > (self.config.replicas if self.config else 0):
                return f"this replica goes away; {stays}", True
            return "Compose carries it over to the new container; `down` and `up` would leave it behind", False
        if elsewhere := next((one for one in self.new if key_of(one) == today.key and not one.read_only), None):
            return f"moves from {path} to {elsewhere.destination}; {stays}", bool(database)
        what = "a volume without a name" if after else "no mount"
        once = "`up` may carry it over this once, and the next `down` and `up`" if self._volume_left(today) else "it"
        end = f"{once} starts EMPTY" if database else f"{once} starts without it"
        return f"the new configuration has {what} for {self.name}:{path}: {end}; {stays}", True

    def _volume_left(self, today: Place) -> bool:
        return today.mount.kind in ("volume", "bind")

    def _gone(self, effect: DataEffect, mount: Mount, path: str, database: str) -> DataEffect:
        """The service is no longer in the configuration; another one may have taken its data."""
        dropped = f"{self.name} is no longer in the configuration"
        for service in self.look.rendered.services.values():
            if database and service.role != database:
                continue
            heirs = mounts_of(self.look, service)
            looked_for = DATA_PATHS[database] if database else tuple(one.destination for one in heirs)
            for at in looked_for:
                if not mount.anonymous and same_place(cover((mount,), path), cover(heirs, at)):
                    return msgspec.structs.replace(effect, why=f"{dropped}; {service.name} uses it at {at}")
        stays = f"the data stays in {_said(mount, effect.name)}, and nothing uses it any more"
        inherits = "; a service under another name does not get it" if mount.anonymous else ""
        return msgspec.structs.replace(effect, why=f"{dropped}: {stays}{inherits}", left_behind=True)

    # --- the new side ----------------------------------------------------------------------------

    def _path_after(self, path: str, database: str) -> str:
        """Where the same data is looked for afterwards: an option or another image may move a database."""
        if not database or self.config is None:
            return path
        if moved := data_directory_option(database, (*self.config.entrypoint, *self.config.command)):
            return moved
        if cover(self.new, path):
            return path
        # The image's own place, when today an option names another.
        return next((one for one in DATA_PATHS[database] if cover(self.new, one)), path)

    def _comes_up(self, after: Place, database: str) -> str:
        who = self.name
        state = state_of(self.look, after.mount)
        if after.mount.kind == "tmpfs":
            return f"{who} would come up EMPTY, in memory" if database else f"{who} would write into memory"
        if state is Ground.FILLED and not after.below:
            return f"{who} would come up with what is there, not with today's data"
        if state is Ground.UNKNOWN or after.below:
            return f"{who} would come up without today's data"
        return f"{who} would come up EMPTY"

    def _source_gone(self, mount: Mount, database: str) -> str:
        """The directory was taken away under a container that still has it open."""
        if mount.kind != "bind":
            return ""
        ground = self.look.ground.get(mount.source)
        # A Redis that has not saved yet has an empty directory; a mongod that ran never has.
        emptied = ground is Ground.EMPTY and database == "mongodb" and self.container.started_at is not None
        if ground is not Ground.MISSING and not emptied:
            return ""
        state = "does not exist any more" if ground is Ground.MISSING else "is an empty directory now"
        comes = f"{self.name} would come up EMPTY" if database else f"{self.name} would find an empty directory"
        return f"{mount.source} {state}: {comes}; what was there may be open in the container of today only"

    def _small_print(self, mount: Mount) -> str:
        """What is worth saying of a mount that stays."""
        if mount.kind == "bind":
            outside = mount.source in self.look.outside_binds
            return _OUTSIDE if outside else ""
        declared = self.look.rendered.volumes.get(mount.name)
        there = self.look.engine_volumes.get(mount.name)
        if declared is None or there is None or declared.external:
            return ""
        if (declared.driver or "local") != (there.driver or "local") or declared.options != there.options:
            return "its driver or options change in the configuration; it is kept as it is, so that has no effect"
        return ""

    def _words(self, mount: Mount) -> tuple[str, str]:
        """Name and kind as the other plans and panes say them."""
        key = f"tmpfs:{self.container.name}:{mount.destination}" if mount.kind == "tmpfs" else key_of(mount)
        row = next((one for one in self.look.volumes if one.key == key), None)
        if row is None:
            kind = VolumeKind.ANONYMOUS if mount.anonymous else VolumeKind.NAMED
            row = Volume(key=key, kind=kind, name=mount.name or mount.source or f"{self.name}:{mount.destination}")
        anonymous = row.kind is VolumeKind.ANONYMOUS
        return volume_words(row), _NO_NAME if anonymous else _WHAT.get(mount.kind, mount.kind)


_OUTSIDE = (
    "written as a relative path that leads out of the stack's directory: "
    "started from another place the stack finds other data"
)


# --- what no container of today has ----------------------------------------------------------------


def _start_empty(look: Look, chosen: Collection[str]) -> list[tuple[str, str]]:
    """(service, role) of each database that has no container yet and would begin with nothing."""
    there = {one.service for one in look.containers}
    return [
        (service.name, service.role)
        for service in look.rendered.services.values()
        if service.role and service.name in chosen and service.name not in there and _starts_empty(look, service)
    ]


def _forgotten(look: Look, empty: Sequence[tuple[str, str]], *, all_of_them: bool) -> Iterator[DataEffect]:
    """Volumes of the stack that neither a container nor the new configuration names: `down`, then a renamed volume."""
    named = {mount.name for service in look.rendered.services.values() for mount in mounts_of(look, service)}
    for volume in look.volumes if empty or all_of_them else ():
        if volume.used_by or volume.name in named or look.ground_of_volume(volume.name) is Ground.EMPTY:
            continue
        names = " and ".join(name for name, _ in empty)
        comes = f"; {names} would come up EMPTY" if empty else ""
        yield DataEffect(
            name=volume_words(volume),
            what="volume",
            why=f"no container has it and the new configuration does not name it{comes}; its data stays",
            database=empty[0][1] if empty else "",
            left_behind=bool(empty),
        )


def _starts_empty(look: Look, service: ServiceConfig) -> bool:
    mounts = mounts_of(look, service)
    moved = data_directory_option(service.role, (*service.entrypoint, *service.command))
    places = [cover(mounts, path) for path in ((moved,) if moved else DATA_PATHS[service.role])]
    found = [place.mount for place in places if place]
    return all(state_of(look, mount) in (Ground.MISSING, Ground.EMPTY) for mount in found)


def _new_sources(look: Look, chosen: Collection[str]) -> Iterator[DataEffect]:
    """Directories that the new configuration mounts and that are not there, or not in the stack."""
    for service in look.rendered.services.values():
        for mount in mounts_of(look, service) if service.name in chosen else ():
            if mount.kind != "bind" or mount.read_only:
                continue
            missing = look.ground.get(mount.source) is Ground.MISSING
            why = "does not exist: an empty directory is made" if missing else ""
            if not why and mount.source in look.outside_binds:
                why = _OUTSIDE
            if why:
                yield DataEffect(name=mount.source, what="bind mount", why=why)


# --- words ---------------------------------------------------------------------------------------------


def _described(mount: Mount) -> str:
    if mount.kind == "tmpfs":
        return "memory (tmpfs)"
    return mount.name or mount.source or "a new volume without a name"


def _said(mount: Mount, name: str) -> str:
    what = "the directory" if mount.kind == "bind" else "the volume"
    return name if mount.anonymous else f"{what} {name}"


def _merged(effects: Sequence[DataEffect]) -> Iterator[DataEffect]:
    """One for each piece of data and for what it is to whom: of two containers that share it, the worse case."""
    worst: dict[tuple[str, str], DataEffect] = {}
    for effect in effects:
        key = (effect.name, effect.database)
        worst[key] = max(worst.get(key, effect), effect, key=_weight)
    databases = {effect.name for effect in worst.values() if effect.database}
    return (one for one in worst.values() if one.database or one.why or one.name not in databases)


def _weight(effect: DataEffect) -> tuple[bool, ...]:
    return (effect.needs_acceptance, effect.effect is Effect.LOST, effect.left_behind, bool(effect.why))
