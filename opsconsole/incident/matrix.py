"""The decision matrix of the runbook as a function over the evidence. It recommends, and nothing runs by itself.

configuration error        -> configuration rollback
data corruption or loss    -> data rollback
bad deploy                 -> code rollback
infrastructure failure     -> emergency stop and manual recovery, the smaller step first
performance degradation    -> soft restart
a failure without a change -> soft restart of what fails (the runbook's first step of a P2)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from opsconsole.incident.data_signs import good_backups
from opsconsole.incident.evidence import Change, Evidence, What
from opsconsole.incident.symptoms import DRAGGING, FAILING, Ill, Symptom, containers_of
from opsconsole.model import Record, RedisStatus
from opsconsole.text import printable

BLAMED = timedelta(minutes=60)
"""What fell ill longer after a change is not put down to it."""

_BEFORE = timedelta(seconds=60)
"""Alerts and clocks are not exact: what fell ill so little before a change began may still be its work."""

_JUST_NOW = timedelta(seconds=5)
_BUSY = 50.0  # percent of a core: a container that uses less is not why the host is busy
_MOST = 4  # lines of evidence of one kind


class Issue(StrEnum):
    """The lines of the matrix, as the runbook calls them."""

    DATA = "data corruption or loss"
    INFRASTRUCTURE = "infrastructure failure"
    CONFIGURATION = "configuration error"
    CODE = "bad deploy"
    PERFORMANCE = "performance degradation"
    FAILURE = "a failure without a change"


ANSWERS = {
    Issue.DATA: "data rollback",
    Issue.INFRASTRUCTURE: "manual recovery, or emergency stop",
    Issue.CONFIGURATION: "configuration rollback",
    Issue.CODE: "code rollback",
    Issue.PERFORMANCE: "soft restart",
    Issue.FAILURE: "soft restart of what fails",
}


class Way(Record, frozen=True):
    """One thing that can be done. `what` is the request whose plan is shown, "" for what is done by hand."""

    label: str
    command: str  # as it is typed
    what: str = ""
    services: tuple[str, ...] = ()
    collections: tuple[str, ...] = ()  # of a restore: these only
    backup: str = ""  # of a restore: this one; "" for the newest good one


class Recommendation(Record, frozen=True):
    """A line of the matrix that fits. `against` is what speaks against it, or what it costs."""

    issue: Issue
    answer: str
    evidence: tuple[str, ...]
    against: tuple[str, ...]
    ways: tuple[Way, ...]
    weight: int = 0  # how much speaks for it


def recommend(evidence: Evidence) -> tuple[Recommendation, ...]:
    """What the matrix answers, what there is most evidence for first. Nothing for a system that is well."""
    if evidence.quiet:
        return ()
    found = [one for rule in _RULES if (one := rule(evidence)) is not None]
    order = list(Issue)
    return tuple(sorted(found, key=lambda one: (-one.weight, order.index(one.issue))))


def ways(recommendations: Iterable[Recommendation]) -> tuple[tuple[Recommendation, Way], ...]:
    """Every way, in the order of their keys: 1, 2 ..."""
    return tuple((one, way) for one in recommendations for way in one.ways)


# --- data ------------------------------------------------------------------------------------------


def _data(evidence: Evidence) -> Recommendation | None:
    if not evidence.data:
        return None
    said = [f"{one.text}{_guard(one.operation)}" for one in evidence.data]
    against = ["a count is a sign and no proof: somebody may have removed them on purpose"]
    backup = evidence.backup
    ways: list[Way] = []
    if backup is None:
        against.append("there is no good backup to go back to")
    else:
        age = _age(backup.taken_at, evidence.now)
        level = (
            f", verified to level {backup.checked_level}" if backup.checked_level else ", not verified beyond hashes"
        )
        said.append(f"the newest good backup that holds it is {backup.id}, {age} old{level}")
        newer = [one for one in good_backups(evidence.snapshot) if one.taken_at > backup.taken_at]
        if newer:
            said.append(f"{len(newer)} newer backups were taken after the loss, or hold less")
        against.append(f"what was written in those {age} is put aside, not merged; `restore --undo` brings it back")
        ways = _restores(evidence, backup.id if newer else "")
    return _made(Issue.DATA, said, against, ways, 90 if any(one.gone for one in evidence.data) else 45)


def _guard(operation: str) -> str:
    return f" (the guard, after {operation})" if operation else ""


def _restores(evidence: Evidence, named: str) -> list[Way]:
    """`named` is the backup, "" for the newest good one."""
    backup = named or "latest"
    collections = tuple(dict.fromkeys(one.collection for one in evidence.data if one.collection))
    ways = []
    if collections and len(collections) == len(evidence.data) and len(collections) <= _MOST:
        ways.append(
            Way(
                label=f"Restore only {_some(collections)}; the rest stays as it is",
                command=f"opsconsole restore {backup} " + " ".join(f"--collection {one}" for one in collections),
                what="restore",
                collections=collections,
                backup=named,
            )
        )
    ways.append(
        Way(
            label=f"Restore all data of the backup {named}" if named else "Restore all data of the newest good backup",
            command=f"opsconsole restore {named}" if named else "opsconsole rollback last-backup",
            what="restore",
            backup=named,
        )
    )
    return ways


# --- infrastructure --------------------------------------------------------------------------------


def _infrastructure(evidence: Evidence) -> Recommendation | None:
    ill = [one for one in evidence.symptoms if one.ill in (Ill.ENGINE, Ill.DISK, Ill.DATABASE)]
    if not ill:
        return None
    kinds = {one.ill for one in ill}
    ways: list[Way] = []
    against = []
    first = next((kind for kind in (Ill.ENGINE, Ill.DISK) if kind in kinds), Ill.DATABASE)
    for one in ill:
        if one.ill is first:  # without the engine, or without room, nothing is started
            ways += [way for way in _by_hand(evidence, one) if way not in ways]
    if Ill.ENGINE in kinds:
        against.append("an emergency stop needs the engine, too: it must come back first")
    else:
        against.append("an emergency stop takes down what still works; databases are killed after 5 s")
        ways.append(
            Way(label="Emergency stop of everything, then recover by hand",
                command="opsconsole rollback emergency-stop", what="emergency-stop")
        )  # fmt: skip
    if kinds == {Ill.DATABASE}:
        blamed = [_told(evidence, change) for one in ill for change in _blamed(evidence, one)]
        against += [f"it fell ill after a change: {one}" for one in dict.fromkeys(blamed)]
    weight = 80 if kinds & {Ill.ENGINE, Ill.DISK} else 50
    said = [_since(evidence, one) for one in ill]
    other = [one for one in evidence.symptoms if one not in ill]
    if other:
        said.append(f"it may explain the rest: {_some(one.subject for one in other)}")
    return _made(Issue.INFRASTRUCTURE, said, against, ways, weight)


def _by_hand(evidence: Evidence, one: Symptom) -> Iterable[Way]:
    """The smaller step that comes before a stop of everything."""
    if one.ill is Ill.ENGINE:
        yield Way(label="Start the engine by hand", command=one.advice or "systemctl start docker")
    elif one.ill is Ill.DISK:
        yield Way(label=f"Make room on {one.subject} by hand", command="docker image prune; then logs, old files")
        yield Way(label="Remove backups that no rule keeps", command="opsconsole backup prune", what="prune")
    elif one.service:
        running = any(each.state == "running" for each in containers_of(evidence.snapshot, one.service))
        if running:
            yield _restart(one.service)
        else:
            yield Way(label=f"Start {one.service}", command=f"opsconsole start {one.service}", what="start",
                      services=(one.service,))  # fmt: skip
    else:
        yield Way(label=f"See to {one.subject} by hand", command=one.advice or "see its log")


# --- code and configuration ------------------------------------------------------------------------


def _code(evidence: Evidence) -> Recommendation | None:
    guilty = [change for change in _changes(evidence, What.DEPLOY) if change.code is not False]
    hit = _hit(evidence, guilty)
    if not hit:
        return None
    said = [_told(evidence, change) for change in guilty if any(change in blamed for _, blamed in hit)]
    said += [_since(evidence, one) for one, _ in hit]
    against = list(_elsewhere(evidence, hit))
    target = evidence.known.before or evidence.known.release
    if target is None:
        against.append("no release is kept to go back to: the plan will say so")
    else:
        said.append(f"{target.name}, from {_age(target.at, evidence.now)} ago, is kept to go back to")
    if any(change.code is None for change in guilty):
        against.append("whether the images changed is not known: it may have been the configuration alone")
    if any(change.config for change in guilty):
        against.append("the configuration changed with it: that may be the reason; this takes both back")
    against.append("data stays as it is now: what newer code wrote, older code must read")
    way = Way(label="Roll the code back to the release before", command="opsconsole rollback previous-image",
              what="previous-image")  # fmt: skip
    weight = 60 + 5 * min(len(hit), 3) - (20 if any(one.code is None for one in guilty) else 0)
    weight -= 0 if _touched(hit) else 25
    return _made(Issue.CODE, said, against, (way,), weight)


def _configuration(evidence: Evidence) -> Recommendation | None:
    changed = [one for one in _changes(evidence, What.CONFIG, What.DEPLOY) if one.config is not False]
    changed = [one for one in changed if one.what is What.CONFIG or one.config]
    hit = _hit(evidence, changed)
    unreadable = evidence.unreadable
    if not hit and not unreadable:
        return None
    said = [*unreadable]
    said += [_told(evidence, change) for change in changed if any(change in blamed for _, blamed in hit)]
    said += [_since(evidence, one) for one, _ in hit]
    against = list(_elsewhere(evidence, hit))
    weight = 60 + 5 * min(len(hit), 3) if hit else 40
    weight -= 25 if hit and not _touched(hit) else 0
    if any(change.code for one, _ in hit for change in _blamed(evidence, one)):
        against.append("other images came at the same time: see the code rollback, which takes both back")
        weight -= 15
    elif hit and all(one.code is False for one in changed):
        said.append("the images are the same as before")
        weight += 10
    waiting = _not_in_force(evidence, hit)
    if waiting:
        against.append(f"{_some(waiting)} still run with the configuration of before: the new one is not in force")
        weight -= 25
    if evidence.known.release is None:
        against.append("no release is kept: only a commit can be gone back to (`rollback config --commit ID`)")
    against.append("the change may have been wanted: talk to whoever made it")
    way = Way(label="Roll the configuration back; the images stay", command="opsconsole rollback config",
              what="config")  # fmt: skip
    return _made(Issue.CONFIGURATION, said, against, (way,), weight)


def _changes(evidence: Evidence, *what: What) -> list[Change]:
    return [one for one in evidence.changes if one.what in what]


def _hit(evidence: Evidence, changes: Sequence[Change]) -> list[tuple[Symptom, list[Change]]]:
    """What fell ill after one of these changes, and after which."""
    found = []
    for one in evidence.symptoms:
        if one.ill in FAILING | DRAGGING | {Ill.DATABASE}:
            blamed = [change for change in _blamed(evidence, one) if change in changes]
            if blamed:
                found.append((one, blamed))
    return found


def _blamed(evidence: Evidence, one: Symptom) -> list[Change]:
    """The changes that may be the reason: shortly before it, of that service or of one that it may depend on."""
    began = _onset(evidence, one)
    return [
        change
        for change in evidence.changes
        if change.what in (What.DEPLOY, What.CONFIG) and change.at - _BEFORE <= began <= change.end + BLAMED
    ]


def _onset(evidence: Evidence, one: Symptom) -> datetime:
    """When it fell ill. An alert is as old as this console: what was told before, or the container, may know better."""
    began = one.since
    for change in evidence.changes:  # newest first
        if change.what in (What.ALERT, What.OVER) and {one.subject, *one.subjects} & {*change.services}:
            if change.what is What.OVER:
                break
            began = min(began, change.at)
    if one.ill in (Ill.DOWN, Ill.DATABASE):
        ended = [each.finished_at for each in containers_of(evidence.snapshot, one.service) if each.state == "exited"]
        began = min([began, *(at for at in ended if at is not None)])
    return began


def _not_in_force(evidence: Evidence, hit: Sequence[tuple[Symptom, list[Change]]]) -> list[str]:
    """Services that are ill and were not made anew since the files were changed."""
    found = []
    for one, blamed in hit:
        files = [change for change in blamed if not change.services]
        if not files or len(files) != len(blamed):
            continue
        own = containers_of(evidence.snapshot, one.service)
        if own and all(each.created_at and each.created_at < files[-1].at for each in own):
            found.append(one.service)
    return list(dict.fromkeys(found))


def _touched(hit: Sequence[tuple[Symptom, list[Change]]]) -> bool:
    """Whether a change touched something that fell ill after it, or may have touched everything."""
    return any(not change.services or one.service in change.services for one, blamed in hit for change in blamed)


def _elsewhere(evidence: Evidence, hit: Sequence[tuple[Symptom, list[Change]]]) -> Iterable[str]:
    """What speaks against a change as the reason."""
    explained = [one for one, _ in hit]
    if hit and not _touched(hit):
        yield f"it did not touch {_some(one.service or one.subject for one in explained)}"
    other = [one for one in evidence.symptoms if one.ill in (Ill.DISK, Ill.ENGINE)]
    for one in other:
        yield f"{one.text}: that alone would explain it"
    before = [one for one in evidence.symptoms if one.ill in FAILING and one not in explained and one not in other]
    if before:
        yield f"{_some(one.subject for one in before)} fell ill before it, or long after"


# --- restarts --------------------------------------------------------------------------------------


def _performance(evidence: Evidence) -> Recommendation | None:
    slow = [one for one in evidence.symptoms if one.ill in DRAGGING]
    if not slow:
        return None
    hit = {one.service for one in slow if one.service}
    errors = [one for one in evidence.symptoms if one.ill is Ill.ERRORS and one.service in hit]
    said = [_since(evidence, one) for one in (*slow, *errors)]
    against = ["a restart hides what it was: look at the log and the running queries first"]
    services = list(dict.fromkeys([*_busiest(evidence, slow), *(one.service for one in slow if one.service)]))
    for one in slow:
        against += _no_help(evidence, one)
    against += _restarted(evidence)
    ways = [
        Way(label=f"Raise maxmemory of {one.subject} by hand", command="redis-cli CONFIG SET maxmemory SIZE")
        for one in slow
        if one.rule == "redis-memory"
    ]
    ways += [_restart(name) for name in services[:2]]
    ways.append(_RESTART_ALL)
    return _made(Issue.PERFORMANCE, said, against, ways, 30)


def _no_help(evidence: Evidence, one: Symptom) -> Iterable[str]:
    """Why a restart may change nothing."""
    if one.rule == "redis-memory":
        status = next((each for each in evidence.snapshot.databases if each.target.name == one.subject), None)
        keeps = isinstance(status, RedisStatus) and (status.aof_enabled or status.rdb_enabled)
        if keeps:
            yield f"{one.subject} loads the same data again: raise maxmemory, or remove what fills it"
    elif one.rule == "cpu" and evidence.snapshot.host is not None:
        used = sum(each.usage.cpu_percent or 0.0 for each in evidence.snapshot.containers if each.usage)
        own, all_of_it = used / (evidence.snapshot.host.cpus or 1), evidence.snapshot.host.cpu_percent or 0.0
        if own < 0.5 * all_of_it:
            yield f"the stack's containers use {own:.0f} % of the {all_of_it:.0f} %: something else does"


def _busiest(evidence: Evidence, slow: Sequence[Symptom]) -> Iterable[str]:
    """The service that uses most of a CPU that is busy."""
    if any(one.rule == "cpu" for one in slow):
        used = [(each.usage.cpu_percent, each.service) for each in evidence.snapshot.containers
                if each.usage and each.usage.cpu_percent]  # fmt: skip
        most, service = max(used, default=(0.0, ""))
        if most >= _BUSY:
            yield service


def _restarted(evidence: Evidence) -> Iterable[str]:
    for change in _changes(evidence, What.RESTART):
        if change.operation and not change.bad and evidence.now - change.end <= BLAMED:
            yield f"{_told(evidence, change)}, and it is still so"
            return


def _failure(evidence: Evidence) -> Recommendation | None:
    """What fails, with no change, no disk and no database to put it down to."""
    if any(one.ill in (Ill.ENGINE, Ill.DISK, Ill.DATABASE) for one in evidence.symptoms):
        return None
    slow = {one.service for one in evidence.symptoms if one.ill in DRAGGING and one.service}
    failing = [
        one
        for one in evidence.symptoms
        if one.ill in FAILING and not _blamed(evidence, one) and not (one.ill is Ill.ERRORS and one.service in slow)
    ]
    if not failing:
        return None
    said = [_since(evidence, one) for one in failing]
    said.append("no deploy and no change of the configuration in the hour before it")
    against = ["what it said is read before it is restarted: its log may be the only trace", *_restarted(evidence)]
    if any(one.ill is Ill.CRASH for one in failing):
        against.append("it is restarted by the engine again and again already")
    if any(one.ill is Ill.REFUSED for one in failing):
        against.append("a wrong password stays wrong after a restart: compare it with the env file")
    services = list(dict.fromkeys(one.service for one in failing if one.service))
    ways = [_restart(name) for name in services[:3]]
    ways.append(_RESTART_ALL)
    return _made(Issue.FAILURE, said, against, ways, 25)


_RESTART_ALL = Way(label="Soft restart of all services", command="opsconsole rollback restart-all", what="restart-all")


def _restart(service: str) -> Way:
    return Way(label=f"Restart {service}", command=f"opsconsole restart {service}", what="restart",
               services=(service,))  # fmt: skip


_RULES: tuple[Callable[[Evidence], Recommendation | None], ...] = (
    _data, _infrastructure, _configuration, _code, _performance, _failure,
)  # fmt: skip


# --- words -----------------------------------------------------------------------------------------


def _made(
    issue: Issue, said: Sequence[str], against: Sequence[str], ways: Sequence[Way], weight: int
) -> Recommendation:
    return Recommendation(
        issue=issue,
        answer=ANSWERS[issue],
        evidence=_bounded(said),
        against=_bounded(against),
        ways=tuple(ways),
        weight=weight,
    )


def _bounded(lines: Sequence[str]) -> tuple[str, ...]:
    own = list(dict.fromkeys(printable(line) for line in lines if line))
    most = 2 * _MOST
    return (*own[:most], f"and {len(own) - most} more") if len(own) > most else tuple(own)


def _told(evidence: Evidence, change: Change) -> str:
    return f"{change.text}, {_age(change.at, evidence.now)} ago"


def _since(evidence: Evidence, one: Symptom) -> str:
    lasted = evidence.now - _onset(evidence, one)
    return one.text if lasted < _JUST_NOW else f"{one.text}, for {_age(evidence.now - lasted, evidence.now)}"


def _age(then: datetime, now: datetime) -> str:
    seconds = max(0.0, (now - then).total_seconds())
    for unit, length, least in (("d", 86_400, 2), ("h", 3600, 2), ("min", 60, 1)):
        if seconds >= length * least:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _some(names: Iterable[str]) -> str:
    known = list(dict.fromkeys(name for name in names if name))
    more = len(known) - _MOST
    return ", ".join(known[:_MOST]) + (f" and {more} more" if more > 0 else "")
