"""What each running container uses: from the kernel where this host runs it, else from the engine."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from opsconsole.model import SourceError, Usage
from opsconsole.sources.cgroups import CgroupReader
from opsconsole.sources.engine_connection import EngineConnection
from opsconsole.sources.engine_faults import ContainerGone
from opsconsole.sources.usage import Counters, from_stats, usage_between

# An answer takes the engine 1-2 s: it waits for a second sample, with `one-shot` too (20.10). A few at a time,
# and not longer than this in one round; who is left out is first in the next.
_AT_ONCE = 4
_ROUND_SECONDS = 8.0
_STATS_TIMEOUT = 15.0

# Rates over less time are noise. Events ask for a sample at any moment.
_CLOSEST_SECONDS = 0.2


class Process(Protocol):
    """What finds a container on this host."""

    @property
    def pid(self) -> int: ...

    @property
    def host_network(self) -> bool: ...


class UsageSampler:
    """Remembers the last counters of each container. For one thread at a time."""

    def __init__(self, connection: EngineConnection) -> None:
        self._connection = connection
        self._reader: CgroupReader | None = None
        self._read: dict[str, Counters] = {}
        self._asked: dict[str, Counters] = {}  # by the engine's clock, never compared with ours
        self._last: dict[str, Usage] = {}
        self._forgotten: set[str] = set()
        self.host_memory: int | None = None

    def sample(self, running: Sequence[str], processes: Mapping[str, Process]) -> dict[str, Usage]:
        """Usage by container id. Raises SourceError when the engine had to be asked and did not answer."""
        reader = self._local_reader()
        elsewhere = list(running)
        if reader is not None:
            elsewhere = [name for name in running if not self._sample_here(reader, name, processes.get(name))]
        if elsewhere:
            self._sample_there(elsewhere)
        alive = set(running)
        for gone in self._last.keys() - alive:
            del self._last[gone]
        for counters in (self._read, self._asked):
            for gone in counters.keys() - alive:
                del counters[gone]
        return {name: self._last[name] for name in running if name in self._last}

    def forget(self, container: str) -> None:
        """Look for this container's cgroup again at the next sample. From any thread."""
        self._forgotten.add(container)

    def _local_reader(self) -> CgroupReader | None:
        if not self._connection.address.socket:
            return None
        if self._reader is None:
            self._reader = CgroupReader()
        while self._forgotten:
            self._reader.forget(self._forgotten.pop())
        return self._reader

    def _sample_here(self, reader: CgroupReader, container: str, process: Process | None) -> bool:
        before = self._read.get(container)
        if before is not None and time.monotonic() - before.tick < _CLOSEST_SECONDS:
            return True
        pid, host_network = (process.pid, process.host_network) if process else (0, False)
        counters = reader.counters(container, pid, host_network=host_network)
        if counters is None:
            return False
        self._last[container] = usage_between(before, counters)
        self._read[container] = counters
        return True

    def _sample_there(self, containers: Sequence[str]) -> None:
        """Ask the engine, those first that have waited longest."""
        order = sorted(containers, key=lambda name: self._asked[name].tick if name in self._asked else 0.0)
        waiting, end = deque(order), time.monotonic() + _ROUND_SECONDS
        answers: deque[tuple[str, Mapping[str, Any] | SourceError]] = deque()
        if self.host_memory is None:
            self.host_memory = self._connection.get("/info").get("MemTotal")

        def ask() -> None:
            while waiting and time.monotonic() < end:
                try:
                    container = waiting.popleft()
                except IndexError:
                    return
                try:
                    answers.append((container, self._stats(container)))
                except ContainerGone:
                    continue
                except SourceError as error:
                    answers.append((container, error))
                    return

        threads = [threading.Thread(target=ask, name="stats", daemon=True) for _ in range(min(_AT_ONCE, len(order)))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        faults = [answer for _, answer in answers if isinstance(answer, SourceError)]
        for container, answer in answers:
            if not isinstance(answer, SourceError):
                self._take(container, answer)
        if faults and len(faults) == len(answers):
            raise faults[0]

    def _stats(self, container: str) -> Mapping[str, Any]:
        raw = self._connection.get(f"/containers/{container}/stats", {"stream": "false"}, timeout=_STATS_TIMEOUT)
        return raw if isinstance(raw, Mapping) else {}

    def _take(self, container: str, raw: Mapping[str, Any]) -> None:
        found = from_stats(raw, self.host_memory)
        if found is None:
            self._last.pop(container, None)
            return
        earlier, now = found
        self._last[container] = usage_between(self._asked.get(container) or earlier, now)
        self._asked[container] = now
