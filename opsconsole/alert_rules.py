"""Alert rules about the host, the answers of the services, volumes, backups and this console's own sources."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from opsconsole.alert_findings import Finding, Restarts, Thresholds, one_line, rule, size, unknown
from opsconsole.model import (
    BEHIND_THE_ENGINE,
    SOURCE_WORDS,
    Backup,
    BackupState,
    Disk,
    Probe,
    Safety,
    Severity,
    Snapshot,
    SourceState,
    Stack,
    good_run,
    volume_words,
)

CLEAR_SECONDS = 60.0
"""A measured value must be below its limit for so long: one that swings around it is one alert, not twenty."""

TAKE_ONE = "`opsconsole backup create`, or B in Backups"

_ALWAYS_FULL = frozenset({"squashfs", "iso9660", "udf", "erofs", "cramfs"})


@rule("host", "cpu", "memory")
def host_load(limits: Thresholds, snapshot: Snapshot, now: datetime, restarts: Restarts) -> Iterable[Finding]:
    """CPU and memory of the host over their limits."""
    host = snapshot.host
    if host is None:
        return
    if host.cpu_percent is None:
        yield unknown("cpu", "host")
    elif host.cpu_percent > limits.cpu_percent:
        busiest = max(host.processes, key=lambda process: (process.cpu_percent, process.pid), default=None)
        yield Finding(
            rule="cpu",
            subject="host",
            message=f"CPU at {host.cpu_percent:.0f} % (limit {limits.cpu_percent:g} %)",
            action=f"busiest process: {busiest.name} ({busiest.cpu_percent:.0f} %)" if busiest else "see Metrics",
            value=host.cpu_percent,
            limit=limits.cpu_percent,
            hold_seconds=limits.cpu_minutes * 60,
            clear_seconds=CLEAR_SECONDS,
        )
    if host.memory_percent is None:
        yield unknown("memory", "host")
    elif host.memory_percent > limits.memory_percent:
        left = f", {size(host.memory_available)} available" if host.memory_available is not None else ""
        yield Finding(
            rule="memory",
            subject="host",
            message=f"memory at {host.memory_percent:.0f} % (limit {limits.memory_percent:g} %){left}",
            action="find the largest in Metrics; restart it or give it a limit before the kernel kills one",
            value=host.memory_percent,
            limit=limits.memory_percent,
            hold_seconds=limits.memory_minutes * 60,
            clear_seconds=CLEAR_SECONDS,
        )


@rule("host", "disk", "inodes", "disk-full-soon")
def disks(limits: Thresholds, snapshot: Snapshot, now: datetime, restarts: Restarts) -> Iterable[Finding]:
    """Disks that are full, or soon will be."""
    for disk in snapshot.host.disks if snapshot.host else ():
        if disk.filesystem not in _ALWAYS_FULL:
            yield from _disk(limits, disk)


def _disk(limits: Thresholds, disk: Disk) -> Iterable[Finding]:
    if disk.used_percent > limits.disk_percent:
        yield Finding(
            rule="disk",
            subject=disk.mount,
            severity=Severity.CRITICAL,
            message=f"disk {disk.mount} at {disk.used_percent:.0f} % (limit {limits.disk_percent:g} %), "
            f"{size(disk.free_bytes)} free",
            action="make room: old images (docker image prune), logs, old backups; databases stop when it is full",
            value=disk.used_percent,
            limit=limits.disk_percent,
            hold_seconds=limits.disk_minutes * 60,
            clear_seconds=CLEAR_SECONDS,
        )
    yield from _inodes(limits, disk)
    if disk.full_in_days is not None and disk.full_in_days < limits.disk_full_days:
        yield Finding(
            rule="disk-full-soon",
            subject=disk.mount,
            severity=Severity.CRITICAL if disk.full_in_days < 1 else Severity.WARNING,
            message=f"disk {disk.mount} is full in about {_days(disk.full_in_days)} at its present growth "
            f"(limit {limits.disk_full_days:g} days)",
            action="find what grows (logs, volumes, backups) and make room",
            value=disk.full_in_days,
            limit=limits.disk_full_days,
            clear_seconds=CLEAR_SECONDS,
        )


def _inodes(limits: Thresholds, disk: Disk) -> Iterable[Finding]:
    if disk.inodes_total and disk.inodes_free is not None:
        used = 100.0 * (disk.inodes_total - disk.inodes_free) / disk.inodes_total
        if used > limits.disk_percent:
            yield Finding(
                rule="inodes",
                subject=disk.mount,
                severity=Severity.CRITICAL,
                message=f"inodes of {disk.mount} at {used:.0f} % (limit {limits.disk_percent:g} %), "
                f"{disk.inodes_free:,} free",
                action="remove directories with very many small files; free space alone does not help",
                value=used,
                limit=limits.disk_percent,
                hold_seconds=limits.disk_minutes * 60,
                clear_seconds=CLEAR_SECONDS,
            )


def _days(days: float) -> str:
    return f"{days:.1f} days" if days >= 1 else f"{max(1, round(days * 24))} hours"


# --- answers ---------------------------------------------------------------------------------------


@rule("probes", "endpoint-down", "error-rate", "response-time")
def probes(limits: Thresholds, snapshot: Snapshot, now: datetime, restarts: Restarts) -> Iterable[Finding]:
    """Health addresses that fail, fail too often or answer too slowly."""
    for probe in snapshot.probes:
        yield from _down(limits, probe)
        yield from _errors("error-rate", limits, probe.endpoint.name, probe.requests, probe.errors, _newest(probe))
        average = probe.average_seconds
        if average is not None and average > limits.response_seconds:
            yield Finding(
                rule="response-time",
                subject=probe.endpoint.name,
                message=f"{probe.endpoint.name} answers in {average:.1f} s on average "
                f"(limit {limits.response_seconds:g} s)"
                f"{_newest(probe, limits.response_seconds)}",
                action="look at CPU, its database and its log",
                value=average,
                limit=limits.response_seconds,
                hold_seconds=_trust(limits, probe.requests, limits.response_minutes),
                clear_seconds=CLEAR_SECONDS,
            )


@rule("access", "access-errors")
def access(limits: Thresholds, snapshot: Snapshot, now: datetime, restarts: Restarts) -> Iterable[Finding]:
    """Services whose access logs hold too many answers 5xx."""
    for rate in snapshot.access:
        yield from _errors("access-errors", limits, rate.service, rate.requests, rate.errors)


def _down(limits: Thresholds, probe: Probe) -> Iterable[Finding]:
    if probe.ok is not False:
        return
    said = one_line(probe.problem) or (f"answers {probe.status}" if probe.status else "does not answer")
    all_failed = probe.requests == probe.errors
    yield Finding(
        rule="endpoint-down",
        subject=probe.endpoint.name,
        severity=Severity.CRITICAL,
        message=f"{probe.endpoint.name} fails: {said}",
        action=f"see the log of {probe.endpoint.service}" if probe.endpoint.service else f"try {probe.endpoint.url}",
        value=float(probe.status) if probe.status is not None else None,
        # A blip in a good record is waited for; one that never answered since we look is down.
        hold_seconds=0.0 if all_failed else limits.unhealthy_minutes * 60,
    )


def _newest(probe: Probe, within: float | None = None) -> str:
    """Shares and averages stay high for five minutes after a mend: whether it is mended, the newest answers tell."""
    run = good_run(probe, within)
    what = "good" if within is None else "quick"
    return f"; the newest {run} answers are {what}" if run > 1 else f"; the newest answer is {what}" if run else ""


def _errors(
    name: str, limits: Thresholds, subject: str, requests: int, errors: int, newest: str = ""
) -> Iterable[Finding]:
    what = "probes" if name == "error-rate" else "requests in its access log"
    rate = 100.0 * errors / requests if requests else 0.0
    if rate > limits.error_rate_percent:
        yield Finding(
            rule=name,
            subject=subject,
            severity=Severity.CRITICAL if rate > 50 else Severity.WARNING,
            message=f"{subject}: {rate:.0f} % errors, {errors} of {requests} {what} in 5 minutes "
            f"(limit {limits.error_rate_percent:g} %){newest}",
            action="read its log, filtered by level error",
            value=rate,
            limit=limits.error_rate_percent,
            hold_seconds=_trust(limits, requests, limits.error_minutes),
            clear_seconds=CLEAR_SECONDS,
        )


def _trust(limits: Thresholds, requests: int, minutes: float) -> float:
    """A share or average of many requests is believed at once, of a few only after some time."""
    return 0.0 if requests >= limits.trusted_requests else minutes * 60


# --- volumes and backups ---------------------------------------------------------------------------


@rule("volumes", "volume-risk")
def volumes(limits: Thresholds, snapshot: Snapshot, now: datetime, restarts: Restarts) -> Iterable[Finding]:
    """Data that the next `docker compose down` or reboot may lose."""
    for volume in snapshot.volumes:
        if volume.safety is Safety.AT_RISK:
            yield Finding(
                rule="volume-risk",
                subject=volume_words(volume),
                severity=Severity.CRITICAL if volume.database else Severity.WARNING,
                message=f"{volume_words(volume)} is at risk: {one_line(volume.reason)}",
                action=f"take a backup now: {TAKE_ONE}; then give it a named volume in the compose file",
            )


@rule("backups", "backup-age", "backup-failed", absence_counts=True)
def backups(limits: Thresholds, snapshot: Snapshot, now: datetime, restarts: Restarts) -> Iterable[Finding]:
    """No good backup that is young enough, or a newest one that is bad."""
    if snapshot.stack is None or not _has_data(snapshot.stack, snapshot):
        return
    latest_allowed = now + timedelta(minutes=5)
    past = [backup for backup in snapshot.backups if not backup.in_future and backup.taken_at <= latest_allowed]
    good = [backup for backup in past if backup.state is BackupState.GOOD]
    limit = limits.backup_max_age_hours
    if not good:
        yield Finding(
            rule="backup-age",
            subject="backups",
            severity=Severity.CRITICAL,
            message=f"there is no good backup in {snapshot.stack.backup_directory or 'the backup directory'}",
            action=f"take one now: {TAKE_ONE}",
            limit=limit,
        )
    else:
        yield from _age(max(good, key=_when), limit, now)
    other = (BackupState.UNFINISHED, BackupState.INCREMENTAL)
    whole = (backup for backup in past if backup.state not in other and not _is_part_on_purpose(backup))
    newest = max(whole, key=_when, default=None)
    if newest is not None and newest.state is not BackupState.GOOD:
        lacks = f", it lacks {', '.join(newest.missing)}" if newest.missing else ""
        yield Finding(
            rule="backup-failed",
            subject="backups",
            message=f"the newest backup {newest.id} is {newest.state}{lacks or _because(newest)}",
            action=f"see Backups for what is wrong with it, then take another: {TAKE_ONE}",
        )


def _is_part_on_purpose(backup: Backup) -> bool:
    """It lacks only what nobody asked for: the safety backup of a restore of one database is no failure."""
    return bool(backup.asked and backup.missing) and not set(backup.missing) & set(backup.asked)


def _because(backup: Backup) -> str:
    return f": {one_line(backup.problem)}" if backup.problem else ""


def _age(newest: Backup, limit: float, now: datetime) -> Iterable[Finding]:
    hours = (now - newest.taken_at).total_seconds() / 3600
    if hours > limit:
        age = f"{hours:.0f} hours" if hours < 72 else f"{hours // 24:.0f} days"
        yield Finding(
            rule="backup-age",
            subject="backups",
            severity=Severity.CRITICAL if hours > 3 * limit else Severity.WARNING,
            message=f"the newest good backup is {age} old (limit {limit:g} hours)",
            action=f"take one now: {TAKE_ONE}; then see why the job does not run",
            value=hours,
            limit=limit,
        )


def _when(backup: Backup) -> tuple[datetime, str]:
    return backup.taken_at, backup.id


def _has_data(stack: Stack, snapshot: Snapshot) -> bool:
    return bool(stack.databases or stack.data_directories or any(volume.database for volume in snapshot.volumes))


# --- our own sources -------------------------------------------------------------------------------


@rule("", "engine-unreachable", "source-failing")
def sources(limits: Thresholds, snapshot: Snapshot, now: datetime, restarts: Restarts) -> Iterable[Finding]:
    """What this console cannot see, so that nobody takes old data for good news."""
    failing = {name: one for name, one in snapshot.readings.items() if one.state is SourceState.FAILED}
    if engine := failing.get("engine"):
        yield Finding(
            rule="engine-unreachable",
            subject="engine",
            severity=Severity.CRITICAL,
            message=f"the container engine cannot be reached: {one_line(engine.problem)}",
            action=engine.hint or "systemctl status docker",
        )
    for name in sorted(failing.keys() - {"engine"} - (BEHIND_THE_ENGINE if "engine" in failing else frozenset())):
        reading = failing[name]
        yield Finding(
            rule="source-failing",
            subject=name,
            message=f"{SOURCE_WORDS.get(name, name)} cannot be read: {one_line(reading.problem)}",
            action=reading.hint or "run opsconsole doctor",
            hold_seconds=limits.source_seconds,
            since=reading.failing_since,
        )


RULES = (host_load, disks, probes, access, volumes, backups, sources)
