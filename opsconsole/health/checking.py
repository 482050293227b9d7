"""All lines of a Snapshot, in the order of their areas, and the alerts that no line tells of."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from opsconsole.alert_findings import Thresholds
from opsconsole.health import answers, databases, keeping, services
from opsconsole.health.lines import AREAS, RANK, Health, HealthLine, Verdict, exit_code, is_fresh, unseen
from opsconsole.model import SOURCE_WORDS, Alert, AlertState, Severity, Snapshot, SourceState

_PARTS = (services.lines, answers.lines, databases.lines, keeping.lines)

_SILENCED = (RANK[Verdict.UNKNOWN], 1)

_AREA_OF_RULE = {
    "engine": ("engine",),
    "source": AREAS,
    "container": ("services",),
    "crash": ("services",),
    "service": ("services",),
    "certificate": ("certificates",),
    "endpoint": ("endpoints",),
    "error": ("endpoints",),
    "response": ("endpoints",),
    "access": ("endpoints",),
    "database": ("mongodb", "redis"),
    "mongo": ("mongodb",),
    "redis": ("redis",),
    "cpu": ("host",),
    "memory": ("host",),
    "disk": ("disks",),
    "inodes": ("disks",),
    "backup": ("backups",),
}
"""By the first word of a rule: where its subject has a line of its own."""

LOOKED_AT = {
    "cpu": "CPU",
    "memory": "memory",
    "access-errors": "answers 5xx in its access log",
    "database-down": "ping",
    "database-refused": "ping",
    "database-problem": "ping",
    "mongo-no-primary": "primary and members of the replica set",
    "mongo-member": "primary and members of the replica set",
    "mongo-oplog": "oplog window",
    "mongo-connections": "connections against the limit",
    "redis-connections": "connections against the limit",
    "redis-memory": "memory against maxmemory",
    "redis-save": "persistence errors",
    "redis-aof": "persistence errors",
    "backup-age": "age of the newest good backup",
    "backup-failed": "the newest backup",
}
"""Which of several lines of one subject a rule is about."""


def check(snapshot: Snapshot, limits: Thresholds) -> Health:
    """How the stack is at the moment of the Snapshot."""
    found = [line for part in _PARTS for line in part(snapshot, limits)]
    found += _other_sources(snapshot)
    firing = [alert for alert in snapshot.alerts if alert.state is AlertState.FIRING]
    loud: set[int] = set()  # lines that an alert is about which nobody has silenced
    for alert in sorted(firing, key=lambda one: one.silenced is not None):
        _tell(alert, found, loud)
    lines = tuple(sorted(found, key=lambda line: AREAS.index(line.area)))  # stable: each area keeps its order
    worst = min((line.verdict for line in lines if line.verdict is not Verdict.NOTHING), key=RANK.__getitem__)
    return Health(
        stack=snapshot.stack.name if snapshot.stack else "",
        sampled_at=snapshot.sampled_at,
        verdict=worst,
        exit_code=exit_code(snapshot, lines),
        lines=lines,
    )


def worst_first(lines: tuple[HealthLine, ...]) -> list[HealthLine]:
    """For the eye: what needs somebody, what is silenced, what is well, each in the order of the areas."""
    return sorted(lines, key=lambda line: (RANK[line.verdict], 0) if line.silenced_until is None else _SILENCED)


def _other_sources(snapshot: Snapshot) -> Iterator[HealthLine]:
    """Of sources that no area stands on alone. With the engine away its line says enough."""
    if is_fresh(snapshot, "engine"):
        for source in ("usage", "access", "volumes", "sizes", "describe"):
            reading = snapshot.readings.get(source)
            if reading is not None and reading.state is SourceState.FAILED:
                yield from unseen(snapshot, source, "engine", SOURCE_WORDS[source])


def _tell(alert: Alert, found: list[HealthLine], loud: set[int]) -> None:
    """An alert that fires makes the line of its thing no longer well, or has a line of its own: `status` and `health`
    must not differ. What somebody has silenced is said and does not count."""
    areas = _AREA_OF_RULE.get(alert.rule.partition("-")[0], ())
    own = [at for at, line in enumerate(found) if line.area in areas and _same_subject(line, alert)]
    until = alert.silenced.until if alert.silenced is not None else None
    ill = [at for at in own if found[at].verdict not in (Verdict.WELL, Verdict.NOTHING)]
    if not ill:
        # In the place of the line that it is about, where that is known: any other would be lost.
        known = bool(own) and (len(own) == 1 or alert.rule in LOOKED_AT)
        ill = [own[0] if known else len(found)]
        now = found[own[0]] if known else None
        said = HealthLine(
            area=found[own[0]].area if own else "alerts",
            subject=found[own[0]].subject if own else alert.subject,
            verdict=Verdict.CRITICAL if alert.severity is Severity.CRITICAL else Verdict.ATTENTION,
            looked_at=f"the alert rule {alert.rule}",
            # An alert tells of the time, which one Snapshot does not know, and ends later than what it is about.
            number=_unnamed(alert) + (f"; at this look: {now.number}" if now else ""),
            limit=now.limit if now else "",
            action=alert.action,
        )
        found[ill[0] : ill[0] + 1] = [said]
    if until is None:
        loud.update(ill)
    for at in ill:
        if until is not None and at not in loud and found[at].verdict is not Verdict.UNKNOWN:
            found[at] = msgspec.structs.replace(found[at], silenced_until=until)


def _unnamed(alert: Alert) -> str:
    """Its message without the name of its thing at the beginning, where a line has that already."""
    return alert.message.removeprefix(f"{alert.subject}: ").removeprefix(f"{alert.subject} ")


def _same_subject(line: HealthLine, alert: Alert) -> bool:
    if alert.rule in ("source-failing", "engine-unreachable"):
        return line.verdict is Verdict.UNKNOWN
    if line.looked_at != LOOKED_AT.get(alert.rule, line.looked_at):
        return False
    return line.subject == alert.subject or alert.subject.startswith(f"{line.subject} ")
