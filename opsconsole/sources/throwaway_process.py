"""A throw-away server as a program of this host, in directories that only this account may enter."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from opsconsole.model import SourceError
from opsconsole.sources.throwaway import STOP_SECONDS, Ended, NoWay, Waiting, Wanted, check_disk, patient
from opsconsole.sources.throwaway_places import private_directory, socket_directory
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

_VERSION = re.compile(r"\bv=?(\d+)\.(\d+)\.\d+")
_TAIL = 16_384


@contextlib.contextmanager
def on_host(wanted: Wanted, scratch: Path, waiting: Waiting) -> Iterator[OnHost]:
    """Raises NoWay, NoRoom and SourceError."""
    program, version = _program(wanted)
    check_disk(scratch, wanted.disk)
    with private_directory(scratch) as place, socket_directory() as sockets:
        at = sockets / "server.sock"
        data = place / "data"
        data.mkdir(mode=0o700)
        for start in starts(wanted.kind, str(data), str(at), wanted.options):
            server = OnHost(wanted.kind, program, version, place, at)
            try:
                if not server.begin(start, waiting):
                    continue
                yield server
            finally:
                server.stop()
            return
    raise NoWay(f"{program} does not know the options that it is given")


class OnHost:
    """A process of ours."""

    container = ""

    def __init__(self, kind: str, program: str, version: str, place: Path, at: Path) -> None:
        self._kind = kind
        self._program = program
        self._place = place
        self._at = at
        self._process: subprocess.Popen[bytes] | None = None
        self._start: Start | None = None
        self.words = f"{program} {version}"
        self.connection = connection_to(kind, str(at))

    def begin(self, start: Start, waiting: Waiting) -> bool:
        """Start it and wait until it answers; False when it does not know an option."""
        self._start = start
        with (self._place / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [self._program, *start.words],
                cwd=self._place,
                env={"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self._place), "LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._step_back(self._process.pid)
        end = time.monotonic() + START_SECONDS
        while not answers(self._kind, str(self._at)):
            waiting()
            if (ended := self.ended()) is not None:
                if refuses_option(self._log()):
                    return False
                raise SourceError(f"{self._program} does not start: {ended}", "Does it start by itself?")
            if time.monotonic() > end:
                raise SourceError(f"{self._program} does not answer {START_SECONDS:.0f} s after its start")
            time.sleep(0.1)
        return True

    def restart(self, waiting: Waiting = patient) -> None:
        assert self._start is not None and self._process is not None
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_SECONDS)
        self.stop()
        self.begin(self._start, waiting)

    def put(self, source: Path, name: str) -> None:
        (self._place / "data" / name).symlink_to(source.absolute())

    def ended(self) -> Ended | None:
        code = self._process.poll() if self._process is not None else 0
        if code is None:
            return None
        return Ended(code=code if code >= 0 else 128 - code, said=reason(self._log()))

    def said(self) -> str:
        return complaint(self._log())

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def _log(self) -> list[str]:
        with contextlib.suppress(OSError), (self._place / "log").open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL))
            return log.read().decode("utf-8", "replace").splitlines()
        return []

    def _step_back(self, process: int) -> None:
        """When the host is short of processor or memory, the live server comes first."""
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, process, 10)
            Path(f"/proc/{process}/oom_score_adj").write_text("1000")


def _program(wanted: Wanted) -> tuple[str, str]:
    """The program on the PATH and its version, of a release that can stand for the server."""
    names = [name for start in starts(wanted.kind, "", "")[:1] for name in start.programs]
    found = next((path for name in names if (path := shutil.which(name))), "")
    if not found:
        raise NoWay(f"this host has no {names[0]}")
    said = _said(found)
    release = _VERSION.search(said)
    needed = re.match(r"(\d+)\.(\d+)", wanted.version)
    if release is None:
        raise NoWay(f"{found} does not tell its version")
    have = (int(release[1]), int(release[2]))
    if needed is not None:
        need = (int(needed[1]), int(needed[2]))
        # A newer Redis reads what an older one wrote; indexes and options of MongoDB differ with each release.
        if (have < need) if wanted.kind == "redis" else (have != need):
            raise NoWay(f"{found} is of release {have[0]}.{have[1]}, not {need[0]}.{need[1]}")
    return found, release[0].lstrip("v=")


def _said(program: str) -> str:
    try:
        done = subprocess.run(
            [program, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=30,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout
