"""The simulated logs. A line is a pure function of seed, container and time, so any range can be written anew."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from opsconsole.demo.fleet import CRASHING, CYCLE, KILLED, ONE_SHOT, Fleet, Member
from opsconsole.demo.log_text import CRASH, MIGRATION, OUT_OF_MEMORY, STARTED, STOPPED, write
from opsconsole.demo.noise import Dice, business, mix, unit
from opsconsole.log_levels import http_status
from opsconsole.model import AccessRate, Container, LogLine, LogRate
from opsconsole.sources import LogRange, LogStream

BLOCK = 20
"""Seconds of log that are laid out at once."""

# Seconds of log from before the demo began, as if the engine's log files were rotated; less where many write.
_KEPT, _KEPT_LARGE, _LARGE = 3 * 3600, 20 * 60, 60
_SECOND = 1_000_000_000
_MOST_LINES, _MOST_SECONDS = 1_000, 0.012  # of one read: the reader may be a screen
_LONG_ENDED, _LONG_ENDED_SPAN = 200, 900  # lines and seconds of log of a container that ended before that
_TOLD_BY_ACCESS = ("nginx", "backend", "frontend")
_ACCESS_OVER = 300

Event = tuple[int, int, int, str]  # ns, number of the member, bits for its text, text when it is known already


class DemoLogs:
    """See `LogSource`."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._counted: dict[str, deque[tuple[int, int, int]]] = {}  # service: block, requests, errors

    def open(self, containers: Sequence[Container], wanted: LogRange) -> LogStream:
        return DemoStream(self._fleet, containers, wanted)

    def access(self, containers: Iterable[Container]) -> tuple[AccessRate, ...]:
        known = {container.service for container in containers}
        rates = (self._rate(service) for service in _TOLD_BY_ACCESS if service in known)
        return tuple(rate for rate in rates if rate.requests)

    def count(self, containers: Iterable[Container]) -> tuple[LogRate, ...]:
        return ()  # the demo has no settings, and so no rule that looks for something

    def _rate(self, service: str) -> AccessRate:
        """Counted block by block, and each block once."""
        last = int(self._fleet.now()) // BLOCK
        first = last - _ACCESS_OVER // BLOCK
        blocks = self._counted.setdefault(service, deque())
        while blocks and blocks[0][0] < first:
            blocks.popleft()
        for block in range(blocks[-1][0] + 1 if blocks else first, last):
            blocks.append((block, *self._count(service, block)))
        return AccessRate(
            service=service, requests=sum(block[1] for block in blocks), errors=sum(block[2] for block in blocks)
        )

    def _count(self, service: str, block: int) -> tuple[int, int]:
        requests = errors = 0
        for number, member in enumerate(self._fleet.members):
            if member.service != service:
                continue
            for event in events_of(member, number, block):
                for line in lines_of(member, event):
                    status = http_status(line.text)
                    requests += status is not None
                    errors += status is not None and status >= 500
        return requests, errors


# --- what was written when -------------------------------------------------------------------------


def events_of(member: Member, number: int, block: int) -> list[Event]:
    """What a container wrote in the block of seconds that starts at `block * BLOCK`, in order."""
    role, begins = member.role, block * BLOCK
    events = _told(member, number, begins)
    rate = role.lines / role.replicas * (0.4 + business(begins))
    expected = rate * BLOCK * (0.6 + 0.8 * unit(member.key + 11, block))
    count = int(expected + unit(member.key + 12, block))
    for step in range(count):
        bits = mix(member.key + 13, block * 64 + step)
        at = begins * _SECOND + bits % (BLOCK * _SECOND)
        if member.runs_at(at / _SECOND):
            events.append((at, number, bits, ""))
    events.sort()
    return events


def _told(member: Member, number: int, begins: int) -> list[Event]:
    """Lines that belong to something that happened: a start, a stop, a round of the crash loop."""
    ends = begins + BLOCK
    found: list[tuple[float, str, bool]] = []
    if member.service == CRASHING:
        since = member.started(ends)
        for turn in range(int((begins - since) // CYCLE) - 1, int((ends - since) // CYCLE) + 1):
            began = since + turn * CYCLE
            if turn >= 0 or not member.actions:
                found += [(began + offset, text, stderr) for offset, text, stderr in CRASH]
        found = [told for told in found if member.runs_at(told[0])]
    elif member.service == ONE_SHOT:
        found += [(member.born + offset, text, stderr) for offset, text, stderr in MIGRATION]
    elif member.service == KILLED and member.ended is not None:
        found += [(member.ended + offset, text, stderr) for offset, text, stderr in OUT_OF_MEMORY]
    for moment, action in member.actions:
        found.append((moment, f"{member.service}: {STARTED if action == 'start' else STOPPED}", False))
    return [
        (int(at * _SECOND) + step, number, int(stderr), text)
        for step, (at, text, stderr) in enumerate(found)
        if begins <= at < ends
    ]


def lines_of(member: Member, event: Event) -> Iterator[LogLine]:
    at, _, bits, text = event
    identity = member.base.id
    if text:
        yield LogLine(at=at, service=member.service, container=identity, text=text, stderr=bool(bits))
        return
    for step, (line, stderr) in enumerate(write(member.role.style, Dice(bits), at, identity)):
        yield LogLine(at=at + step, service=member.service, container=identity, text=line, stderr=stderr)


# --- the stream ------------------------------------------------------------------------------------


class DemoStream:
    """See `LogStream`. Writes on demand, a bounded number of lines for each `read`, so nothing is ever skipped."""

    def __init__(self, fleet: Fleet, containers: Sequence[Container], wanted: LogRange) -> None:
        self._fleet = fleet
        self._wanted = wanted
        self._opened = self._now()
        self._numbers = {member.base.id: number for number, member in enumerate(fleet.members)}
        self._targets = frozenset(self._numbers[found.id] for found in containers if found.id in self._numbers)
        self._from: dict[int, int] = {}  # number of a member: only lines from this ns on
        kept = _KEPT if len(fleet.members) <= _LARGE else _KEPT_LARGE
        self._oldest = int((fleet.anchor - kept) * _SECOND)
        self._closed = self._idle = self._caught_up = False
        self._work = self._written()

    def read(self) -> list[LogLine]:
        lines: list[LogLine] = []
        end = time.perf_counter() + _MOST_SECONDS
        while not self._closed and len(lines) < _MOST_LINES and time.perf_counter() < end:
            line = next(self._work, None)
            if line is not None:
                lines.append(line)
            elif self._idle:
                break
        return lines

    def retarget(self, containers: Sequence[Container]) -> None:
        wanted = frozenset(self._numbers[found.id] for found in containers if found.id in self._numbers)
        for number in wanted - self._targets:
            self._from[number] = self._now()
        self._targets = wanted

    @property
    def problem(self) -> str:
        return ""

    @property
    def caught_up(self) -> bool:
        return self._caught_up

    def close(self) -> None:
        self._closed = True

    # --- generators that yield None wherever they can be interrupted ---

    def _now(self) -> int:
        return int(self._fleet.now() * _SECOND)

    def _written(self) -> Iterator[LogLine | None]:
        left = self._wanted.head
        for line in self._lines():
            if left == 0:
                break
            if left is not None and line is not None:
                left -= 1
            yield line
        self._caught_up = self._idle = True
        while True:
            yield None

    def _lines(self) -> Iterator[LogLine | None]:
        wanted = self._wanted
        cursor = self._oldest
        if wanted.since is not None:
            cursor = max(cursor, int(wanted.since.timestamp() * _SECOND))
        tail = wanted.tail if wanted.head is None else None
        if tail is not None:
            yield from self._find_tails(tail, cursor)
            cursor = min((self._from.get(number, cursor) for number in self._targets), default=self._opened)
        elif wanted.since is None:
            yield from self._long_ended(_LONG_ENDED)
        while wanted.follow or cursor <= self._opened:
            block = cursor // (BLOCK * _SECOND)
            events: list[Event] = []
            changes, targets = self._fleet.changes, self._targets
            for number in targets:
                if self._from.get(number, 0) < (block + 1) * BLOCK * _SECOND:
                    events += events_of(self._fleet.members[number], number, block)
                if number % 50 == 49:
                    yield None
            events.sort()
            for line in self._block(events, block, cursor, changes, targets):
                if isinstance(line, int):
                    cursor = line
                else:
                    yield line

    def _block(
        self, events: list[Event], block: int, cursor: int, changes: int, targets: frozenset[int]
    ) -> Iterator[LogLine | int | None]:
        """The lines of one block as they come due, and at its end, or when an action changes what was laid out,
        the moment up to which they were handed out."""
        ends, at = (block + 1) * BLOCK * _SECOND, 0
        while changes == self._fleet.changes and targets == self._targets:
            until = min(self._now() + 1, ends)
            if not self._wanted.follow:
                until = min(until, self._opened + 1)
            while at < len(events) and events[at][0] < until:
                event = events[at]
                at += 1
                if event[0] >= cursor:
                    begins = self._from.get(event[1], 0)
                    yield from (line for line in lines_of(self._fleet.members[event[1]], event) if line.at >= begins)
            cursor = max(cursor, until)
            if cursor >= ends or (cursor > self._opened and not self._wanted.follow):
                break
            self._caught_up = self._caught_up or cursor > self._opened
            self._idle = True
            yield None
            self._idle = False
        yield cursor

    def _find_tails(self, tail: int, oldest: int) -> Iterator[LogLine | None]:
        """Where the last `tail` lines of each container begin, into `_from`; those long ended are handed out."""
        yield from self._long_ended(tail)
        for number in sorted(self._targets):
            found: list[LogLine] = []
            for lines in self._backwards(number, self._opened, oldest):
                yield None
                found = lines + found
                if len(found) >= tail:
                    break
            last = found[-tail:] if tail else []
            self._from[number] = last[0].at if last else self._opened

    def _backwards(self, number: int, newest: int, oldest: int) -> Iterator[list[LogLine]]:
        member = self._fleet.members[number]
        for block in range(newest // (BLOCK * _SECOND), oldest // (BLOCK * _SECOND) - 1, -1):
            lines = [line for event in events_of(member, number, block) for line in lines_of(member, event)]
            yield [line for line in lines if oldest <= line.at <= newest]

    def _long_ended(self, most: int) -> Iterator[LogLine | None]:
        """The last lines of containers that ended before the time that is laid out for the running ones."""
        found: list[LogLine] = []
        for number in sorted(self._targets):
            ended = self._fleet.members[number].ended
            if ended is None or ended * _SECOND >= self._oldest:
                continue
            last: list[LogLine] = []
            newest = int(ended * _SECOND)
            for lines in self._backwards(number, newest, newest - _LONG_ENDED_SPAN * _SECOND):
                yield None
                last = lines + last
            found += last[-most:] if most else []
        yield from sorted(found, key=lambda line: line.at)
