"""What the Snapshot already proves of the runbook's tasks. Pure. What is not known proves nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from opsconsole import health
from opsconsole.alert_findings import Thresholds
from opsconsole.health.checking import worst_first
from opsconsole.health.keeping import cpu_limit
from opsconsole.maintenance import images
from opsconsole.maintenance.due import Proof
from opsconsole.maintenance.images import Asked
from opsconsole.model import Alert, AlertState, Backup, BackupState, Container, Disk, Record, Snapshot
from opsconsole.persistence.verdict import Verdict

_RESOURCES = frozenset({"cpu", "memory", "disk", "inodes", "disk-full-soon", "container-memory", "redis-memory"})
_FORECAST_DAYS = 60.0
_WATCHED_DAYS = 1.0  # a night with its backup is in it
_IMAGE_DAYS = 31
_WEEK = timedelta(days=7)


class Limits(Record, frozen=True):
    """What is well, and how young is young enough, as the settings have it."""

    thresholds: Thresholds = Thresholds()
    max_age_hours: float = 26.0
    proven_days: int = 31


def proofs(
    snapshot: Snapshot, verdict: Verdict | None, now: datetime, limits: Limits, asked: Asked | None = None
) -> dict[str, Proof]:
    """By the name of the task; those of which nothing can be known are left out. `verdict`: the last one of
    verify-persistence; `asked`: what registries last said."""
    found = {
        "health": _health(snapshot, limits),
        "backup": _backup(snapshot, now, limits),
        "resources": _resources(snapshot, limits),
        "capacity": _capacity(snapshot),
        "persistence": _persistence(verdict, now),
        "security-updates": _images(snapshot, now, asked),
        "restore-test": _restore_test(snapshot, now, limits),
    }
    return {name: proof for name, proof in found.items() if proof is not None}


def _health(snapshot: Snapshot, limits: Limits) -> Proof:
    """As `opsconsole health` says: what could not be looked at is not well."""
    found = health.check(snapshot, limits.thresholds)
    if found.exit_code == health.COULD_NOT_LOOK:
        return Proof(holds=False, said="not known: the engine or the stack was not looked at")
    loud = [line for line in worst_first(found.lines) if line.counts]
    if not loud:
        return Proof(holds=True, said=f"all well: {len(found.lines)} things were looked at")
    number = "1 thing needs attention" if len(loud) == 1 else f"{len(loud)} things need attention, the worst"
    worst = loud[0]
    which = worst.subject if worst.subject == worst.area else f"{worst.area} {worst.subject}"
    return Proof(holds=False, said=f"{number}: {which}: {worst.number}")


def _backup(snapshot: Snapshot, now: datetime, limits: Limits) -> Proof:
    newest = next((one for one in snapshot.backups if _is_good(one)), None)
    if newest is None:
        return Proof(holds=False, said="there is no good backup")
    said = f"{newest.id}, taken {_clock(newest.taken_at, now)}"
    young = now - newest.taken_at <= timedelta(hours=limits.max_age_hours)
    return Proof(holds=young, said=said if young else f"the newest good one is {said}: too old")


def _is_good(one: Backup) -> bool:
    return one.state is BackupState.GOOD and not one.check_problem and not one.in_future


def _resources(snapshot: Snapshot, limits: Limits) -> Proof:
    host = snapshot.host
    if host is None or host.cpu_percent is None or host.memory_percent is None:
        return Proof(holds=False, said="the host was not looked at")
    fullest = max(host.disks, key=lambda one: one.used_percent, default=None)
    said = f"CPU {host.cpu_percent:.0f} %, memory {host.memory_percent:.0f} %"
    if fullest is not None:
        said += f", disk {fullest.mount} {fullest.used_percent:.0f} %"
    over = next((one for one in snapshot.alerts if _is_of_resources(one)), None)
    if over is not None or cpu_limit(host, limits.thresholds)[0]:
        return Proof(holds=False, said=over.message if over is not None else said)
    return Proof(holds=True, said=said)


def _is_of_resources(one: Alert) -> bool:
    """A CPU that is busy for this moment, in which this look takes part, is no reason to look."""
    states = (AlertState.FIRING,) if one.rule == "cpu" else (AlertState.FIRING, AlertState.PENDING)
    return one.rule in _RESOURCES and one.state in states


def _capacity(snapshot: Snapshot) -> Proof | None:
    disks = snapshot.host.disks if snapshot.host is not None else ()
    growing = [(one.full_in_days, one.mount) for one in disks if one.full_in_days is not None]
    if not growing:
        return _none_grows(disks)
    days, mount = min(growing)
    said = f"disk {mount} is full in about {days:.{0 if days >= 10 else 1}f} days at its present growth"
    return Proof(holds=days >= _FORECAST_DAYS, said=said)


def _none_grows(disks: Sequence[Disk]) -> Proof | None:
    """That is known once each was watched for long enough; until then somebody has to look."""
    watched = [one.watched_days for one in disks if one.total_bytes]
    known = [days for days in watched if days is not None]
    if not watched or len(known) < len(watched):
        return None
    shortest = min(known)
    if shortest < _WATCHED_DAYS:
        hours = f"{shortest * 24:.0f} h" if shortest * 24 >= 1 else "less than an hour"
        return Proof(holds=False, said=f"no disk is seen to grow; one is watched for {hours}: too little to tell")
    which = "no disk grows" if len(known) > 1 else "the disk does not grow"
    return Proof(holds=True, said=f"{which}: watched for {shortest:.0f} days")


def _persistence(verdict: Verdict | None, now: datetime) -> Proof:
    if verdict is None:
        return Proof(holds=False, said="it was never verified")
    fresh = timedelta(minutes=-5) <= now - verdict.at <= _WEEK
    said = f"{verdict.score} % proven, {_clock(verdict.at, now)}"
    return Proof(holds=fresh and verdict.score == 100, said=said)


def _images(snapshot: Snapshot, now: datetime, asked: Asked | None) -> Proof | None:
    """What a registry says counts for a month; of an image that no registry told of, how old it is."""
    dated = [(one.image_created, one) for one in snapshot.containers if one.image_created is not None]
    if not dated:
        return None
    created, oldest = min(dated, key=lambda pair: pair[0])
    outdated = sorted({one.service or one.name for one in snapshot.containers if _is_outdated(one, snapshot)})
    said = f"the oldest image, {oldest.image}, was built {(now - created).days} days ago"
    if outdated:
        return Proof(holds=False, said=f"{', '.join(outdated)} run older images than are here; {said}")
    if asked is None or not timedelta(minutes=-5) <= now - asked.at <= timedelta(days=_IMAGE_DAYS):
        said += "; no registry was asked lately"
        return Proof(holds=(now - created).days <= _IMAGE_DAYS, said=said)
    return _by_registries(dated, asked, now)


def _by_registries(dated: list[tuple[datetime, Container]], asked: Asked, now: datetime) -> Proof:
    when = f"asked {_clock(asked.at, now)}"
    run = {one.image_id for _, one in dated}  # of an image that was replaced since it says nothing
    newer = [one.name for one in asked.of(images.State.NEWER) if one.image_id in run]
    if newer:
        return Proof(holds=False, said=f"a registry has newer images of {', '.join(newer)}; {when}")
    told = {one.image_id for one in asked.of(images.State.CURRENT)}
    left = [(created, one) for created, one in dated if one.image_id not in told]
    if not left:
        return Proof(holds=True, said=f"no registry has a newer image; {when}")
    created, oldest = min(left, key=lambda pair: pair[0])
    said = f"no newer image is known of ({when}); {oldest.image}, of which no registry told, was built "
    days = (now - created).days
    return Proof(holds=days <= _IMAGE_DAYS, said=f"{said}{days} days ago")


def _is_outdated(container: Container, snapshot: Snapshot) -> bool:
    """Whether its tag points at another image by now, so that a deploy would bring that."""
    wanted = {one.name: one.image_id for one in snapshot.stack.services} if snapshot.stack is not None else {}
    known = wanted.get(container.service, "")
    return bool(known and container.image_id and known != container.image_id)


def _restore_test(snapshot: Snapshot, now: datetime, limits: Limits) -> Proof:
    proven = sorted(_proven(snapshot, now))
    if not proven:
        return Proof(holds=False, said="no backup was restored for a test yet")
    at, name = proven[-1]
    said = f"{name} was restored for a test {_clock(at, now)}"
    return Proof(holds=now - at <= timedelta(days=limits.proven_days), said=said)


def _proven(snapshot: Snapshot, now: datetime) -> Iterator[tuple[datetime, str]]:
    for one in snapshot.backups:
        at = one.checked_at
        if one.checked_level == 3 and at is not None and not one.check_problem and at <= now + timedelta(minutes=5):
            yield at, one.id


def _clock(at: datetime, now: datetime) -> str:
    """`today 02:00`, `yesterday 02:00`, `12 days ago`, by this host's calendar."""
    local, today = at.astimezone(), now.astimezone().date()
    days = (today - local.date()).days
    if days > 1:
        return f"{days} days ago"
    return f"{'yesterday' if days == 1 else 'today' if days == 0 else f'{local:%Y-%m-%d}'} {local:%H:%M}"
