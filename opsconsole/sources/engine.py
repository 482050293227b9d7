"""The container engine through the Docker SDK: containers, usage, volumes, events, and the few orders we give it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from threading import Event
from typing import Any

from opsconsole.model import Container, Engine, Project, Usage, Volume, VolumeKind
from opsconsole.sources import engine_parse as parse
from opsconsole.sources.belongings import Belongings, belongings
from opsconsole.sources.cgroups import runs_here
from opsconsole.sources.engine_connection import EngineConnection
from opsconsole.sources.engine_events import EventStream, Folder
from opsconsole.sources.engine_faults import ContainerGone, EngineRefused
from opsconsole.sources.engine_usage import UsageSampler
from opsconsole.sources.happenings import Happening, Heard, happening
from opsconsole.sources.layers import own_files
from opsconsole.sources.sizes import in_background, is_walkable, tree_size
from opsconsole.sources.volumes import EngineVolume, engine_volumes, volume_rows

# Each healthcheck run adds to the health log without an event. What is ill is looked at again at every list of the
# containers, what is well now and then.
_ILL_SECONDS, _WELL_SECONDS = 10.0, 600.0

# An inspect this young is newer than the list it is compared with: a state that flaps is not chased in circles.
_SAME_LOOK_SECONDS = 1.0

_STOP_GRACE = 30.0  # seconds beyond a container's own stop timeout
_LAYER_TIMEOUT = 10.0  # the engine walks what the container has written
_DISK_USAGE_TIMEOUT = 600.0  # the engine walks every volume
_DATED_VOLUMES = (1, 43)  # API of the first engine of which every release has it


@dataclass(slots=True)
class _Inspected:
    details: parse.Details
    at: float  # monotonic
    stale: bool = False


class DockerEngine:
    """An engine as `docker` on this account finds it: `docker_host`, DOCKER_HOST, the current context, the usual
    sockets. Connects at the first question and again after a failure. Each method may run on a thread of its own."""

    def __init__(self, docker_host: str | None = None) -> None:
        self._connection = EngineConnection(docker_host)
        self._events = EventStream(self._connection)
        self._usage = UsageSampler(self._connection)
        self._lock = threading.Lock()
        self._inspected: dict[str, _Inspected] = {}
        self._changes: dict[str, int] = {}  # events seen per container, to notice one during an inspect
        self._image_dates: dict[str, datetime | None] = {}
        self._heard: Heard | None = None
        self._project = ""  # whose containers are listed; "" as long as that is not known by name

    # --- looking -----------------------------------------------------------------------------------

    def describe(self) -> Engine:
        version, info = self._connection.get("/version"), self._connection.get("/info")
        self._usage.host_memory = info.get("MemTotal")
        return parse.describe(self._connection.address.host, version, info, self._connection.api_version)

    def projects(self) -> tuple[Project, ...]:
        return parse.projects(self._list({"label": [parse.PROJECT]}))

    def containers(self, *, project: str = "", directory: str = "") -> tuple[Container, ...]:
        self._project = project
        label = f"{parse.PROJECT}={project}" if project else f"{parse.DIRECTORY}={directory}" if directory else ""
        raw = [row for row in self._list({"label": [label]} if label else {}) if not parse.is_one_off(row)]
        rows = [self._with_details(parse.from_listing(row)) for row in raw]
        return tuple(sorted(rows, key=lambda row: (row.service, row.number, row.name)))

    def inspect_missing(self, containers: Sequence[Container], limit: int = 50) -> bool:
        missing = [container for container in containers if self._wants_inspect(container)]
        learnt = False
        for container in missing[:limit]:
            try:
                self._inspect(container.id)
                learnt = True
            except (ContainerGone, EngineRefused):
                continue  # gone since the list, or damaged: the others are worth showing
        return learnt

    def secrets_of(self, container_id: str) -> dict[str, str]:
        """The container's environment with its secrets readable, {} when it is gone. For the clients that log in to
        its database and for nobody else: never into a struct, a log or a screen."""
        with self._lock:
            known = self._inspected.get(container_id)
        if known is None:
            try:
                known = self._inspect(container_id)
            except ContainerGone:
                return {}
        return dict(known.details.environment)

    def usage(self, containers: Sequence[Container]) -> dict[str, Usage]:
        running = [container.id for container in containers if container.state in ("running", "paused")]
        with self._lock:
            processes = {name: self._inspected[name].details for name in running if name in self._inspected}
        return self._usage.sample(running, processes)

    def volumes(self, containers: Sequence[Container], *, project: str = "") -> tuple[Volume, ...]:
        return volume_rows(containers, self._connection.get("/volumes").get("Volumes") or [], project)

    def engine_volumes(self) -> dict[str, EngineVolume]:
        """Every volume of the engine, by name."""
        raw = self._connection.get("/volumes").get("Volumes") or []
        # Before 23.0 the date moves with every file that is made in the volume (moby#44719).
        dated = _version(self._connection.api_version) >= _DATED_VOLUMES
        return engine_volumes(raw, local=bool(self._connection.address.socket), dated=dated)

    def belongings(self, project: str, used_names: Sequence[str] = ()) -> Belongings:
        """Networks, images and one-off containers of a stack, each with who else uses it."""
        return belongings(
            self._list({}),
            self._connection.get("/networks") or (),
            self._connection.get("/images/json") or (),
            project,
            used_names,
        )

    def own_files(self, container: Container) -> tuple[str, ...]:
        """What the container has written outside of its volumes and mounts; see `layers`."""
        return own_files(
            self._connection.get(f"/containers/{container.id}/changes", timeout=_LAYER_TIMEOUT) or (), container
        )

    def goes_when_stopped(self, container_id: str) -> bool:
        """Whether the engine removes the container, with its unnamed volumes, as soon as it stops (`run --rm`)."""
        raw = self._connection.get(f"/containers/{container_id}/json")
        return bool((raw.get("HostConfig") or {}).get("AutoRemove"))

    def volume_sizes(self, volumes: Sequence[Volume], stop: Event) -> dict[str, int]:
        sizes: dict[str, int] = {}
        unread: list[Volume] = []
        for volume in volumes:
            path = self._path_here(volume)
            size = in_background(lambda path=path: tree_size(path, stop), stop) if path else None  # type: ignore[misc]
            if stop.is_set():
                return sizes
            if size is not None:
                sizes[volume.key] = size
            elif volume.kind in (VolumeKind.NAMED, VolumeKind.ANONYMOUS):
                unread.append(volume)
        if unread:
            asked = in_background(self._sizes_by_engine, stop) or {}
            sizes |= {volume.key: asked[volume.name] for volume in unread if volume.name in asked}
        return sizes

    def watch(self, changed: Callable[[], None], stop: Event) -> None:
        folder = Folder(changed)

        def opened() -> None:
            # Nobody told us what happened before the stream was open.
            with self._lock:
                for known in self._inspected.values():
                    known.stale = True
            folder.poke()

        def happened(event: dict[str, Any]) -> None:
            self._take(event)
            if self._concerns_us(event):
                folder.poke()
            if self._heard is not None and (found := happening(event)):
                self._heard(found)

        try:
            self._events.follow(opened, happened, stop)
        finally:
            folder.cancel()

    def listen(self, heard: Heard) -> None:
        self._heard = heard

    def happened(self, since: datetime, until: datetime) -> tuple[Happening, ...]:
        found = (happening(event) for event in self._events.between(since.timestamp(), until.timestamp()))
        return tuple(one for one in found if one is not None)

    # --- orders ------------------------------------------------------------------------------------

    def start(self, container_id: str) -> None:
        self._connection.post(f"/containers/{container_id}/start", timeout=_STOP_GRACE)
        self._mark_stale(container_id)

    def stop(self, container_id: str) -> None:
        self._connection.post(f"/containers/{container_id}/stop", timeout=self._stop_seconds(container_id))
        self._mark_stale(container_id)

    def restart(self, container_id: str) -> None:
        self._connection.post(f"/containers/{container_id}/restart", timeout=self._stop_seconds(container_id))
        self._mark_stale(container_id)

    def close(self) -> None:
        self._events.close()
        self._connection.close()

    # --- the cache of inspects ---------------------------------------------------------------------

    def _list(self, filters: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        params = {"all": "true", "filters": json.dumps(filters)}
        return list(self._connection.get("/containers/json", params) or ())

    def _with_details(self, row: Container) -> Container:
        with self._lock:
            known = self._inspected.get(row.id)
            if known is None:
                return row
            created = self._image_dates.get(known.details.container.image_id)
            return parse.combine(row, known.details, created, fresh=not _is_stale(known, row))

    def _wants_inspect(self, row: Container) -> bool:
        with self._lock:
            known = self._inspected.get(row.id)
            return known is None or _is_stale(known, row)

    def _inspect(self, container_id: str) -> _Inspected:
        with self._lock:
            changes = self._changes.get(container_id, 0)
        details = parse.from_inspect(self._connection.get(f"/containers/{container_id}/json"))
        self._learn_image_date(details.container.image_id)
        with self._lock:
            overtaken = self._changes.get(container_id, 0) != changes
            known = _Inspected(details, time.monotonic(), stale=overtaken)
            self._inspected[container_id] = known
        return known

    def _learn_image_date(self, image_id: str) -> None:
        if image_id in self._image_dates:
            return
        try:
            created = parse.parse_time(self._connection.get(f"/images/{image_id}/json").get("Created"))
        except ContainerGone:
            created = None  # the image was removed while its container stayed
        self._image_dates[image_id] = created

    def _take(self, event: Mapping[str, Any]) -> None:
        actor = event.get("Actor") or {}
        container = str(actor.get("ID") or "")
        if event.get("Type") == "network":
            container = str((actor.get("Attributes") or {}).get("container") or "")
        elif event.get("Type") != "container":
            return
        if event.get("Action") == "destroy" and event.get("Type") == "container":
            with self._lock:
                self._inspected.pop(container, None)
                self._changes.pop(container, None)
        else:
            self._mark_stale(container)
        self._usage.forget(container)

    def _concerns_us(self, event: Mapping[str, Any]) -> bool:
        """Whether the list of containers may be another now. What other projects do on the same engine is not."""
        actor = event.get("Actor") or {}
        attributes = actor.get("Attributes") or {}
        container = actor.get("ID") if event.get("Type") == "container" else attributes.get("container")
        if not self._project or not container or container in self._inspected:
            return True
        return event.get("Type") == "container" and attributes.get(parse.PROJECT) == self._project

    def _mark_stale(self, container_id: str) -> None:
        with self._lock:
            self._changes[container_id] = self._changes.get(container_id, 0) + 1
            if known := self._inspected.get(container_id):
                known.stale = True

    def _stop_seconds(self, container_id: str) -> float:
        with self._lock:
            known = self._inspected.get(container_id)
        return (known.details.stop_timeout if known else 10) + _STOP_GRACE

    # --- sizes -------------------------------------------------------------------------------------

    def _path_here(self, volume: Volume) -> str:
        """Where this host can walk the volume's files, "" if it cannot."""
        if not self._connection.address.socket:
            return ""
        path = volume.path
        if volume.kind in (VolumeKind.TMPFS, VolumeKind.LAYER):
            path = self._path_in_container(volume)
            return path if path and is_walkable(path, inside_process=True) else ""
        return path if path and is_walkable(path) else ""

    def _path_in_container(self, volume: Volume) -> str:
        """A running container's own files, seen through its first process (root only)."""
        for use in volume.used_by:
            with self._lock:
                known = next((k for k in self._inspected.values() if k.details.container.name == use.container), None)
            if use.running and known is not None and runs_here(known.details.container.id, known.details.pid):
                return f"/proc/{known.details.pid}/root{use.destination}"
        return ""

    def _sizes_by_engine(self) -> dict[str, int]:
        """By volume name. Engines before 23 ignore `type` and count images and layers as well."""
        answer = self._connection.get("/system/df", {"type": "volume"}, timeout=_DISK_USAGE_TIMEOUT)
        found = ((str(row.get("Name")), (row.get("UsageData") or {}).get("Size")) for row in answer["Volumes"] or [])
        return {name: size for name, size in found if isinstance(size, int) and size >= 0}


def _version(api: str) -> tuple[int, ...]:
    return tuple(int(part) for part in api.split(".") if part.isdigit())


def _is_stale(known: _Inspected, row: Container) -> bool:
    age = time.monotonic() - known.at
    if known.stale or (known.details.container.state != row.state and age > _SAME_LOOK_SECONDS):
        return True
    return bool(row.health) and age > (_WELL_SECONDS if row.health == "healthy" else _ILL_SECONDS)
