"""All lines of a Snapshot, in the order of their areas, and the alerts that no line tells of."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from opsconsole.alert_findings import Thresholds
from opsconsole.health import answers, databases, keeping, services
from opsconsole.health.lines import AREAS, RANK, Health, HealthLine, Verdict, exit_code, is_fresh, unseen
from opsconsole.model import SOURCE_WORDS, Alert, AlertState, Severity, Snapshot, SourceState

_PARTS = (services.lines, answers.lines, databases.lines, keeping.lines)

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


def check(snapshot: Snapshot, limits: Thresholds) -> Health:
    """How the stack is at the moment of the Snapshot."""
    found = [line for part in _PARTS for line in part(snapshot, limits)]
    found += _other_sources(snapshot)
    for alert in snapshot.alerts:
        if alert.state is AlertState.FIRING and alert.silenced is None:
            _tell(alert, found)
    for alert in snapshot.alerts:
        if alert.state is AlertState.FIRING and alert.silenced is not None:
            _hush(alert, found)
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
    """For the eye: what needs somebody, then what is well, each in the order of the areas."""
    return sorted(lines, key=lambda line: RANK[line.verdict])


def _other_sources(snapshot: Snapshot) -> Iterator[HealthLine]:
    """Of sources that no area stands on alone. With the engine away its line says enough."""
    if is_fresh(snapshot, "engine"):
        for source in ("usage", "access", "volumes", "sizes", "describe"):
            reading = snapshot.readings.get(source)
            if reading is not None and reading.state is SourceState.FAILED:
                yield from unseen(snapshot, source, "engine", SOURCE_WORDS[source])


def _tell(alert: Alert, found: list[HealthLine]) -> None:
    """An alert that fires makes the line of its thing no longer well, or has a line of its own: `status` and `health`
    must not differ. Its message tells of the time, which one Snapshot does not know."""
    areas = _AREA_OF_RULE.get(alert.rule.partition("-")[0], ())
    own = [at for at, line in enumerate(found) if line.area in areas and _same_subject(line, alert)]
    if any(found[at].verdict not in (Verdict.WELL, Verdict.NOTHING) for at in own):
        return
    verdict = Verdict.CRITICAL if alert.severity is Severity.CRITICAL else Verdict.ATTENTION
    said = HealthLine(
        area="alerts",
        subject=alert.subject,
        verdict=verdict,
        looked_at=f"the alert rule {alert.rule}",
        number=alert.message,
        action=alert.action,
    )
    if own:
        area, subject = found[own[0]].area, found[own[0]].subject
        found[own[0]] = msgspec.structs.replace(said, area=area, subject=subject)
    else:
        found.append(said)


def _hush(alert: Alert, found: list[HealthLine]) -> None:
    """What somebody silenced is said and does not count, as `status` has it."""
    areas = _AREA_OF_RULE.get(alert.rule.partition("-")[0], ())
    for at, line in enumerate(found):
        if line.area in areas and _same_subject(line, alert) and line.verdict in (Verdict.CRITICAL, Verdict.ATTENTION):
            assert alert.silenced is not None  # the caller looked
            found[at] = msgspec.structs.replace(line, silenced_until=alert.silenced.until)


def _same_subject(line: HealthLine, alert: Alert) -> bool:
    if alert.rule in ("source-failing", "engine-unreachable"):
        return line.verdict is Verdict.UNKNOWN
    return line.subject == alert.subject or line.area == "backups" or alert.subject.startswith(f"{line.subject} ")
