"""Host and disks, and what is kept for a bad day: backups, and the schedule that makes them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from opsconsole.alert_findings import Thresholds, one_line, size
from opsconsole.health.lines import HealthLine, Verdict, is_fresh, spoken, unseen
from opsconsole.model import Backup, BackupState, Disk, HostSample, Proof, Schedule, ScheduledRun, Snapshot

_ALWAYS_FULL = frozenset({"squashfs", "iso9660", "udf", "erofs", "cramfs"})
_LEVEL_OF_PROOF = 3


def lines(snapshot: Snapshot, limits: Thresholds) -> Iterator[HealthLine]:
    if snapshot.host is None or not is_fresh(snapshot, "host"):
        yield from unseen(snapshot, "host", "host", "CPU and memory of the host")
        yield from unseen(snapshot, "host", "disks", "the disks of the host")
    else:
        yield from _load(snapshot.host, limits)
        for disk in snapshot.host.disks:
            if disk.filesystem not in _ALWAYS_FULL:
                yield _disk(disk, limits)
    yield from unseen(snapshot, "backups", "backups", "the backup directory")
    if is_fresh(snapshot, "backups"):
        yield from _backups(snapshot, limits)
    yield from unseen(snapshot, "schedule", "schedule", "timer or crontab, and the records of its runs")
    if snapshot.schedule is not None and is_fresh(snapshot, "schedule"):
        if snapshot.stack is not None and snapshot.stack.databases:
            yield _persistence(snapshot.schedule.proof, snapshot, limits)
        yield from _schedule(snapshot, snapshot.schedule)


# --- host ------------------------------------------------------------------------------------------


def _load(host: HostSample, limits: Thresholds) -> Iterator[HealthLine]:
    yield _used("CPU", host.cpu_percent, cpu_limit(host, limits), "see the busiest processes in Metrics")
    over = (host.memory_percent or 0.0) > limits.memory_percent
    memory = (over, f"{limits.memory_percent:g} %", "")
    yield _used("memory", host.memory_percent, memory, "find the largest in Metrics")


def cpu_limit(host: HostSample, limits: Thresholds) -> tuple[bool, str, str]:
    """Whether the CPU is over its limit, the limit in words, and what else was looked at.

    A moment says nothing of minutes, and this look takes part in it: it must have been so for five of them by the load,
    too. An alert that watched for its whole time says it by itself.
    """
    high = (host.cpu_percent or 0.0) > limits.cpu_percent
    limit = f"{limits.cpu_percent:g} % for {limits.cpu_minutes:g} min" if limits.cpu_minutes else ""
    if not limit or host.load is None or not host.cpus:
        return high, limit or f"{limits.cpu_percent:g} %", ""
    load = host.load[1]
    said = f"; load {load:.1f} on {host.cpus} CPU{'s' if host.cpus > 1 else ''} over 5 min"
    return high and 100 * load / host.cpus > limits.cpu_percent, limit, said


def _used(what: str, percent: float | None, judged: tuple[bool, str, str], action: str) -> HealthLine:
    high, limit, more = judged
    return HealthLine(
        area="host",
        subject="host",
        verdict=Verdict.UNKNOWN if percent is None else Verdict.ATTENTION if high else Verdict.WELL,
        looked_at=what,
        number="not measured yet" if percent is None else f"{what} at {percent:.0f} %{more}",
        limit=limit,
        action=action if high else "",
    )


def _disk(disk: Disk, limits: Thresholds) -> HealthLine:
    number = f"{disk.used_percent:.0f} % used, {size(disk.free_bytes)} free"
    verdict, action = Verdict.WELL, ""
    inodes = 100 * (disk.inodes_total - (disk.inodes_free or 0)) / disk.inodes_total if disk.inodes_total else 0.0
    soon = disk.full_in_days is not None and disk.full_in_days < limits.disk_full_days
    if disk.full_in_days is not None:
        number += f", full in about {spoken(disk.full_in_days * 86400)}"
    if disk.used_percent > limits.disk_percent or inodes > limits.disk_percent:
        verdict = Verdict.CRITICAL
        action = "make room: old images (docker image prune), logs, old backups; databases stop when it is full"
    elif soon:
        verdict, action = Verdict.ATTENTION, "find what grows (logs, volumes, backups) and make room"
    if inodes > limits.disk_percent:
        number += f", {inodes:.0f} % of its inodes used"
    return HealthLine(
        area="disks",
        subject=disk.mount,
        verdict=verdict,
        looked_at="space, inodes and growth",
        number=number,
        limit=f"{limits.disk_percent:g} %, or full in {limits.disk_full_days:g} days",
        action=action,
    )


# --- backups ---------------------------------------------------------------------------------------


def _backups(snapshot: Snapshot, limits: Thresholds) -> Iterator[HealthLine]:
    stack, now = snapshot.stack, snapshot.sampled_at
    has_data = stack is not None and bool(
        stack.databases or stack.data_directories or any(volume.database for volume in snapshot.volumes)
    )
    past = [one for one in snapshot.backups if not one.in_future and one.taken_at <= now + timedelta(minutes=5)]
    good = [one for one in past if one.state is BackupState.GOOD]
    if not has_data and not good:
        yield HealthLine(
            area="backups",
            subject="backups",
            verdict=Verdict.NOTHING,
            looked_at="the backup directory",
            number="this stack has no data that was found",
        )
        return
    yield _age(good, snapshot, limits)
    whole = [one for one in past if one.state not in (BackupState.UNFINISHED, BackupState.INCREMENTAL)]
    newest = max(whole, key=lambda one: (one.taken_at, one.id), default=None)
    if newest is not None and newest.state is not BackupState.GOOD:
        yield _newest_is_bad(newest)
    if good:
        yield _proven(good, snapshot, limits)


def _age(good: list[Backup], snapshot: Snapshot, limits: Thresholds) -> HealthLine:
    limit = limits.backup_max_age_hours
    if not good:
        where = (snapshot.stack.backup_directory if snapshot.stack else "") or "any known directory"
        verdict, number = Verdict.CRITICAL, f"no good backup in {where}"
    else:
        newest = max(good, key=lambda one: one.taken_at)
        seconds = (snapshot.sampled_at - newest.taken_at).total_seconds()
        number = f"the newest good one is {spoken(seconds)} old: {newest.id}, {size(newest.size_bytes)}"
        verdict = Verdict.WELL if seconds <= limit * 3600 else Verdict.ATTENTION
        verdict = Verdict.CRITICAL if seconds > 3 * limit * 3600 else verdict
    return HealthLine(
        area="backups",
        subject="backups",
        verdict=verdict,
        looked_at="age of the newest good backup",
        number=number,
        limit=f"{limit:g} h",
        action="" if verdict is Verdict.WELL else "take one now: `opsconsole backup create`, or B in Backups",
    )


def _newest_is_bad(newest: Backup) -> HealthLine:
    lacks = f"lacks {', '.join(newest.missing)}" if newest.missing else one_line(newest.problem)
    return HealthLine(
        area="backups",
        subject="backups",
        verdict=Verdict.ATTENTION,
        looked_at="the newest backup",
        number=f"{newest.id} is {newest.state.value}" + (f": {lacks}" if lacks else ""),
        limit="good",
        action="see Backups for what is wrong with it, then take another",
    )


def _proven(good: list[Backup], snapshot: Snapshot, limits: Thresholds) -> HealthLine:
    """Only a restore proves a backup. What was found wrong since proves nothing any more."""
    proofs = [one for one in good if one.checked_level == _LEVEL_OF_PROOF and one.checked_at and not one.check_problem]
    latest = max(proofs, key=lambda one: one.checked_at or one.taken_at, default=None)
    verdict, number = Verdict.ATTENTION, "no good backup was ever restored for a test"
    if latest is not None and latest.checked_at is not None:
        seconds = (snapshot.sampled_at - latest.checked_at).total_seconds()
        number = f"{latest.id} was restored for a test {spoken(seconds)} ago"
        verdict = Verdict.WELL if seconds <= limits.backup_proof_days * 86400 else Verdict.ATTENTION
    return HealthLine(
        area="backups",
        subject="backups",
        verdict=verdict,
        looked_at="when a backup was last proven (level 3)",
        number=number,
        limit=f"{limits.backup_proof_days:g} days",
        action="" if verdict is Verdict.WELL else "opsconsole backup verify latest --level 3, or V in Backups",
    )


def _persistence(proof: Proof | None, snapshot: Snapshot, limits: Thresholds) -> HealthLine:
    """The last `verify-persistence`. One that was never run has proven nothing, and found nothing either."""
    verdict, number, action = Verdict.NOTHING, "it was never verified", "opsconsole verify-persistence"
    if proof is not None:
        seconds = (snapshot.sampled_at - proof.at).total_seconds()
        number = f"{proof.percent} % proven {spoken(seconds)} ago"
        if proof.missing:
            more = f", and {len(proof.missing) - 1} more" if len(proof.missing) > 1 else ""
            number += f"; not that {proof.missing[0]}{more}"
        well = proof.percent == 100 and seconds <= limits.backup_proof_days * 86400
        verdict = Verdict.WELL if well else Verdict.ATTENTION
        action = "" if well else "opsconsole verify-persistence says for each point how to get it; `p` in Volumes"
    return HealthLine(
        area="persistence",
        subject="persistence",
        verdict=verdict,
        looked_at="the last verify-persistence",
        number=number,
        limit=f"100 %, {limits.backup_proof_days:g} days",
        action=action,
    )


# --- the schedule ----------------------------------------------------------------------------------


def _schedule(snapshot: Snapshot, schedule: Schedule) -> Iterator[HealthLine]:
    looked_at, limit = "timer or crontab, and when it ticked", "a tick every 30 min"
    problems = [one for one in schedule.problems if not any(one.startswith(f"{run.kind}:") for run in schedule.last)]
    if problems:
        yield _scheduled(Verdict.ATTENTION, looked_at, "; ".join(problems), limit, "see `opsconsole schedule show`")
    elif not schedule.installed:
        said = "nothing is installed: backups are somebody else's work"
        yield _scheduled(Verdict.NOTHING, looked_at, said, "", "opsconsole schedule install")
    else:
        ticked = spoken((snapshot.sampled_at - schedule.ticked).total_seconds()) if schedule.ticked else ""
        following = f"; next {schedule.next_kind} {_when(schedule, snapshot)}" if schedule.next_at else ""
        said = f"{', '.join(schedule.installed)}{f', ticked {ticked} ago' if ticked else ''}{following}"
        yield _scheduled(Verdict.WELL, looked_at, said, limit, "")
    if schedule.installed or schedule.last:
        yield from (_run(run, snapshot) for run in schedule.last)


def _when(schedule: Schedule, snapshot: Snapshot) -> str:
    seconds = (schedule.next_at - snapshot.sampled_at).total_seconds() if schedule.next_at else 0.0
    return f"in {spoken(seconds)}" if seconds > 0 else "due now"


def _run(run: ScheduledRun, snapshot: Snapshot) -> HealthLine:
    bad = run.outcome in ("failed", "refused") or bool(run.problem)
    said = f"{run.kind}: {run.outcome} {spoken((snapshot.sampled_at - run.began).total_seconds())} ago"
    return _scheduled(
        Verdict.ATTENTION if bad else Verdict.WELL,
        f"the last run of {run.kind}",
        f"{said}: {one_line(run.problem)}" if run.problem else said,
        "done",
        "see `opsconsole schedule show` and .opsconsole/schedule.log" if bad else "",
    )


def _scheduled(verdict: Verdict, looked_at: str, number: str, limit: str, action: str) -> HealthLine:
    return HealthLine(
        area="schedule",
        subject="schedule",
        verdict=verdict,
        looked_at=looked_at,
        number=number,
        limit=limit,
        action=action,
    )
