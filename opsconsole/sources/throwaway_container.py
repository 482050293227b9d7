"""A throw-away server in a container: without a network, without capabilities, with a volume that goes with it.

The image's own entry point is passed over, as each has its own ideas; the program runs as the container's root, who
has no capability left and can write to nothing but the new volume, whatever user the image's directories belong to.
"""

from __future__ import annotations

import contextlib
import json
import re
import tarfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from opsconsole.model import SourceError
from opsconsole.sources.engine_connection import EngineConnection
from opsconsole.sources.engine_faults import ContainerGone, EngineRefused
from opsconsole.sources.engine_parse import parse_time
from opsconsole.sources.throwaway import STOP_SECONDS, Ended, NoWay, Waiting, Wanted, check_disk, patient
from opsconsole.sources.throwaway_maker import is_gone, mine
from opsconsole.sources.throwaway_places import PREFIX, socket_directory
from opsconsole.sources.throwaway_program import (
    START_SECONDS,
    Start,
    answers,
    complaint,
    connection_to,
    reason,
    refuses_option,
    starts,
)
from opsconsole.text import printable

LABEL = "opsconsole.throwaway"
"""Its value is the operation; beside it `<label>.maker` names the process."""

_ANSWER_SECONDS = 30.0
_ENGINE_SECONDS = 600.0  # removing a container with a large volume takes as long as deleting its files
_OLDEST_SECONDS = 2 * 86_400  # of one whose maker cannot be told from here
_DATA, _SOCKETS = "/opsconsole-proof", "/opsconsole-socket"
_BLOCK = 512
_NOT_THERE = re.compile(r"executable file .*not found|no such file or directory", re.IGNORECASE)
# An image that Compose built carries the labels by which Compose knows its containers.
_NO_LABELS = {"com.docker.compose.project": "", "com.docker.compose.service": ""}


def sweep_containers() -> None:
    """Remove the containers of makers that are gone, with their data. Raises SourceError."""
    engine = EngineConnection(timeout=_ENGINE_SECONDS)
    try:
        _sweep(engine)
    finally:
        engine.close()


class _OtherStart(Exception):
    """Not with this program, or not with these options."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem


@contextlib.contextmanager
def in_container(wanted: Wanted, waiting: Waiting) -> Iterator[InContainer]:
    """Raises NoWay, NoRoom and SourceError."""
    if not wanted.image:
        raise NoWay("no container of the stack runs such a server")
    engine = EngineConnection(timeout=_ENGINE_SECONDS)
    try:
        if not engine.address.socket:
            raise NoWay(f"the engine at {engine.address.shown} is not on this host")
        try:
            image = engine.get(f"/images/{wanted.image}/json", timeout=_ANSWER_SECONDS)
        except ContainerGone:
            raise NoWay(f"the image {printable(wanted.image)[:80]} is not on the engine any more") from None
        _sweep(engine)
        check_disk(
            Path(str(engine.get("/info", timeout=_ANSWER_SECONDS).get("DockerRootDir") or "/nowhere")), wanted.disk
        )
        with contextlib.ExitStack() as stack:
            sockets = stack.enter_context(socket_directory())
            yield stack.enter_context(_first_that_starts(engine, image, wanted, sockets, waiting))
    finally:
        engine.close()


@contextlib.contextmanager
def _first_that_starts(
    engine: EngineConnection, image: dict[str, Any], wanted: Wanted, sockets: Path, waiting: Waiting
) -> Iterator[InContainer]:
    problem = ""
    for start in starts(wanted.kind, _DATA, f"{_SOCKETS}/server.sock", wanted.options):
        for program in start.programs:
            server = InContainer(engine, image, wanted, sockets / "server.sock")
            try:
                server.begin(program, start, waiting)
            except _OtherStart as other:
                server.remove()
                problem = problem or other.problem
                continue
            except BaseException:
                with contextlib.suppress(SourceError):  # the next one sweeps it
                    server.remove()
                raise
            try:
                yield server
            except BaseException:
                with contextlib.suppress(SourceError):
                    server.remove()
                raise
            server.remove()
            return
    raise NoWay(problem)


class InContainer:
    """A container of ours."""

    def __init__(self, engine: EngineConnection, image: dict[str, Any], wanted: Wanted, at: Path) -> None:
        self._engine = engine
        self._image = str(image["Id"])
        self._wanted = wanted
        self._at = at
        tags = [str(tag) for tag in image.get("RepoTags") or ()]
        self.words = f"a container of {printable(tags[0] if tags else self._image[:19])}"
        self.container = at.parent.parent.name.lstrip(".")
        self.connection = connection_to(wanted.kind, str(at))

    def begin(self, program: str, start: Start, waiting: Waiting) -> None:
        """Create and start it, and wait until it answers."""
        config = self._config(program, start)
        self._engine.ask(lambda client: client.create_container_from_config(config, self.container))
        try:
            self._engine.ask(lambda client: client.start(self.container))
        except (EngineRefused, ContainerGone) as refused:
            if isinstance(refused, ContainerGone) or _NOT_THERE.search(refused.problem):
                raise _OtherStart(f"{self.words} has no {program}") from None
            raise
        self._wait(program, waiting)

    def restart(self, waiting: Waiting = patient) -> None:
        self._engine.ask(lambda client: client.restart(self.container, timeout=STOP_SECONDS))
        self._wait("the server", waiting)

    def _wait(self, program: str, waiting: Waiting) -> None:
        end = time.monotonic() + START_SECONDS
        while not answers(self._wanted.kind, str(self._at)):
            waiting()
            if (ended := self.ended()) is not None:
                self._not_started(program, ended)
            if time.monotonic() > end:
                raise SourceError(
                    f"{program} in {self.words} runs and cannot be reached by its socket {self._at}",
                    "Does the engine run in a virtual machine, or see another /tmp than this program?",
                )
            time.sleep(0.1)

    def put(self, source: Path, name: str) -> None:
        self._engine.ask(lambda client: client.put_archive(self.container, _DATA, _as_tar(source, name)))

    def ended(self) -> Ended | None:
        try:
            state = self._engine.get(f"/containers/{self.container}/json", timeout=_ANSWER_SECONDS)["State"]
        except ContainerGone:
            return Ended(code=137, said="its container was removed")
        if state.get("Status") in ("running", "created", "restarting"):
            return None
        return Ended(code=int(state.get("ExitCode") or 0), said=reason(self._log()))

    def said(self) -> str:
        return complaint(self._log())

    def remove(self) -> None:
        """With its volumes. Raises SourceError."""
        try:
            self._engine.ask(lambda client: client.remove_container(self.container, v=True, force=True))
        except ContainerGone:
            return
        except SourceError as error:
            raise SourceError(
                f"the throw-away container {self.container} could not be removed: {error.problem}",
                f"docker rm --force --volumes {self.container}",
            ) from None

    def _log(self) -> list[str]:
        with contextlib.suppress(SourceError):
            said: bytes = self._engine.ask(lambda client: client.logs(self.container, tail=50))
            return said.decode("utf-8", "replace").splitlines()
        return []

    def _not_started(self, program: str, ended: Ended) -> NoReturn:
        if refuses_option(self._log()):
            raise _OtherStart(f"{program} of {self.words} does not know an option: {ended.said}")
        raise SourceError(f"{program} in {self.words} does not start: {ended}", "Does that image start by itself?")

    def _config(self, program: str, start: Start) -> dict[str, Any]:
        return {
            "Image": self._image,
            "Entrypoint": [program],
            "Cmd": list(start.words),
            "User": "0:0",
            "WorkingDir": "/",
            "Labels": {**_NO_LABELS, LABEL: self._wanted.operation, f"{LABEL}.maker": mine()},
            "Volumes": {_DATA: {}},
            "Healthcheck": {"Test": ["NONE"]},
            "NetworkDisabled": True,
            "HostConfig": {
                "NetworkMode": "none",
                "PublishAllPorts": False,
                "RestartPolicy": {"Name": "no"},
                "CapDrop": ["ALL"],
                # Where SELinux rules it would keep the server from its socket; there is nothing else to reach.
                "SecurityOpt": ["no-new-privileges", "label=disable"],
                "ReadonlyRootfs": True,
                "Tmpfs": {"/tmp": ""},
                # Not `Binds`: that would make a directory where the engine does not see ours.
                "Mounts": [{"Type": "bind", "Source": str(self._at.parent), "Target": _SOCKETS}],
                # When the host is short of either, the live server comes first.
                "CpuShares": 256,
                "OomScoreAdj": 1000,
                "LogConfig": {"Type": "json-file", "Config": {"max-size": "5m", "max-file": "1"}},
            },
        }


def _as_tar(source: Path, name: str) -> Iterator[bytes]:
    """One file as the engine takes it."""
    member = tarfile.TarInfo(name)
    with source.open("rb") as file:
        file.seek(0, 2)
        member.size, member.mode = file.tell(), 0o600
        file.seek(0)
        yield member.tobuf(tarfile.GNU_FORMAT)
        while data := file.read(1 << 20):
            yield data
    yield bytes(-member.size % _BLOCK + 2 * _BLOCK)


def _sweep(engine: EngineConnection) -> None:
    """Remove the containers of makers that are gone."""
    wanted = {"all": "1", "filters": json.dumps({"label": [LABEL]})}
    rows = engine.get("/containers/json", wanted, timeout=_ANSWER_SECONDS)
    for row in rows or ():
        gone = is_gone(str((row.get("Labels") or {}).get(f"{LABEL}.maker") or ""))
        names = [str(name).lstrip("/") for name in row.get("Names") or ()]
        if not any(name.startswith(PREFIX) for name in names) or gone is False:
            continue
        if gone or _age(row) > _OLDEST_SECONDS:
            identity = str(row["Id"])
            with contextlib.suppress(ContainerGone, EngineRefused):
                engine.ask(lambda client, one=identity: client.remove_container(one, v=True, force=True))  # type: ignore[misc]


def _age(row: dict[str, Any]) -> float:
    created = row.get("Created")
    moment = datetime.fromtimestamp(created, UTC) if isinstance(created, int) else parse_time(created)
    return (datetime.now(UTC) - moment).total_seconds() if moment is not None else 0.0
