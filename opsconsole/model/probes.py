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
    certificate_ends_at: datetime | None = None  # of an https endpoint, once it was read


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
