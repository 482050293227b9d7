"""HTTP answers counted in access-log lines: how many requests each service answered, and how many with an error."""

from __future__ import annotations

import re
import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock

from opsconsole.log_levels import http_status
from opsconsole.model import AccessRate, Container, SourceError
from opsconsole.roles import image_basename, role_of
from opsconsole.sources import LogRange, LogStream

WINDOW = timedelta(minutes=5)

MOST_LINES = 2000
"""Lines read of a container in one look. A busier one is a sample of its newest lines: the share of errors holds."""

_DEADLINE = 10.0  # seconds for one look at all containers
_MARGIN = timedelta(seconds=5)  # by which the engine's clock may differ from ours
_REST = timedelta(minutes=1)  # for a container that writes lines and none of an access log

_DATABASES = re.compile(r"postgres|postgis|mysql|mariadb|memcached|rabbitmq|elasticsearch")  # beside those with a role


@dataclass(slots=True)
class _Tally:
    """One container: what was counted, by the time of the lines, and up to when."""

    service: str
    read_to: int = 0  # nanoseconds, by the engine's clock
    looked_at: datetime | None = None
    rests_until: datetime | None = None
    answers: deque[tuple[int, bool]] = field(default_factory=deque)  # (nanoseconds, is an error)


class AccessCounter:
    """Reads the newest lines of each running container that is no database, each line once."""

    def __init__(
        self, open_stream: Callable[[Sequence[Container], LogRange], LogStream], now: Callable[[], datetime]
    ) -> None:
        self._open = open_stream
        self._now = now
        self._tallies: dict[str, _Tally] = {}
        self._lock = Lock()

    def look(self, containers: Sequence[Container]) -> tuple[AccessRate, ...]:
        """Rates over the last five minutes, of the services that write an access log. SourceError without an engine."""
        with self._lock:
            now = self._now()
            present = [each for each in containers if each.state == "running" and not _is_database(each)]
            known = {each.id for each in present}
            self._tallies = {key: tally for key, tally in self._tallies.items() if key in known}
            for container in present:
                self._tallies.setdefault(container.id, _Tally(container.service or container.name))
            self._read([each for each in present if not self._rests(each, now)], now)
            return self._rates(now)

    def _rests(self, container: Container, now: datetime) -> bool:
        until = self._tallies[container.id].rests_until
        return until is not None and now < until

    def _read(self, containers: Sequence[Container], now: datetime) -> None:
        if not containers:
            return
        # One start for all: what a container is asked again is told apart by the times of its lines.
        since = max(now - WINDOW, min(self._tallies[each.id].looked_at or now - WINDOW for each in containers))
        wanted = LogRange(since=since, tail=MOST_LINES, follow=False, keep_all=True)
        seen: dict[str, int] = defaultdict(int)
        stream = self._open(containers, wanted)
        try:
            deadline = time.monotonic() + _DEADLINE
            while not stream.caught_up:
                if time.monotonic() > deadline or stream.problem.startswith("no logs"):
                    raise SourceError(stream.problem or f"reading access logs took longer than {_DEADLINE:.0f} s")
                if not self._count(stream, seen):
                    time.sleep(0.01)
            self._count(stream, seen)
        finally:
            stream.close()
        for container in containers:
            tally = self._tallies[container.id]
            tally.looked_at = now - _MARGIN
            if seen[container.id] >= 20 and not tally.answers:
                tally.rests_until = now + _REST

    def _count(self, stream: LogStream, seen: dict[str, int]) -> int:
        lines = stream.read()
        for line in lines:
            tally = self._tallies[line.container]
            if line.at <= tally.read_to:
                continue
            seen[line.container] += 1
            tally.read_to = line.at
            status = http_status(line.text)
            if status is not None:
                tally.answers.append((line.at, status >= 500))
        return len(lines)

    def _rates(self, now: datetime) -> tuple[AccessRate, ...]:
        oldest = int((now - WINDOW).timestamp() * 1_000_000_000)
        totals: dict[str, list[int]] = {}
        for tally in self._tallies.values():
            while tally.answers and (tally.answers[0][0] < oldest or len(tally.answers) > 10 * MOST_LINES):
                tally.answers.popleft()
            if tally.answers:
                total = totals.setdefault(tally.service, [0, 0])
                total[0] += len(tally.answers)
                total[1] += sum(error for _, error in tally.answers)
        return tuple(
            AccessRate(service=name, requests=all_, errors=bad) for name, (all_, bad) in sorted(totals.items())
        )


def _is_database(container: Container) -> bool:
    return bool(role_of(container.image, container.command) or _DATABASES.search(image_basename(container.image)))
