"""What the Logs pane follows: which services, which range, and the stream that brings their lines."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from opsconsole.log_names import service_of
from opsconsole.model import Container, LogLine
from opsconsole.sources import LogSource, LogStream
from opsconsole.ui.panes.log_status import RANGES, Range


class Following:
    """At most one stream at a time. No services means all of them."""

    def __init__(self) -> None:
        self.containers: tuple[Container, ...] = ()
        self.services: frozenset[str] = frozenset()
        self.names: tuple[str, ...] = ()  # of all services there are, and of those that are waited for
        self.number = 0  # of the range
        self.skipped = 0  # lines that the stream had to drop
        self._stream: LogStream | None = None
        self._told: object = None

    @property
    def range(self) -> Range:
        return RANGES[self.number]

    @property
    def chosen(self) -> tuple[Container, ...]:
        """The containers that are wanted."""
        return tuple(each for each in self.containers if not self.services or service_of(each) in self.services)

    @property
    def is_open(self) -> bool:
        return self._stream is not None

    @property
    def problem(self) -> str:
        return self._stream.problem if self._stream else ""

    @property
    def catching_up(self) -> bool:
        return self._stream is not None and not self._stream.caught_up

    def know(self, containers: Sequence[Container]) -> None:
        """The containers there are now."""
        self.containers = tuple(containers)
        self._name()

    def want(self, services: frozenset[str]) -> None:
        self.services = services
        self._name()

    def open(self, source: LogSource, now: datetime) -> None:
        """Read anew. Without a container nothing is opened: `is_open` stays False."""
        self.close()
        self.skipped = 0
        if chosen := self.chosen:
            self._told = _worth_telling(chosen)
            self._stream = source.open(chosen, self.range.wanted(now, len(chosen)))

    def retarget(self) -> bool:
        """Tell the stream of recreated and stopped containers; whether there was anything to tell."""
        news = _worth_telling(self.chosen)
        if self._stream is None or news == self._told:
            return False
        self._told = news
        self._stream.retarget(self.chosen)
        return True

    def read(self) -> list[LogLine]:
        lines = self._stream.read() if self._stream is not None else []
        self.skipped += sum(line.skipped for line in lines)
        return lines

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _name(self) -> None:
        self.names = tuple(sorted({service_of(each) for each in self.containers} | self.services))


def _worth_telling(containers: Sequence[Container]) -> object:
    """Another container, another state."""
    return frozenset((each.id, each.state, each.started_at) for each in containers)
