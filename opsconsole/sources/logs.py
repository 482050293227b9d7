"""Container logs as the engine keeps them: streams of lines, and rates of HTTP answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime

from opsconsole.model import AccessRate, Container, LogRate
from opsconsole.sources import LogRange, LogStream
from opsconsole.sources.log_access import AccessCounter
from opsconsole.sources.log_patterns import LogPattern, PatternCounter
from opsconsole.sources.log_stream import DockerLogStream
from opsconsole.sources.log_wire import EngineDialer


class DockerLogs:
    """See `LogSource`. `docker_host` as in $DOCKER_HOST; None is where `docker` itself finds it.

    Nothing is connected before the first `open` or `access`.
    """

    def __init__(
        self,
        docker_host: str | None = None,
        *,
        now: Callable[[], int] = time.time_ns,
        patterns: Sequence[LogPattern] = (),
    ) -> None:
        self._dialer = EngineDialer(docker_host)
        self._now = now

        def clock() -> datetime:
            return datetime.fromtimestamp(now() / 1_000_000_000, UTC)

        self._access = AccessCounter(self.open, clock)
        self._patterns = PatternCounter(self.open, clock, patterns)

    def open(self, containers: Sequence[Container], wanted: LogRange) -> LogStream:
        return DockerLogStream(self._dialer, containers, wanted, now=self._now)

    def access(self, containers: Iterable[Container]) -> tuple[AccessRate, ...]:
        return self._access.look(list(containers))

    def count(self, containers: Iterable[Container]) -> tuple[LogRate, ...]:
        return self._patterns.look(list(containers))
