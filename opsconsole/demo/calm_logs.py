"""The simulated logs on a good day, with what the services say because of a drill's fault."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

import msgspec

from opsconsole.demo.fleet import CRASHING
from opsconsole.log_levels import detect
from opsconsole.model import AccessRate, Container, LogLine, LogRate
from opsconsole.sources import LogRange, LogSource, LogStream

_SECOND = 1_000_000_000


class Voices:
    """What a fault makes of the logs. `says`: by service the lines that it writes each time; `silent`: services that
    write nothing else while they are ill."""

    silent: frozenset[str] = frozenset()
    every_seconds = 20.0

    @property
    def says(self) -> Mapping[str, tuple[str, ...]]:
        return {}

    def ill_from(self) -> datetime | None:
        """Since when; None for a fault that says nothing."""
        return None

    def ill_until(self) -> datetime:
        """Until when: now, or when it was mended."""
        raise NotImplementedError


class CalmLogs:
    """See `LogSource`."""

    def __init__(self, own: LogSource, voices: Voices) -> None:
        self._own, self._voices = own, voices

    def open(self, containers: Sequence[Container], wanted: LogRange) -> LogStream:
        return CalmStream(self._own.open(containers, wanted), containers, wanted, self._voices)

    def count(self, containers: Iterable[Container]) -> tuple[LogRate, ...]:
        return self._own.count(containers)

    def access(self, containers: Iterable[Container]) -> tuple[AccessRate, ...]:
        return tuple(msgspec.structs.replace(one, errors=0) for one in self._own.access(containers))


class CalmStream:
    """See `LogStream`."""

    def __init__(self, own: LogStream, containers: Sequence[Container], wanted: LogRange, voices: Voices) -> None:
        self._own, self._voices = own, voices
        self._containers = tuple(containers)
        self._told = _nanoseconds(wanted.since) if wanted.since else 0
        self._most = wanted.tail

    def read(self) -> list[LogLine]:
        lines = self._own.read()
        until = lines[-1].at if lines and not self._own.caught_up else _nanoseconds(self._voices.ill_until())
        extra = sorted(self._extra(self._told, until), key=lambda line: line.at)
        if self._told == 0 and self._most is not None:
            extra = extra[-self._most :] if self._most else []
        self._told = max(self._told, until)
        return sorted([*filter(self._stays, lines), *extra], key=lambda line: line.at)

    def _extra(self, since: int, until: int) -> Iterator[LogLine]:
        began = self._voices.ill_from()
        if began is None:
            return
        first, step = _nanoseconds(began), int(self._voices.every_seconds * _SECOND)
        for container in self._containers:
            texts = self._voices.says.get(container.service, ())
            for at in range(first, until + 1, step):
                if at > since:
                    yield from (
                        LogLine(at=at + n, service=container.service, container=container.id, text=text,
                                stderr=True, level=detect(text))
                        for n, text in enumerate(texts)
                    )  # fmt: skip

    def _stays(self, line: LogLine) -> bool:
        if line.service == CRASHING:
            return False  # on a good day it has nothing to say
        began = self._voices.ill_from()
        return began is None or line.service not in self._voices.silent or not (
            _nanoseconds(began) <= line.at <= _nanoseconds(self._voices.ill_until())
        )  # fmt: skip

    def retarget(self, containers: Sequence[Container]) -> None:
        self._containers = tuple(containers)
        self._own.retarget(containers)

    @property
    def problem(self) -> str:
        return self._own.problem

    @property
    def caught_up(self) -> bool:
        return self._own.caught_up

    def close(self) -> None:
        self._own.close()


def _nanoseconds(at: datetime) -> int:
    return int(at.timestamp() * _SECOND)
