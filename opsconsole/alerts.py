"""Which alerts a Snapshot raises. Pure: the same Snapshots at the same times give the same alerts.

A rule says what is true in one Snapshot (`alert_rules`, `alert_services`, `alert_limits`, `alert_own_rules`). Here is
what time makes of it: pending until it was true for as long as the rule asks, firing, resolved for a while, gone. Only
time between two fresh samples counts. A source that is silent neither starts, ends nor advances anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from opsconsole import alert_happenings, alert_limits, alert_rules, alert_services
from opsconsole.alert_findings import Finding, Restarts, Rule, Thresholds
from opsconsole.alert_happenings import Happened, Happening
from opsconsole.model import Alert, AlertState, Record, Severity, Snapshot, SourceState

__all__ = ["AlertMemory", "Thresholds", "evaluate"]

LONGEST_GAP = timedelta(seconds=90)
"""Two samples further apart prove nothing about the time between them. The slowest source is asked every 60 s."""

RESOLVED_SHOWN = timedelta(minutes=15)
"""For how long an alert that is over stays on the screen."""

RULES: tuple[Rule, ...] = (*alert_rules.RULES, *alert_services.RULES, *alert_limits.RULES)


class Entry(Record, frozen=True):
    """One alert and how it came to its state."""

    alert: Alert
    hold_seconds: float
    held_seconds: float = 0.0  # for how long it was seen to be true
    seen_at: datetime | None = None  # the last sample that said so; None when the time since then does not count
    true_at: datetime | None = None  # the last sample that said so, whatever came after it
    clear_seconds: float = 0.0
    clear_since: datetime | None = None  # the first sample that said it is over


class AlertMemory(Record, frozen=True):
    """What `evaluate` must know of the past. Starts empty; a new one comes back from every call."""

    entries: dict[tuple[str, str], Entry] = {}  # by rule and subject
    restarts: Restarts = {}  # restart counts over the last minutes by container
    happened: Happened = Happened()


def evaluate(
    thresholds: Thresholds,
    memory: AlertMemory,
    snapshot: Snapshot,
    now: datetime,
    *,
    rules: Sequence[Rule] = RULES,
    heard: Sequence[Happening] = (),
) -> tuple[tuple[Alert, ...], AlertMemory]:
    """The alerts of this moment, worst first, and the memory for the next call.

    `heard` is what the engine's events told besides the Snapshot.
    """
    restarts = alert_services.remember_restarts(memory.restarts, snapshot, now)
    keep = max((rule.within_seconds for rule in rules), default=0.0)
    happened = alert_happenings.remember(memory.happened, snapshot, now, keep, heard)
    entries: dict[tuple[str, str], Entry] = {}
    for rule in rules:
        known = {key: entry for key, entry in memory.entries.items() if key[0] in rule.names}
        sampled_at = _sample_time(rule, snapshot)
        if sampled_at is None:
            stale = {key: msgspec.structs.replace(entry, seen_at=None) for key, entry in known.items()}
            entries.update((key, entry) for key, entry in stale.items() if not _forgotten(entry, now))
            continue
        findings: dict[tuple[str, str], Finding] = {}
        if rule.counting is not None:
            findings = _worst(rule.counting(happened.events, snapshot, now))
        elif _has_data(rule, snapshot):
            found = rule.check(thresholds, snapshot, now, restarts)
            findings = _worst(finding for finding in found if finding.rule not in rule.off)
        for key in known.keys() | findings.keys():
            entry = _next(known.get(key), findings.get(key), sampled_at, now)
            if entry is not None and not _forgotten(entry, now):
                entries[key] = entry
    made = AlertMemory(entries=entries, restarts=restarts, happened=happened)
    return alerts_of(made), made


def alerts_of(memory: AlertMemory) -> tuple[Alert, ...]:
    """The alerts as they were when the memory was made, worst first."""
    return tuple(sorted((entry.alert for entry in memory.entries.values()), key=_rank))


def _sample_time(rule: Rule, snapshot: Snapshot) -> datetime | None:
    """When the rule's source last answered; None when its data says nothing about now."""
    reading = snapshot.readings.get(rule.source)
    if reading is None or reading.state is SourceState.ABSENT:
        return snapshot.sampled_at
    return reading.sampled_at if reading.state is SourceState.OK else None


def _has_data(rule: Rule, snapshot: Snapshot) -> bool:
    """A source with nothing to look at raises nothing, except where nothing is the alarm (no backup)."""
    reading = snapshot.readings.get(rule.source)
    return rule.absence_counts or reading is None or reading.state is not SourceState.ABSENT


def _worst(findings: Iterable[Finding]) -> dict[tuple[str, str], Finding]:
    """One finding per rule and subject, whatever the order they were found in."""
    worst: dict[tuple[str, str], Finding] = {}
    for finding in findings:
        key = (finding.rule, finding.subject)
        if key not in worst or _weight(finding) > _weight(worst[key]):
            worst[key] = finding
    return worst


def _weight(finding: Finding) -> tuple[bool, bool, float, str]:
    return finding.known, finding.severity is Severity.CRITICAL, -finding.hold_seconds, finding.message


def _next(entry: Entry | None, finding: Finding | None, sampled_at: datetime, now: datetime) -> Entry | None:
    """What becomes of one alert with this sample."""
    if finding is not None and not finding.known:
        return msgspec.structs.replace(entry, seen_at=None) if entry is not None else None
    if finding is not None:
        return _held(entry, finding, sampled_at, now)
    if entry is None or entry.alert.state is AlertState.PENDING:
        return None
    if entry.alert.state is AlertState.RESOLVED:
        return entry
    clear_since = min(entry.clear_since or sampled_at, sampled_at)  # a clock that was set back begins it anew
    if (sampled_at - clear_since).total_seconds() < entry.clear_seconds:
        lasting = msgspec.structs.replace(entry.alert, unseen_since=clear_since)
        return msgspec.structs.replace(entry, alert=lasting, clear_since=clear_since, seen_at=None)
    over = msgspec.structs.replace(entry.alert, state=AlertState.RESOLVED, since=now, unseen_since=None)
    return msgspec.structs.replace(entry, alert=over)


def _held(entry: Entry | None, finding: Finding, sampled_at: datetime, now: datetime) -> Entry:
    """A condition that is true: pending until it was held for long enough, then firing."""
    running = entry if entry is not None and not _begins_anew(entry, sampled_at) else None
    held = max(_counted(running, sampled_at), _known_to_hold(finding, sampled_at, now))
    firing = (running is not None and running.alert.state is AlertState.FIRING) or held >= finding.hold_seconds
    state = AlertState.FIRING if firing else AlertState.PENDING
    # Nothing began in the future: the clock was set back.
    since = min(running.alert.since, now) if running is not None and running.alert.state is state else now
    return Entry(
        alert=Alert(
            rule=finding.rule,
            subject=finding.subject,
            severity=finding.severity,
            state=state,
            since=since,
            message=finding.message,
            action=finding.action,
            value=finding.value,
            limit=finding.limit,
        ),
        hold_seconds=finding.hold_seconds,
        held_seconds=held,
        seen_at=sampled_at,
        true_at=sampled_at,
        clear_seconds=finding.clear_seconds,
    )


def _begins_anew(entry: Entry, sampled_at: datetime) -> bool:
    """One that was resolved; one that was pending before a gap longer than its rule asks for, as after a restart."""
    if entry.alert.state is not AlertState.PENDING or entry.true_at is None:
        return entry.alert.state is AlertState.RESOLVED
    return abs(sampled_at - entry.true_at) > max(LONGEST_GAP, timedelta(seconds=entry.hold_seconds))


def _counted(entry: Entry | None, sampled_at: datetime) -> float:
    """Seconds that samples prove. A repeated sample, a gap or a clock that was set back adds none."""
    if entry is None:
        return 0.0
    if entry.seen_at is None or not timedelta(0) < sampled_at - entry.seen_at <= LONGEST_GAP:
        return entry.held_seconds
    return entry.held_seconds + (sampled_at - entry.seen_at).total_seconds()


def _known_to_hold(finding: Finding, sampled_at: datetime, now: datetime) -> float:
    """Seconds since the moment that the data itself names, such as the exit of a container."""
    if finding.since is None:
        return 0.0
    # Events would have told of a change, unless the source is silent.
    until = now if abs(now - sampled_at) <= LONGEST_GAP else sampled_at
    return max(0.0, (until - finding.since).total_seconds())


def _forgotten(entry: Entry, now: datetime) -> bool:
    """Shown for a while; not for longer, either, because the clock was set back."""
    return entry.alert.state is AlertState.RESOLVED and abs(now - entry.alert.since) >= RESOLVED_SHOWN


_STATE_RANK: Mapping[AlertState, int] = {AlertState.FIRING: 0, AlertState.PENDING: 1, AlertState.RESOLVED: 2}


def _rank(alert: Alert) -> tuple[int, bool, str, str]:
    return _STATE_RANK[alert.state], alert.severity is not Severity.CRITICAL, alert.rule, alert.subject
