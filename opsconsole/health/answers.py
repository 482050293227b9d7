"""What visitors get: health endpoints with their latencies, errors in access logs, certificates."""

from __future__ import annotations

from collections.abc import Iterator

from opsconsole.alert_findings import Thresholds, one_line
from opsconsole.alert_limits import LAST_DAYS
from opsconsole.health.lines import HealthLine, Verdict, is_fresh, spoken, unseen
from opsconsole.model import AccessRate, Probe, Snapshot

WINDOW, WINDOW_SECONDS = "in 5 min", 300.0
FEW = 5
"""Answers: of fewer no percentile is told."""


def lines(snapshot: Snapshot, limits: Thresholds) -> Iterator[HealthLine]:
    looked_at = "GET of the health endpoints"
    yield from unseen(snapshot, "probes", "endpoints", looked_at)
    if is_fresh(snapshot, "probes"):
        for probe in snapshot.probes:
            yield _endpoint(probe, limits)
            if probe.endpoint.url.startswith("https://"):
                yield _certificate(probe, snapshot, limits)
        if not snapshot.probes:
            yield HealthLine(
                area="endpoints",
                subject="endpoints",
                verdict=Verdict.NOTHING,
                looked_at=looked_at,
                number="no health endpoint is known",
                action="name one in opsconsole.toml, [[probes]]",
            )
    if is_fresh(snapshot, "access"):
        yield from (_access(rate, limits) for rate in snapshot.access if rate.requests)


def _endpoint(probe: Probe, limits: Thresholds) -> HealthLine:
    answered = f"{probe.status} in {_seconds(probe.latency_seconds)}" if probe.status is not None else "no answer"
    spread = ", ".join(
        f"{name} {spoken(seconds)}"
        for name, seconds in (("p50", probe.p50_seconds), ("p95", probe.p95_seconds), ("p99", probe.p99_seconds))
        if seconds is not None and (probe.requests >= FEW or probe.percentiles_over_seconds > WINDOW_SECONDS)
    )
    if spread and probe.percentiles_over_seconds != WINDOW_SECONDS:
        spread += f" in {spoken(probe.percentiles_over_seconds)}"
    rate = 100 * probe.errors / probe.requests if probe.requests else 0.0
    errors = f"{probe.errors} of {probe.requests} failed {WINDOW}" + (f" ({rate:.0f} %)" if probe.errors else "")
    service = probe.endpoint.service
    verdict, action = Verdict.WELL, ""
    if probe.ok is None:
        verdict, action = Verdict.UNKNOWN, "wait for its first answer"
    elif not probe.ok:
        verdict, action = Verdict.CRITICAL, f"see the log of {service}" if service else f"try {probe.endpoint.url}"
        answered = one_line(probe.problem) or answered
    elif rate > limits.error_rate_percent:
        verdict, action = Verdict.ATTENTION, "read its log, filtered by level error"
    elif probe.average_seconds is not None and probe.average_seconds > limits.response_seconds:
        verdict, action = Verdict.ATTENTION, "look at CPU, its database and its log"
    return HealthLine(
        area="endpoints",
        subject=probe.endpoint.name,
        verdict=verdict,
        looked_at=f"GET {probe.endpoint.url}",
        number="; ".join(part for part in (answered, spread, errors) if part),
        limit=f"errors {limits.error_rate_percent:g} %, average {limits.response_seconds:g} s",
        action=action,
    )


def _seconds(seconds: float | None) -> str:
    return "-" if seconds is None else spoken(seconds)


def _access(rate: AccessRate, limits: Thresholds) -> HealthLine:
    percent = 100 * rate.errors / rate.requests
    bad = percent > limits.error_rate_percent and rate.requests >= limits.trusted_requests
    return HealthLine(
        area="endpoints",
        subject=rate.service,
        verdict=Verdict.ATTENTION if bad else Verdict.WELL,
        looked_at="answers 5xx in its access log",
        number=f"{rate.errors:,} of {rate.requests:,} answers {WINDOW} ({percent:.1f} %)",
        limit=f"{limits.error_rate_percent:g} %",
        action="read its log, filtered by level error" if bad else "",
    )


def _certificate(probe: Probe, snapshot: Snapshot, limits: Thresholds) -> HealthLine:
    """Days left of what it shows, accepted or not; one that is not accepted fails the endpoint, too."""
    until = probe.certificate_ends_at
    if until is None:
        verdict, number, action = Verdict.UNKNOWN, "not read: no TLS connection was made", "see the endpoint"
    else:
        left = (until - snapshot.sampled_at).total_seconds() / 86400
        when = f"{until:%Y-%m-%d %H:%M} UTC"
        if left < 0:
            verdict, number = Verdict.CRITICAL, f"ended {spoken(-left * 86400)} ago, {when}"
        else:
            verdict = Verdict.ATTENTION if left < limits.certificate_days else Verdict.WELL
            verdict = Verdict.CRITICAL if left < min(LAST_DAYS, limits.certificate_days) else verdict
            number = f"{left:.0f} days left, until {when}" if left >= 2 else f"{left * 24:.0f} h left, until {when}"
        action = "" if verdict is Verdict.WELL else "renew it, and see why that was not done by itself"
    return HealthLine(
        area="certificates",
        subject=probe.endpoint.name,
        verdict=verdict,
        looked_at=f"the certificate of {probe.endpoint.url}",
        number=number,
        limit=f"{limits.certificate_days:g} days",
        action=action,
    )
