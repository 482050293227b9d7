"""Health endpoints that we ask, and answers counted in access logs."""

from __future__ import annotations

from datetime import datetime

from opsconsole.model.record import Record
from opsconsole.model.stack import Endpoint


class Probe(Record, frozen=True):
    """One health endpoint, asked by us. What is counted is counted over the last five minutes."""

    endpoint: Endpoint
    ok: bool | None = None  # None: not asked yet
    status: int | None = None
    latency_seconds: float | None = None
    problem: str = ""
    asked_at: datetime | None = None
    requests: int = 0
    errors: int = 0
    average_seconds: float | None = None
    p50_seconds: float | None = None  # half of the answers were as fast as this
    p95_seconds: float | None = None
    p99_seconds: float | None = None
    percentiles_over_seconds: float = 300.0  # an hour where they are of what the collector kept
    newest: tuple[float | None, ...] = ()  # seconds of the last 30 answers, the newest first; None: it failed
    certificate_ends_at: datetime | None = None  # of an https endpoint, once it was read


def good_run(probe: Probe, within: float | None = None) -> int:
    """How many of the newest answers in a row were good, and came within so many seconds."""
    for run, seconds in enumerate(probe.newest):
        if seconds is None or (within is not None and seconds > within):
            return run
    return len(probe.newest)


def has_recovered(probe: Probe, within: float | None = None) -> bool:
    """Whether the run of good answers is twice as long as one would be if they still failed as often: shares and
    averages look back five minutes and stay high for so long."""
    run, asked = good_run(probe, within), len(probe.newest)
    bad = sum(seconds is None or (within is not None and seconds > within) for seconds in probe.newest)
    return run > 0 and (not bad or run * bad >= 2 * asked)


class AccessRate(Record, frozen=True):
    """HTTP answers of one service, counted in its access-log lines of the last five minutes."""

    service: str
    requests: int = 0
    errors: int = 0  # status 5xx


class LogRate(Record, frozen=True):
    """Lines of one service in the last minute that match the pattern of an alert rule of the settings."""

    rule: str
    service: str
    lines: int = 0
