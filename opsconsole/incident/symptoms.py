"""What is ill now, from the alerts that fire. A pending alert is no symptom yet."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from opsconsole import alerts
from opsconsole.model import Alert, AlertState, Container, Record, Severity, Snapshot, has_recovered


class Ill(StrEnum):
    """How something is ill; what the decision matrix and the snippets of the runbook go by."""

    ENGINE = "engine"  # it does not answer
    DISK = "disk"  # no room, or no inodes
    DATABASE = "database"  # stopped, not reachable, no primary, cannot write
    REFUSED = "refused"  # a database answers and does not let us in
    CRASH = "crash"  # ends again and again
    DOWN = "down"  # does not run and should
    UNHEALTHY = "unhealthy"  # runs, and its healthcheck fails
    ENDPOINT = "endpoint"  # a health endpoint fails
    ERRORS = "errors"  # too many answers are errors
    SLOW = "slow"  # answers come too late
    LOAD = "load"  # CPU or memory of the host, memory of a container, maxmemory of Redis
    DATA = "data"  # less data than there was
    OWN = "own"  # a rule of the settings says so


FAILING = frozenset({Ill.CRASH, Ill.DOWN, Ill.UNHEALTHY, Ill.ENDPOINT, Ill.ERRORS, Ill.REFUSED, Ill.OWN})
"""A part of the application does not do what it should."""

DRAGGING = frozenset({Ill.SLOW, Ill.LOAD})
"""It works, and not well enough."""


UNSEEN = timedelta(seconds=15)


class Symptom(Record, frozen=True):
    """One thing that is ill. `service` is "" for the host and the engine."""

    ill: Ill
    subject: str
    text: str  # one line with the number and the limit
    since: datetime
    service: str = ""
    critical: bool = False
    advice: str = ""
    rule: str = ""  # of the alert
    subjects: tuple[str, ...] = ()  # of the alerts, where several containers of a service are ill alike
    unseen_since: datetime | None = None  # since then no look has found it: its alert is about to be over
    recovered: bool = False  # of errors and slow answers, which look back: the newest are good


_OF_RULE = {
    "engine-unreachable": Ill.ENGINE,
    "disk": Ill.DISK,
    "inodes": Ill.DISK,
    "database-down": Ill.DATABASE,
    "mongo-no-primary": Ill.DATABASE,
    "redis-save": Ill.DATABASE,
    "redis-aof": Ill.DATABASE,
    "database-refused": Ill.REFUSED,
    "crash-loop": Ill.CRASH,
    "container-down": Ill.DOWN,
    "container-oom": Ill.LOAD,
    "service-missing": Ill.DOWN,
    "container-unhealthy": Ill.UNHEALTHY,
    "endpoint-down": Ill.ENDPOINT,
    "error-rate": Ill.ERRORS,
    "access-errors": Ill.ERRORS,
    "response-time": Ill.SLOW,
    "cpu": Ill.LOAD,
    "memory": Ill.LOAD,
    "container-memory": Ill.LOAD,
    "redis-memory": Ill.LOAD,
    "mongo-connections": Ill.LOAD,
    "redis-connections": Ill.LOAD,
}
"""Rules of the console that are not here (backups, forecasts, a source of its own) make no incident by themselves."""

_CONSOLES = frozenset(name for rule in alerts.RULES for name in rule.names)


def is_unseen(one: Symptom, now: datetime) -> bool:
    """Whether it was away for long enough that nothing is to be done about it. What swings around its limit is not."""
    return one.recovered or (one.unseen_since is not None and now - one.unseen_since >= UNSEEN)


def symptoms(snapshot: Snapshot) -> tuple[Symptom, ...]:
    """Worst first, longest-lasting first among equals."""
    firing = [alert for alert in snapshot.alerts if alert.state is AlertState.FIRING and _makes_one(alert.rule)]
    alike: dict[tuple[str, str, str], list[Symptom]] = {}
    for one in (_of(alert, snapshot) for alert in firing):
        alike.setdefault((one.rule, one.service, one.text.replace(one.subject, "")), []).append(one)
    found = [_folded(group) for group in alike.values()]
    return tuple(sorted(found, key=lambda one: (not one.critical, one.since, one.ill, one.subject)))


def _folded(group: list[Symptom]) -> Symptom:
    """Replicas that are ill alike are one line."""
    first = group[0]
    if len(group) == 1:
        return first
    text = f"{len(group)} containers of {first.service}: {first.text.replace(first.subject, 'each', 1)}"
    since = min(one.since for one in group)
    unseen = [one.unseen_since for one in group if one.unseen_since is not None]
    left = max(unseen) if len(unseen) == len(group) else None
    names = tuple(one.subject for one in group)
    return msgspec.structs.replace(
        first, subject=first.service, text=text, since=since, subjects=names, unseen_since=left
    )


def _makes_one(rule: str) -> bool:
    return rule in _OF_RULE or rule not in _CONSOLES


def containers_of(snapshot: Snapshot, service: str) -> tuple[Container, ...]:
    return tuple(one for one in snapshot.containers if one.service == service)


def _of(alert: Alert, snapshot: Snapshot) -> Symptom:
    ill = _OF_RULE.get(alert.rule, Ill.OWN)
    service = _service(alert, snapshot)
    roles = {one.name: one.role for one in snapshot.stack.services} if snapshot.stack else {}
    if ill in (Ill.DOWN, Ill.CRASH) and roles.get(service):
        ill = Ill.DATABASE
    return Symptom(
        ill=ill,
        subject=alert.subject,
        text=alert.message,
        since=alert.since,
        service=service,
        critical=alert.severity is Severity.CRITICAL,
        advice=alert.action,
        rule=alert.rule,
        unseen_since=alert.unseen_since,
        recovered=_recovered(alert, snapshot),
    )


def _recovered(alert: Alert, snapshot: Snapshot) -> bool:
    within = {"error-rate": None, "response-time": alert.limit}
    return alert.rule in within and any(
        one.endpoint.name == alert.subject and has_recovered(one, within[alert.rule]) for one in snapshot.probes
    )


def _service(alert: Alert, snapshot: Snapshot) -> str:
    """The service that an alert is about, "" for what is none."""
    known = {one.service for one in snapshot.containers} | {
        one.name for one in (snapshot.stack.services if snapshot.stack else ())
    }
    if alert.subject in known:
        return alert.subject
    candidates: Iterable[tuple[str, str]] = (
        *((one.name, one.service) for one in snapshot.containers),
        *((one.endpoint.name, one.endpoint.service) for one in snapshot.probes),
        *((one.target.name, one.target.service) for one in snapshot.databases),
    )
    return next((service for name, service in candidates if name == alert.subject), "")
