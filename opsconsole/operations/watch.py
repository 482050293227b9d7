"""What runs and what is half done on a stack, seen by whoever began it: a look at `.opsconsole` once a second.

An idle look is two stat() calls. The directories are read when one of the two has changed, a journal while its
operation runs.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from opsconsole.model import Record, SourceError
from opsconsole.operations import journal, unfinished
from opsconsole.operations.course import Course, Mark, course
from opsconsole.operations.journal import Entry, Follower
from opsconsole.operations.plan import Plan
from opsconsole.operations.unfinished import HalfDone
from opsconsole.operations.who import Who

LOOK_SECONDS = 1.0


class Running(Record, frozen=True):
    """An operation at work. `step` is "" before the first one."""

    operation: str
    title: str
    who: Who | None
    began: datetime
    number: int = 0
    of: int = 0
    step: str = ""
    back: bool = False  # on its way back
    cancel_asked: bool = False


class Seen(Record, frozen=True):
    """One look. `problem` says why the operations cannot be read."""

    running: tuple[Running, ...] = ()  # newest first
    half_done: tuple[HalfDone, ...] = ()  # newest first
    problem: str = ""


class Watch:
    """`seen` is always the last look; `changed` is called, on the watching thread, when it is another."""

    def __init__(self, directory: Path, changed: Callable[[Seen], None]) -> None:
        self.seen = Seen()
        self._directory = directory
        self._changed = changed
        self._wake = threading.Event()
        self._stopped = False
        self._signature: tuple[object, ...] | None = None
        self._ended: set[str] = set()
        self._followed: dict[str, _Followed] = {}

    def run(self) -> None:
        """Look until `stop`, which another thread calls."""
        first = True
        while not self._stopped:
            try:
                seen = self.look()
            except Exception as error:  # a fault of ours must be read, not end the watching
                seen = Seen(problem=f"unexpected {type(error).__name__}: {error}")
            if seen != self.seen or first:
                first = False
                self.seen = seen
                self._changed(seen)
            self._wake.wait(LOOK_SECONDS)
            self._wake.clear()

    def stop(self) -> None:
        self._stopped = True
        self._wake.set()

    def look_now(self) -> None:
        """Do not wait for the second to be over: something was begun."""
        self._signature = None
        self._wake.set()

    def look(self) -> Seen:
        """One look; cheap when nothing has happened since the last."""
        try:
            signature = self._signed()
            if signature == self._signature and not self._followed and not self.seen.problem:
                return self.seen
            gone = [name for name, one in self._followed.items() if not journal.is_alive(one.place)]
            if signature != self._signature or gone:
                self._signature = signature
                self._follow(unfinished.running(self._directory, self._ended))
                half_done = unfinished.unfinished(self._directory, self._ended)
            else:
                half_done = tuple(reversed(self.seen.half_done))
            running = [one.look() for one in self._followed.values()]
        except SourceError as error:
            return Seen(problem=str(error))
        known = [one for one in running if one is not None]
        return Seen(
            running=tuple(sorted(known, key=lambda one: one.operation, reverse=True)),
            half_done=tuple(reversed(half_done)),
        )

    def _signed(self) -> tuple[object, ...]:
        found: list[object] = []
        for name in ("", "chain.jsonl"):
            try:
                stat = (self._directory / ".opsconsole" / "operations" / name).stat()
                found.append((stat.st_mtime_ns, stat.st_size, stat.st_ino))
            except OSError:
                found.append(None)
        return tuple(found)

    def _follow(self, places: tuple[Path, ...]) -> None:
        self._followed = {place.name: self._followed.get(place.name) or _Followed(place) for place in places}


class _Followed:
    """One operation at work."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self._records = Follower(place)
        self._plan: Plan | None = None
        with contextlib.suppress(SourceError):  # its records say enough
            self._plan = journal.read_plan(place)
        self._entries: list[Entry] = []
        self._course = Course()

    def look(self) -> Running | None:
        """None before it has said that it begins, and once it has said how it ended."""
        new = [entry for entry in self._records.read() if entry.event != "progress"]
        if new:
            self._entries += new
            self._course = course(self._plan, self._entries)
        found = self._course
        if found.begin is None or found.end is not None:
            return None
        begun = [at for at, one in enumerate(found.steps) if one.mark is not Mark.TO_COME]
        at = begun[-1] if begun else None
        return Running(
            operation=self.place.name,
            title=found.begin.title or found.begin.kind,
            who=found.begin.who,
            began=found.begin.at,
            number=at + 1 if at is not None else 0,
            of=len(found.steps),
            step=found.steps[at].title if at is not None else "",
            back=found.turned is not None,
            cancel_asked=bool(journal.cancel_asked(self.place)),
        )
