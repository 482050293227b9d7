"""What needs the operator now, worst first: from alerts, sources, services, databases, volumes and backups.

A pure function over a Snapshot. It finds things a moment after they happen; alerts come with their durations.
Something that an alert says already is not said twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from opsconsole.model import (
    BEHIND_THE_ENGINE,
    SOURCE_WORDS,
    Alert,
    AlertState,
    BackupState,
    Safety,
    Severity,
    Snapshot,
    SourceState,
    volume_words,
)
from opsconsole.ui.panes.container_rows import ContainerRow, rows_of
from opsconsole.ui.wording import NOT_KNOWN, Tone, plural, severity_tone


@dataclass(frozen=True, slots=True)
class Concern:
    """One thing to look at. `rank` 0 is worst; texts may hold outside text."""

    rank: int
    tone: Tone
    word: str  # "critical", "unhealthy", "drift"
    subject: str
    text: str
    since: datetime | None = None
    advice: str = ""
    alert: Alert | None = None  # what can be acknowledged or silenced


SERIOUS = 6
"""Below this rank it needs somebody: nobody sees to it yet, and nobody asked for silence."""

_SEEN_TO, _PENDING, _SILENCED = 6, 7, 8


def concerns(snapshot: Snapshot) -> list[Concern]:
    """Everything that needs attention, worst first, longest-lasting first among equals."""
    seen = [*_sources(snapshot), *_services(snapshot), *_databases(snapshot), *_data(snapshot)]
    firing = {_topic(alert) for alert in snapshot.alerts if alert.state is AlertState.FIRING}
    visible_now = {topic for topic, _ in seen}
    found = [
        _of_alert(alert)
        for alert in snapshot.alerts
        # What is seen already need not be said again as something that will soon be an alert.
        if alert.state is AlertState.FIRING or (alert.state is AlertState.PENDING and _topic(alert) not in visible_now)
    ]
    found += [concern for topic, concern in seen if topic not in firing]
    return sorted(found, key=lambda concern: (concern.rank, concern.since or snapshot.sampled_at))


Topic = tuple[str, str]
"""(kind, subject): what a concern and an alert have in common when they are about the same thing."""

_KIND_OF_RULE = {
    "container-down": "service",
    "container-unhealthy": "service",
    "crash-loop": "service",
    "service-missing": "service",
    "database-down": "database",
    "database-refused": "database",
    "volume-risk": "volume",
    "backup-failed": "backup",
    "engine-unreachable": "source",
    "source-failing": "source",
}


def _topic(alert: Alert) -> Topic:
    return _KIND_OF_RULE.get(alert.rule, alert.rule), alert.subject


def _of_alert(alert: Alert) -> Concern:
    rank, tone, word = (
        0 if alert.severity is Severity.CRITICAL else 3,
        severity_tone(alert.severity),
        alert.severity.value,
    )
    if alert.silenced is not None:
        rank, tone, word = _SILENCED, Tone.MUTED, "silenced"
    elif alert.state is AlertState.PENDING:
        rank, tone, word = _PENDING, Tone.ACCENT, "pending"
    elif alert.acknowledged is not None:
        rank, tone, word = _SEEN_TO, Tone.MUTED, "acknowledged"
    return Concern(rank, tone, word, alert.subject, alert.message, alert.since, alert.action, alert)


def _sources(snapshot: Snapshot) -> Iterator[tuple[Topic, Concern]]:
    failing = {name: one for name, one in snapshot.readings.items() if one.state is SourceState.FAILED}
    for name, reading in failing.items():
        if "engine" in failing and name in BEHIND_THE_ENGINE:
            continue
        text = f"{SOURCE_WORDS.get(name, name)} cannot be read: {reading.problem or 'no answer'}"
        rank = 0 if name == "engine" else 2
        yield (
            ("source", name),
            Concern(rank, Tone.BAD, "unreachable", name, text, reading.failing_since, reading.hint),
        )
    for problem in snapshot.stack.problems if snapshot.stack else ():
        yield ("stack", problem), Concern(4, Tone.WARNING, "stack", "stack", problem)


def _services(snapshot: Snapshot) -> Iterator[tuple[Topic, Concern]]:
    rows = rows_of(snapshot)
    shared = Counter(row.container.service for row in rows if row.container is not None)
    none_at_all = bool(rows) and all(row.container is None for row in rows)
    for row in rows:
        subject = row.name
        if row.container is not None:
            alone = row.container.service and shared[row.container.service] == 1
            subject = row.container.service if alone else row.container.name
        elif none_at_all and snapshot.stack is not None:
            subject = snapshot.stack.name
        if row.standing is NOT_KNOWN:
            continue  # the engine's own trouble is said
        if row.standing.tone is not Tone.GOOD and row.standing.word != "starting":
            bad = row.standing.tone is Tone.BAD
            since = row.container.finished_at if row.container and not row.running else None
            yield (
                ("service", subject),
                Concern(
                    1 if bad else 3, Tone.BAD if bad else Tone.WARNING, row.standing.word, row.name, _why(row), since
                ),
            )
        if row.container is not None and row.container.drift:
            yield (
                ("drift", subject),
                Concern(5, Tone.WARNING, "drift", row.name, f"{row.name}: {row.container.drift}"),
            )


def _why(row: ContainerRow) -> str:
    container = row.container
    if container is None:
        return f"{row.name} has no container, the compose file wants one"
    if container.error:
        return f"{row.name}: {container.error}"
    if container.health == "unhealthy" and container.health_log:
        said = " ".join(container.health_log[-1].output.split())
        return f"{row.name}: {said}" if said else f"{row.name}: its health check fails"
    restarts = f", {plural(container.restarts, 'restart')}" if container.restarts else ""
    return f"{row.name} is {row.standing.word}{restarts}"


def _databases(snapshot: Snapshot) -> Iterator[tuple[Topic, Concern]]:
    for status in snapshot.databases:
        if status.reachable or (status.sampled_at is None and not status.problem):
            continue  # answering, or not asked yet
        kind = "MongoDB" if status.target.kind == "mongodb" else "Redis"
        on_host = status.target.name == "host"
        text = f"{kind} {'on the host' if on_host else status.target.name}: {status.problem or 'no answer'}"
        subject = f"{status.target.kind} on the host" if on_host else status.target.name
        yield (
            ("database", subject),
            Concern(1, Tone.BAD, "unreachable", status.target.name, text, status.sampled_at, status.hint),
        )


def _data(snapshot: Snapshot) -> Iterator[tuple[Topic, Concern]]:
    for volume in snapshot.volumes:
        if volume.safety is Safety.AT_RISK:
            text = f"{volume_words(volume)}: {volume.reason}"
            yield ("volume", volume_words(volume)), Concern(4, Tone.WARNING, "at risk", volume_words(volume), text)
    whole = (backup for backup in snapshot.backups if backup.state is not BackupState.INCREMENTAL)
    counted = [backup for backup in whole if not backup.in_future]
    newest = max(counted, key=lambda backup: backup.taken_at, default=None)
    if newest is not None and newest.state in (BackupState.DAMAGED, BackupState.INCOMPLETE):
        text = f"newest backup {newest.id}: {newest.problem or newest.state.value}"
        yield ("backup", "backups"), Concern(4, Tone.WARNING, newest.state.value, newest.id, text, newest.taken_at)


def unknown_yet(snapshot: Snapshot) -> Sequence[str]:
    """Sources that have not answered once: nothing can be called well before they have."""
    waiting = [name for name, reading in snapshot.readings.items() if reading.state is SourceState.WAITING]
    return list(dict.fromkeys(SOURCE_WORDS.get(name, name) for name in waiting))
