"""What needs the operator now, worst first: from alerts, sources, services, databases, volumes and backups.

A pure function over a Snapshot. It finds things a moment after they happen; alerts come with their durations.
Something that an alert says already is not said twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from opsconsole.model import AlertState, BackupState, Safety, Severity, Snapshot, SourceState
from opsconsole.ui.panes.container_rows import ContainerRow, rows_of
from opsconsole.ui.wording import Tone, plural, severity_tone


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


def concerns(snapshot: Snapshot) -> list[Concern]:
    """Everything that needs attention, worst first, longest-lasting first among equals."""
    found = [*_alerts(snapshot)]
    told = {(alert.subject, _topic(alert.rule)) for alert in snapshot.alerts if alert.state is AlertState.FIRING}
    for topic, concern in (*_sources(snapshot), *_services(snapshot), *_databases(snapshot), *_data(snapshot)):
        if (concern.subject, topic) not in told and ("*", topic) not in told:
            found.append(concern)
    return sorted(found, key=lambda concern: (concern.rank, concern.since or snapshot.sampled_at))


_TOPICS = (
    "container",
    "service",
    "health",
    "restart",
    "oom",
    "database",
    "mongodb",
    "redis",
    "backup",
    "volume",
    "probe",
)
_SAME_TOPIC = {"container": "service", "health": "service", "restart": "service", "oom": "service"}
_SAME_TOPIC |= {"mongodb": "database", "redis": "database"}


def _topic(rule: str) -> str:
    """What kind of thing an alert rule is about: `container-down` -> `service`."""
    word = next((topic for topic in _TOPICS if topic in rule), rule)
    return _SAME_TOPIC.get(word, word)


def _alerts(snapshot: Snapshot) -> Iterator[Concern]:
    for alert in snapshot.alerts:
        if alert.state is AlertState.RESOLVED:
            continue
        if alert.state is AlertState.PENDING:
            yield Concern(7, Tone.ACCENT, "pending", alert.subject, alert.message, alert.since, alert.action)
        else:
            rank = 0 if alert.severity is Severity.CRITICAL else 3
            tone, word = severity_tone(alert.severity), alert.severity.value
            yield Concern(rank, tone, word, alert.subject, alert.message, alert.since, alert.action)


def _sources(snapshot: Snapshot) -> Iterator[tuple[str, Concern]]:
    for name, reading in snapshot.readings.items():
        if reading.state is SourceState.FAILED:
            rank = 0 if name == "engine" else 2
            text = f"{name} cannot be read: {reading.problem or 'no answer'}"
            yield "source", Concern(rank, Tone.BAD, "unreachable", name, text, reading.failing_since, reading.hint)
    for problem in snapshot.stack.problems if snapshot.stack else ():
        yield "stack", Concern(4, Tone.WARNING, "stack", "stack", problem)


def _services(snapshot: Snapshot) -> Iterator[tuple[str, Concern]]:
    for row in rows_of(snapshot):
        if row.standing.tone is not Tone.GOOD and row.standing.word != "starting":
            rank = 1 if row.standing.tone is Tone.BAD else 3
            tone = Tone.BAD if row.standing.tone is Tone.BAD else Tone.WARNING
            since = row.container.finished_at if row.container and not row.running else None
            yield "service", Concern(rank, tone, row.standing.word, row.name, _why(row), since)
        if row.container is not None and row.container.drift:
            yield "drift", Concern(5, Tone.WARNING, "drift", row.name, f"{row.name}: {row.container.drift}")


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


def _databases(snapshot: Snapshot) -> Iterator[tuple[str, Concern]]:
    for status in snapshot.databases:
        if not status.reachable and status.sampled_at is None and not status.problem:
            continue  # not asked yet
        if not status.reachable:
            kind = "MongoDB" if status.target.kind == "mongodb" else "Redis"
            text = f"{kind} {status.target.name}: {status.problem or 'no answer'}"
            yield (
                "database",
                Concern(1, Tone.BAD, "unreachable", status.target.name, text, status.sampled_at, status.hint),
            )


def _data(snapshot: Snapshot) -> Iterator[tuple[str, Concern]]:
    for volume in snapshot.volumes:
        if volume.safety is Safety.AT_RISK:
            yield "volume", Concern(4, Tone.WARNING, "at risk", volume.name, f"{volume.name}: {volume.reason}")
    counted = [backup for backup in snapshot.backups if not backup.in_future]
    newest = max(counted, key=lambda backup: backup.taken_at, default=None)
    if newest is not None and newest.state in (BackupState.DAMAGED, BackupState.INCOMPLETE):
        text = f"newest backup {newest.id}: {newest.problem or newest.state.value}"
        yield "newest-backup", Concern(4, Tone.WARNING, newest.state.value, newest.id, text, newest.taken_at)


def unknown_yet(snapshot: Snapshot) -> Sequence[str]:
    """Sources that have not answered once: nothing can be called well before they have."""
    return [name for name, reading in snapshot.readings.items() if reading.state is SourceState.WAITING]
