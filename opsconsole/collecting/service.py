"""The collector: samples, events and log files without a console, once or until it is stopped."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from opsconsole.alert_watch import AlertWatch
from opsconsole.collecting.log_files import LogWriting, check
from opsconsole.collecting.recording import Outcome, Recording
from opsconsole.config import Config
from opsconsole.durable import is_held, open_private
from opsconsole.metrics import COLLECTOR, Event, EventKind, MetricsStore, metrics_file
from opsconsole.metrics.measuring import silent
from opsconsole.model import SOURCE_WORDS, SourceError
from opsconsole.monitor import Monitor
from opsconsole.operations.places import state_directory
from opsconsole.operations.site import Site
from opsconsole.schedule.records import Log

LOG = "collect.log"
ONCE_SECONDS = 10
"""The slot of a sample that is taken by itself: two within ten seconds are one."""

_LOOK_SECONDS = 2.0
_SETTLE_SECONDS = 30.0
STORED, IN_PART, NOTHING = 0, 1, 2

Make = Callable[[Site, Config], Monitor]
"""Makes the monitor of a stack; not started."""


def store_of(site: Site, config: Config) -> MetricsStore:
    return MetricsStore(metrics_file(site.directory), max_bytes=round(config.metrics.max_mb * (1 << 20)))


def once(site: Site, config: Config, make: Make, *, text_file: Path | None, say: Callable[[str], None]) -> int:
    """One sample. 0: stored, by us or by a collector that runs; 1: stored, and something is missing; 2: not stored."""
    state_directory(site.directory)
    monitor = make(site, config)
    with store_of(site, config) as store:
        watch = AlertWatch(site.directory, config, store, monitor.alerts, stack=site.project)
        recording = _recording(monitor, store, site, watch, every=ONCE_SECONDS, text_file=text_file, say=say)
        monitor.start()
        try:
            snapshot = monitor.wait_until_settled(_SETTLE_SECONDS, sizes_seconds=0.0)
            outcome = recording.tick()
            watch.close()
            with contextlib.suppress(SourceError):
                store.give_lease_back(recording.holder)
        finally:
            monitor.stop()
    if outcome in (Outcome.FAILED, Outcome.TOO_EARLY):
        return NOTHING
    missing = silent(snapshot)
    for name in missing:
        reading = snapshot.readings[name]
        say(f"{SOURCE_WORDS[name]}: {reading.problem or 'did not answer'}")
    return IN_PART if missing or recording.text_problem else STORED


def serve(site: Site, make: Make, *, every: int, text_file: Path | None) -> int:
    """Samples until SIGTERM, SIGINT or SIGHUP. Changed settings are taken over. 0, also where one runs already."""
    with taken(site.directory) as held:
        if not held:
            if sys.stdout.isatty():
                print("a collector of this stack runs already; see `opsconsole collect status`")
            return STORED
        log = Log(site.directory, LOG)
        aloud = sys.stderr.isatty() or "JOURNAL_STREAM" in os.environ

        def say(line: str) -> None:
            log.line(line)
            if aloud:
                print(line, file=sys.stderr, flush=True)

        ended = threading.Event()
        with _signals(ended):
            say(f"collecting every {every} s")
            while not ended.is_set():
                _serve_with(site, make, every, text_file, say, ended)
            say("stopped")
        log.close()
    return STORED


def _serve_with(
    site: Site, make: Make, every: int, text_file: Path | None, say: Callable[[str], None], ended: threading.Event
) -> None:
    """Until it is ended, or the settings are others that can be used."""
    config = site.config()
    check(config.logs, site.directory)
    seen = _stamp(site)
    monitor, stop = make(site, config), threading.Event()
    store = store_of(site, config)
    watch = AlertWatch(site.directory, config, store, monitor.alerts, stack=site.project)
    recording = _recording(monitor, store, site, watch, every=every, text_file=text_file, say=say)
    threads = [threading.Thread(target=recording.run, args=(stop,), name="recording", daemon=True)]
    if config.logs.files:
        writing = LogWriting(monitor, site.directory, config.logs, say)
        threads.append(threading.Thread(target=writing.run, args=(stop,), name="log-files", daemon=True))
    monitor.start()
    _tell(store, EventKind.COLLECTOR_STARTED, f"the collector began, every {every} s")
    for thread in threads:
        thread.start()
    untold = Untold(site, say)
    while not ended.wait(_LOOK_SECONDS):
        untold.look()
        if (now := _stamp(site)) != seen:
            seen = now
            try:
                check(site.config().logs, site.directory)
            except SourceError as error:
                say(f"the settings stay as they were: {error.problem}")
                continue
            say("the settings were changed: begun anew")
            break
    if ended.is_set():
        _tell(store, EventKind.COLLECTOR_STOPPED, "the collector was stopped")
    stop.set()
    for thread in threads:
        thread.join(5.0)
    watch.close()
    monitor.stop()


class Untold:
    """Tells of incidents whose own teller was cut off, on a thread: a way that hangs holds nobody up."""

    def __init__(self, site: Site, say: Callable[[str], None]) -> None:
        from opsconsole.incident_room.telling import MakingUp

        self._making_up = MakingUp(site.directory, site.project or site.directory.name, site.config)
        self._say = say
        self._thread: threading.Thread | None = None

    def look(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._tell, name="incidents", daemon=True)
            self._thread.start()

    def _tell(self) -> None:
        with contextlib.suppress(SourceError):  # looked at again in a moment
            if said := self._making_up.look(datetime.now(UTC)):
                self._say(said)


def _recording(
    monitor: Monitor,
    store: MetricsStore,
    site: Site,
    watch: AlertWatch,
    *,
    every: int,
    text_file: Path | None,
    say: Callable[[str], None],
) -> Recording:
    return Recording(
        monitor,
        store,
        directory=site.directory,
        every=every,
        rank=COLLECTOR,
        watchers=(watch.sampled,),
        unstored=watch.unstored,
        text_file=text_file,
        say=say,
    )


@contextlib.contextmanager
def taken(directory: Path) -> Iterator[bool]:
    """Be the one collector of the stack that goes on; False when another is. Its end frees it, however it ends."""
    fd = open_private(state_directory(directory) / "collect.lock", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        yield False
        return
    try:
        os.ftruncate(fd, 0)
        os.pwrite(fd, str(os.getpid()).encode(), 0)
        yield True
    finally:
        os.close(fd)


def runs(directory: Path) -> bool:
    """Whether a collector of this stack goes on now."""
    return is_held(directory / ".opsconsole" / "collect.lock")


def began(directory: Path) -> datetime:
    """When the collector of this stack began that goes on now, or did last."""
    return datetime.fromtimestamp((directory / ".opsconsole" / "collect.lock").stat().st_mtime, UTC)


def stop(directory: Path) -> bool:
    """End the collector of this stack that goes on now. Whether there was one that we may end."""
    try:
        pid = int((directory / ".opsconsole" / "collect.lock").read_bytes() or b"0")
        if pid and runs(directory):
            os.kill(pid, signal.SIGTERM)
            return True
    except (OSError, ValueError):
        pass
    return False


def _tell(store: MetricsStore, kind: EventKind, text: str) -> None:
    now = datetime.now(UTC)
    with contextlib.suppress(SourceError):
        store.add_events([Event(at=now, kind=kind, subject=socket.gethostname(), text=text)])


def _stamp(site: Site) -> tuple[int, int, int] | None:
    """Of the settings file; None when there is none."""
    path = Path(site.config_file) if site.config_file else site.directory / "opsconsole.toml"
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


@contextlib.contextmanager
def _signals(ended: threading.Event) -> Iterator[None]:
    """SIGTERM, SIGINT and SIGHUP end it in good order: the sample that is being written is written."""

    def end(number: int, frame: FrameType | None) -> None:
        ended.set()

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
