"""Logs in files: `<directory>/<service>/<service>.log`, packed and begun anew when it is large, bounded in all.

A file holds UTC time, service, stream and text, with nothing in it that acts on a terminal. After a pause the lines go
on after the last one that is there, as far as the engine still has them; where it has not, nothing is made up.
"""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from opsconsole.config.sections import LogsSection
from opsconsole.durable import open_private, write_all
from opsconsole.log_names import service_of
from opsconsole.log_saving import saved_line
from opsconsole.model import Container, LogLine, Record, SourceError
from opsconsole.monitor import Monitor
from opsconsole.sources import LogRange

_IDLE_SECONDS, _AGAIN_SECONDS = 0.5, 10.0
_LAST_BYTES = 64 << 10
_NANOSECONDS = 1_000_000_000
_PACKED = re.compile(r"\.log\.(?P<number>\d+)\.gz$")
_TIME = re.compile(r"^(?P<at>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3})Z ")


class LogFile:
    """The file of one service. Methods raise OSError."""

    def __init__(self, directory: Path, service: str, settings: LogsSection) -> None:
        name = re.sub(r"[^\w.-]+", "_", service).strip(".") or "container"
        self.path = directory / name / f"{name}.log"
        self._settings = settings
        self._fd: int | None = None
        self._size = 0

    def last_at(self) -> int:
        """Time of its last line in nanoseconds since 1970, to the millisecond; 0 when there is none. Of the newest
        packed one, where no line came after it."""
        for read in (self._last_text, self._last_packed_text):
            for line in reversed(read().splitlines()):
                if found := _TIME.match(line):
                    moment = datetime.fromisoformat(found["at"]).replace(tzinfo=UTC)
                    return round(moment.timestamp() * 1000) * (_NANOSECONDS // 1000)
        return 0

    def write(self, lines: Iterable[LogLine]) -> None:
        """Append the lines; the file is packed first when they would make it too large."""
        data = "".join(map(saved_line, lines)).encode(errors="replace")
        self.path.parent.parent.mkdir(mode=0o700, exist_ok=True)
        self.path.parent.mkdir(mode=0o700, exist_ok=True)
        with self._alone():
            self._ready()
            assert self._fd is not None
            if self._size and self._size + len(data) > self._settings.max_mb * (1 << 20):
                self._rotate()
                self._ready()
            write_all(self._fd, data)
            self._size += len(data)

    def rotate(self) -> bool:
        """Pack what is there as .1.gz, the ones before move on, and the last goes. Whether there was anything."""
        if not self.path.parent.is_dir():
            return False
        with self._alone():
            return self._rotate()

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody else writes or rotates meanwhile: a line that came between the packing and the removal would be lost,
        and two that pack the same file trip over each other. The end of a process frees it."""
        fd = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def _rotate(self) -> bool:
        self.close()
        try:
            if self.path.lstat().st_size == 0:
                return False
        except FileNotFoundError:
            return False
        for number in range(max(self._numbers(), default=0), 0, -1):
            with contextlib.suppress(FileNotFoundError):
                self._packed(number).replace(self._packed(number + 1))
        full = self.path.with_name(f"{self.path.name}.full")
        self.path.replace(full)
        self._pack(full)
        self.clean()
        return True

    def clean(self, now: datetime | None = None) -> int:
        """Remove packed files that are too many or too old; how many."""
        oldest = ((now or datetime.now(UTC)) - timedelta(days=self._settings.days)).timestamp()
        removed = 0
        for number in self._numbers():
            path = self._packed(number)
            with contextlib.suppress(FileNotFoundError):
                if number > self._settings.keep or path.stat().st_mtime < oldest:
                    path.unlink()
                    removed += 1
        return removed

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
        self._fd = None

    def _ready(self) -> None:
        """Open, unless it is open already and still the file of this name: somebody may have rotated it."""
        if self._fd is not None:
            with contextlib.suppress(FileNotFoundError):
                there, here = self.path.lstat(), os.fstat(self._fd)
                if (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino):
                    return
            self.close()
        full = self.path.with_name(f"{self.path.name}.full")
        if full.exists():  # killed while it was packed
            self._pack(full)
        self._fd = open_private(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._size = os.fstat(self._fd).st_size

    def _pack(self, full: Path) -> None:
        """Whole or not at all: what is unfinished has another name."""
        unfinished = full.with_name(f"{full.name}.gz")
        unfinished.unlink(missing_ok=True)
        with (
            open(full, "rb") as source,
            os.fdopen(open_private(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as target,
            gzip.GzipFile(filename="", fileobj=target, mode="wb") as packed,
        ):
            shutil.copyfileobj(source, packed, 1 << 20)
        unfinished.replace(self._packed(1))
        full.unlink()

    def _last_text(self) -> str:
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return ""
        try:
            return os.pread(fd, _LAST_BYTES, max(0, os.fstat(fd).st_size - _LAST_BYTES)).decode(errors="replace")
        finally:
            os.close(fd)

    def _last_packed_text(self) -> str:
        last = b""
        with contextlib.suppress(FileNotFoundError, EOFError, gzip.BadGzipFile), gzip.open(self._packed(1)) as packed:
            while piece := packed.read(1 << 20):
                last = (last + piece)[-_LAST_BYTES:]
        return last.decode(errors="replace")

    def _packed(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}.gz")

    def _numbers(self) -> list[int]:
        if not self.path.parent.is_dir():
            return []
        names = (_PACKED.search(entry.name) for entry in os.scandir(self.path.parent))
        return sorted(int(found["number"]) for found in names if found)


class Kept(Record, frozen=True):
    """What there is of one service, for `collect status`."""

    service: str
    path: str
    size_bytes: int
    packed: int = 0
    packed_bytes: int = 0
    newest: datetime | None = None


def kept(directory: Path, settings: LogsSection) -> tuple[Kept, ...]:
    """The log files that are there, whether they are written now or not. Raises OSError."""
    place = directory / settings.directory
    found = []
    for entry in sorted(os.scandir(place), key=lambda entry: entry.name) if place.is_dir() else ():
        path = Path(entry.path) / f"{entry.name}.log"
        packed = [other.stat() for other in path.parent.glob(f"{path.name}.*.gz")]
        now = [path.stat()] if path.is_file() else []
        if packed or now:
            found.append(
                Kept(
                    service=entry.name,
                    path=str(path),
                    size_bytes=sum(one.st_size for one in now),
                    packed=len(packed),
                    packed_bytes=sum(one.st_size for one in packed),
                    newest=datetime.fromtimestamp(max(one.st_mtime for one in (*now, *packed)), UTC),
                )
            )
    return tuple(found)


def files_of(directory: Path, settings: LogsSection) -> tuple[LogFile, ...]:
    """Those that are there, to rotate or to clean."""
    place = directory / settings.directory
    return tuple(LogFile(place, one.service, settings) for one in kept(directory, settings))


class LogWriting:
    """Follows the logs of the services that the settings name and writes them, until `stop` is set."""

    def __init__(self, monitor: Monitor, directory: Path, settings: LogsSection, say: Callable[[str], None]) -> None:
        self._monitor = monitor
        self._place = directory / settings.directory
        self._settings = settings
        self._say = say
        self._files: dict[str, LogFile] = {}
        self._written: dict[str, int] = {}  # the last line of each file from before, in nanoseconds
        self._problem = ""

    def run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                self._follow(stop)
            except SourceError as error:
                self._failed(f"logs are not written: {error.problem}")
                stop.wait(_AGAIN_SECONDS)

    def _follow(self, stop: threading.Event) -> None:
        began = self._monitor.clock()
        containers = self._chosen()
        while not containers and not stop.wait(_IDLE_SECONDS):
            containers = self._chosen()
        if stop.is_set():
            return
        stream = self._monitor.sources.logs.open(containers, LogRange(since=self._since(containers, began)))
        try:
            while not stop.is_set():
                if not self._write(stream.read()):
                    stop.wait(_IDLE_SECONDS)
                if (now := self._chosen()) != containers:
                    containers = now
                    stream.retarget(containers)
        finally:
            stream.close()
            for file in self._files.values():
                file.close()

    def _chosen(self) -> Sequence[Container]:
        wanted = self._settings.files
        return tuple(one for one in self._monitor.snapshot.containers if "*" in wanted or service_of(one) in wanted)

    def _since(self, containers: Sequence[Container], began: datetime) -> datetime:
        """Where the oldest of the files ended; from now on, where there is none."""
        for service in {service_of(one) for one in containers}:
            with contextlib.suppress(OSError):
                self._written[service] = self._file(service).last_at()
        known = [at for at in self._written.values() if at]
        return min((datetime.fromtimestamp(at / _NANOSECONDS, UTC) for at in known), default=began)

    def _file(self, service: str) -> LogFile:
        if service not in self._files:
            self._files[service] = LogFile(self._place, service, self._settings)
        return self._files[service]

    def _write(self, lines: Sequence[LogLine]) -> bool:
        """Whether there were any."""
        by_service: dict[str, list[LogLine]] = {}
        for line in lines:
            # The file knows milliseconds: of the last one there a line may come twice, and none is lost.
            if line.skipped or line.at >= self._written.get(line.service, 0):
                by_service.setdefault(line.service, []).append(line)
        for service, found in by_service.items():
            try:
                self._file(service or "skipped").write(found)
            except OSError as error:
                self._failed(f"log lines of {service} are not written: {error.strerror}")
            else:
                self._failed("") if self._problem else None
        return bool(lines)

    def _failed(self, problem: str) -> None:
        if problem != self._problem:
            self._say(problem or "log lines are written again")
        self._problem = problem


def check(settings: LogsSection, directory: Path) -> None:
    """Raises SourceError when files would be written somewhere else than beside the stack."""
    if not (directory / settings.directory).resolve().is_relative_to(directory.resolve()):
        raise SourceError(
            f"[logs] directory leads out of {directory}", "Name a directory beside the compose file, such as logs."
        )
