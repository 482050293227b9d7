"""Log lines that match the patterns of alert rules, counted over the last minute."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from threading import Lock

from opsconsole.log_filter import Pattern, pattern
from opsconsole.model import Container, LogRate, Record, SourceError
from opsconsole.sources import LogRange, LogStream

WINDOW = timedelta(minutes=1)

MOST_LINES = 20_000
"""Lines read of a container in one look: of one that writes more in a minute, its newest are counted."""

_LOOKED_AT = 2000  # characters of a line
_DEADLINE = 10.0  # seconds for one look at all containers
_MARGIN = timedelta(seconds=5)  # by which the engine's clock may differ from ours


class LogPattern(Record, frozen=True):
    """What a rule looks for, and in the logs of which services or containers; () for all."""

    rule: str
    expression: str
    of: tuple[str, ...] = ()

    def covers(self, container: Container) -> bool:
        names = (container.service, container.name)
        return not self.of or any(fnmatchcase(name, wanted) for name in names for wanted in self.of)


@dataclass(slots=True)
class _Counted:
    """One container: when lines that match were written, by rule, and up to when it was read."""

    service: str
    read_to: int = 0  # nanoseconds, by the engine's clock
    looked_at: datetime | None = None
    matches: dict[str, deque[int]] = field(default_factory=dict)


class PatternCounter:
    """Reads each line once, of the running containers that a rule is about."""

    def __init__(
        self,
        open_stream: Callable[[Sequence[Container], LogRange], LogStream],
        now: Callable[[], datetime],
        wanted: Sequence[LogPattern],
    ) -> None:
        self._open = open_stream
        self._now = now
        self._wanted: list[tuple[LogPattern, Pattern]] = [
            (one, pattern(one.expression, may_invert=False)) for one in wanted
        ]
        self._counted: dict[str, _Counted] = {}
        self._lock = Lock()

    def look(self, containers: Sequence[Container]) -> tuple[LogRate, ...]:
        """The lines of the last minute, for each rule and each service that it is about. SourceError without an
        engine."""
        with self._lock:
            now = self._now()
            present = [
                each
                for each in containers
                if each.state == "running" and any(one.covers(each) for one, _ in self._wanted)
            ]
            known = {each.id for each in present}
            self._counted = {key: counted for key, counted in self._counted.items() if key in known}
            for container in present:
                rules = {one.rule: deque[int]() for one, _ in self._wanted if one.covers(container)}
                self._counted.setdefault(container.id, _Counted(container.service or container.name, matches=rules))
            self._read(present, now)
            return self._rates(now)

    def _read(self, containers: Sequence[Container], now: datetime) -> None:
        if not containers:
            return
        # One start for all: what a container is asked again is told apart by the times of its lines.
        since = max(now - WINDOW, min(self._counted[each.id].looked_at or now - WINDOW for each in containers))
        stream = self._open(containers, LogRange(since=since, tail=MOST_LINES, follow=False, keep_all=True))
        try:
            deadline = time.monotonic() + _DEADLINE
            while not stream.caught_up:
                if time.monotonic() > deadline or stream.problem.startswith("no logs"):
                    raise SourceError(stream.problem or f"reading the logs took longer than {_DEADLINE:.0f} s")
                if not self._count(stream):
                    time.sleep(0.01)
            self._count(stream)
        finally:
            stream.close()
        for container in containers:
            self._counted[container.id].looked_at = now - _MARGIN

    def _count(self, stream: LogStream) -> int:
        lines = stream.read()
        for line in lines:
            counted = self._counted.get(line.container)
            if counted is None or line.at <= counted.read_to:
                continue
            counted.read_to = line.at
            text = line.text[:_LOOKED_AT]
            for one, compiled in self._wanted:
                if one.rule in counted.matches and compiled.matches(text):
                    counted.matches[one.rule].append(line.at)
        return len(lines)

    def _rates(self, now: datetime) -> tuple[LogRate, ...]:
        oldest = int((now - WINDOW).timestamp() * 1_000_000_000)
        totals: dict[tuple[str, str], int] = {}
        for counted in self._counted.values():
            for rule, matches in counted.matches.items():
                while matches and matches[0] < oldest:
                    matches.popleft()
                key = (rule, counted.service)
                totals[key] = totals.get(key, 0) + len(matches)
        return tuple(
            LogRate(rule=rule, service=service, lines=lines) for (rule, service), lines in sorted(totals.items())
        )
