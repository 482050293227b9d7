"""The simulated health endpoints: one well, one that fails now and then, one that is slow."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from opsconsole.demo.fleet import Fleet
from opsconsole.demo.noise import business, key_of, wave
from opsconsole.model import Container, Endpoint, Probe, Stack
from opsconsole.sources.http import percentile

_EVERY = 10  # seconds between two questions
_OVER = 300  # seconds that averages cover
_FAILS_ONE_IN = 12  # 8.3 %
_CERTIFIED = 64.4 * 86_400  # seconds that the website's certificate holds
_MEAN = {"website": 0.046, "api": 0.118, "search": 2.62}


class DemoProbes:
    """See `ProbeSource`."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def look(self, stack: Stack, containers: Sequence[Container]) -> tuple[Probe, ...]:
        at = self._fleet.now()
        return tuple(self._probe(endpoint, at) for endpoint in stack.endpoints)

    def close(self) -> None:
        pass

    def latency(self, endpoint: Endpoint, at: float) -> float:
        """Seconds."""
        key = key_of(self._fleet.seed, "probe", endpoint.name)
        asked = at // _EVERY * _EVERY
        mean = _MEAN.get(endpoint.name, 0.08)
        return round(mean * (0.85 + 0.3 * business(at)) * (1 + 0.28 * wave(key, asked, 35)), 4)

    def answered(self, endpoint: Endpoint, at: float) -> bool:
        """Whether the question of this moment had a good answer."""
        return not self._fails(endpoint, int(at // _EVERY))

    def _probe(self, endpoint: Endpoint, at: float) -> Probe:
        rounds = [int(at // _EVERY) - back for back in range(_OVER // _EVERY)]
        failed = [number for number in rounds if self._fails(endpoint, number)]
        served = [self.latency(endpoint, number * _EVERY) for number in rounds]
        ok = rounds[0] not in failed
        down = self._down(endpoint, at)
        status: int | None = 200 if ok else 502
        problem = "" if ok else "answered 502 Bad Gateway, expected 200"
        if down:
            status, problem = (None, "connection refused") if endpoint.service == "nginx" else (502, down)
        return Probe(
            endpoint=endpoint,
            ok=ok and not down,
            status=status,
            latency_seconds=None if status is None else served[0],
            problem=problem,
            asked_at=datetime.fromtimestamp(rounds[0] * _EVERY, UTC),
            requests=len(rounds),
            errors=len(failed),
            average_seconds=round(sum(served) / len(served), 4),
            p50_seconds=percentile(sorted(served), 50),
            p95_seconds=percentile(sorted(served), 95),
            p99_seconds=percentile(sorted(served), 99),
            certificate_ends_at=datetime.fromtimestamp(self._fleet.anchor + _CERTIFIED, UTC)
            if endpoint.url.startswith("https")
            else None,
        )

    def _fails(self, endpoint: Endpoint, number: int) -> bool:
        return endpoint.name == "api" and number % _FAILS_ONE_IN == 5

    def _down(self, endpoint: Endpoint, at: float) -> str:
        members = [member for member in self._fleet.members if member.service == endpoint.service]
        if any(member.runs_at(at) for member in members):
            return ""
        return f"answered 502 Bad Gateway, no {endpoint.service} container is running"
