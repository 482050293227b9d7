"""Alert rules about what will stop a service before long: certificates that end, connections that run out, an oplog
that is too short; and about data that is there no more."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from opsconsole.alert_findings import Finding, Restarts, Thresholds, rule
from opsconsole.model import MongoStatus, Severity, Snapshot

CLEAR_SECONDS, HOLD_SECONDS = 60.0, 60.0
LAST_DAYS = 3.0  # then nothing else is as urgent as a certificate
OPLOG_FULL_PERCENT = 90.0
"""From here on entries leave the oplog; below it, it is young and not short."""


@rule("probes", "certificate")
def certificates(limits: Thresholds, snapshot: Snapshot, now: datetime, restarts: Restarts) -> Iterable[Finding]:
    """Certificates of https endpoints that end soon, or have ended."""
    for probe in snapshot.probes:
        if probe.certificate_ends_at is None:
            continue
        days = (probe.certificate_ends_at - now).total_seconds() / 86400
        if days < limits.certificate_days:
            left = f"ends in {days:.0f} days" if days >= 2 else f"ends in {days * 24:.0f} hours"
            yield Finding(
                rule="certificate",
                subject=probe.endpoint.name,
                severity=Severity.CRITICAL if days < LAST_DAYS else Severity.WARNING,
                message=f"the certificate of {probe.endpoint.name} {left if days >= 0 else 'has ended'} "
                f"(limit {limits.certificate_days:g} days)",
                action="renew it, and see why that was not done by itself",
                value=days,
                limit=limits.certificate_days,
            )


@rule("databases", "mongo-connections", "redis-connections", "mongo-oplog")
def databases(limits: Thresholds, snapshot: Snapshot, now: datetime, restarts: Restarts) -> Iterable[Finding]:
    """Databases that will take no more clients, or forget too soon what a member missed."""
    for status in snapshot.databases:
        if not status.reachable:
            continue
        name = status.target.name if status.target.name != "host" else f"{status.target.kind} on the host"
        if isinstance(status, MongoStatus):
            left = status.connections_available
            most = status.connections + left if status.connections is not None and left is not None else None
            yield from _connections("mongo-connections", name, status.connections, most, limits)
            yield from _oplog(status, name, limits)
        else:
            yield from _connections("redis-connections", name, status.clients, status.clients_limit, limits)


def _connections(rule: str, name: str, used: int | None, most: int | None, limits: Thresholds) -> Iterable[Finding]:
    if used is None or not most:
        return
    percent = 100 * used / most
    if percent > limits.connections_percent:
        yield Finding(
            rule=rule,
            subject=name,
            severity=Severity.CRITICAL if percent > 95 else Severity.WARNING,
            message=f"{name}: {used:,} of {most:,} connections are in use ({percent:.0f} %, "
            f"limit {limits.connections_percent:g} %)",
            action="find who holds them: `D`, then `w`; look at the pool sizes of the application",
            value=percent,
            limit=limits.connections_percent,
            hold_seconds=HOLD_SECONDS,
            clear_seconds=CLEAR_SECONDS,
        )


def _oplog(status: MongoStatus, name: str, limits: Thresholds) -> Iterable[Finding]:
    reach, used = status.oplog_seconds, status.oplog_used_percent
    if reach is None or used is None or used < OPLOG_FULL_PERCENT or reach >= limits.oplog_hours * 3600:
        return
    yield Finding(
        rule="mongo-oplog",
        subject=name,
        message=f"{name}: its oplog reaches back {reach / 3600:.1f} hours (limit {limits.oplog_hours:g} hours)",
        action="make it larger: db.adminCommand({replSetResizeOplog: 1, size: MEGABYTES})",
        value=reach / 3600,
        limit=limits.oplog_hours,
        hold_seconds=HOLD_SECONDS,
        clear_seconds=CLEAR_SECONDS,
    )


@rule("counts", "data-missing")
def missing(limits: Thresholds, snapshot: Snapshot, now: datetime, restarts: Restarts) -> Iterable[Finding]:
    """Collections and keys that were counted before and are gone: a sign of lost data, and no proof."""
    for sign in snapshot.missing:
        yield Finding(
            rule="data-missing",
            subject=sign.collection or sign.database or "data",
            severity=Severity.CRITICAL if sign.gone else Severity.WARNING,
            message=f"less data: {sign.text}",
            action="`!` or `opsconsole incident show`: what was there, and the way back; if it is meant so, close an "
            "incident about it",
            hold_seconds=HOLD_SECONDS,
        )


RULES = (certificates, databases, missing)
