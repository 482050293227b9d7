"""What is known about an incident: what is ill, what changed, what data is missing, what one could go back to."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from opsconsole.incident.data_signs import Baseline, Restored, Sign, good_backups, signs
from opsconsole.incident.symptoms import Symptom, symptoms
from opsconsole.model import Alert, AlertState, Backup, Container, Record, Snapshot

LOOKED_BACK = timedelta(hours=6)
"""What is older is not on the time line."""

_UNREADABLE = re.compile(
    r"the compose configuration cannot be read|compose file .+:|env file .+ (?:does not exist|cannot be)"
)
_HEADLINE = 56  # characters: it can be seen while it is changed
_STARTS_SLACK = timedelta(seconds=30)
_TOGETHER = timedelta(seconds=60)
_SAME = timedelta(seconds=2)
"""What two watchers write down of one thing lies so close together."""


class What(StrEnum):
    """What a change was."""

    DEPLOY = "deploy"  # other images run, or may
    CONFIG = "config"  # a compose or env file, the commit, another configuration of a container
    RESTART = "restart"  # of the same
    RESTORE = "restore"
    OTHER = "other"  # any other operation
    DEATH = "death"  # a container ended by itself
    HEALTH = "health"
    ALERT = "alert"
    OVER = "over"  # an alert was resolved
    DATA = "data"  # less data than before
    INCIDENT = "incident"  # what was said and done in the incident itself


_MAKES_ANEW = frozenset({What.DEPLOY, What.CONFIG, What.RESTART, What.RESTORE})


class Change(Record, frozen=True):
    """One line of the time line."""

    at: datetime
    what: What
    text: str
    services: tuple[str, ...] = ()  # that it touched; () where that is not known
    rule: str = ""  # of an alert
    until: datetime | None = None
    operation: str = ""  # id of the operation that did it
    bad: bool = False
    code: bool | None = None  # whether it brought other images; None: not known
    config: bool | None = None  # whether it brought another configuration
    done: bool = False  # an operation that ended as it was meant to
    runs: bool = False  # an operation that has not ended yet
    back: bool = False  # such a rollback: what was changed before it is not in force any more
    first: bool = False  # a deploy with nothing before it: nothing ran, and no release was kept
    restored: tuple[str, ...] = ()  # by a restore: these collections and databases; () is everything
    emptied: tuple[str, ...] = ()  # by a plan that said so: the beginnings of the signs that it makes

    @property
    def end(self) -> datetime:
        return self.until or self.at


class Kept(Record, frozen=True):
    """A release that one can go back to."""

    name: str  # "r4"
    at: datetime
    images: dict[str, str] = {}  # image id by service
    hashes: dict[str, tuple[str, ...]] = {}  # of the configuration, by service
    commit: str = ""
    gone: tuple[str, ...] = ()  # services whose image the engine does not have any more: it cannot run
    skipped: tuple[str, ...] = ()  # newer releases that could be gone back to, were their images there


class ChangedFile(Record, frozen=True):
    """A compose or env file that is not as the release has it."""

    path: str
    release: str
    at: datetime | None = None  # when it was written; None: it is gone


class Known(Record, frozen=True):
    """What was read beside the Snapshot: from journals, releases, files, metrics."""

    changes: tuple[Change, ...] = ()
    release: Kept | None = None  # the newest good one
    before: Kept | None = None  # the good one before what runs: where a code rollback leads
    files: tuple[ChangedFile, ...] = ()
    files_from: str = ""  # the newest good release that has other files: where a configuration rollback leads
    losses: tuple[Sign, ...] = ()  # what the guard of an operation found
    baselines: tuple[Baseline, ...] = ()
    settled: tuple[Restored, ...] = ()  # what was red when an incident was closed, and known to whoever closed it
    problems: tuple[str, ...] = ()  # what could not be read, one line each


class Evidence(Record, frozen=True):
    """All of it at one moment. `changes` are newest first."""

    now: datetime
    snapshot: Snapshot
    symptoms: tuple[Symptom, ...] = ()
    changes: tuple[Change, ...] = ()
    data: tuple[Sign, ...] = ()
    known: Known = Known()

    @property
    def quiet(self) -> bool:
        return not self.symptoms and not self.data and not self.unreadable

    @property
    def red(self) -> tuple[str, ...]:
        """What is red now, missing data first, in lines."""
        return (*(one.text for one in self.data), *(one.text for one in self.symptoms), *self.unreadable)

    @property
    def title(self) -> str:
        """What an incident about this would be called, "" when nothing is red."""
        first = next(iter(self.data), None)
        if first is not None and first.collection:
            return f"{first.collection}: data is missing"
        return headline(next(iter(self.red), ""))

    @property
    def unreadable(self) -> tuple[str, ...]:
        """What is wrong with the stack's own files, as whoever reads them says it."""
        found = self.snapshot.stack.problems if self.snapshot.stack else ()
        return tuple(one for one in found if _UNREADABLE.match(one))

    @property
    def backup(self) -> Backup | None:
        """The newest good one that is known to hold what is missing; the newest good one where that is not known."""
        good = good_backups(self.snapshot)
        wanted = {one.backup for one in self.data if one.backup}
        holding = next((one for one in reversed(good) if one.id in wanted), None)  # the oldest holds all of it
        return holding or next(iter(good), None)

    @property
    def is_held(self) -> bool:
        """Whether that backup is known to hold it."""
        return self.backup is not None and any(one.backup == self.backup.id for one in self.data)


def headline(text: str) -> str:
    """What an incident is called after an alert: without the limit, and without what follows where it is long."""
    said = text.partition(" (limit ")[0]
    while len(said) > _HEADLINE and " " in (head := said.rpartition(": ")[0]):
        said = head
    return said


def gather(snapshot: Snapshot, known: Known, now: datetime, back: timedelta = LOOKED_BACK) -> Evidence:
    """Put together what is known at a moment; the time line goes so far back."""
    return Evidence(
        now=now,
        snapshot=snapshot,
        symptoms=symptoms(snapshot),
        changes=_time_line(snapshot, known, now - back),
        data=signs(snapshot, known.losses, known.baselines, (*_restored(known), *known.settled)),
        known=known,
    )


def _restored(known: Known) -> tuple[Restored, ...]:
    return (
        *(
            Restored(at=one.end, names=one.restored)
            for one in known.changes
            if one.what is What.RESTORE and not one.bad
        ),
        *(Restored(at=one.end, names=one.emptied) for one in known.changes if one.emptied),
    )


# --- the time line ---------------------------------------------------------------------------------


def _time_line(snapshot: Snapshot, known: Known, since: datetime) -> tuple[Change, ...]:
    told = _once([*_without_its_own(known.changes), *(_of_loss(one) for one in known.losses)])
    seen = [*_of_containers(snapshot, known, told), *_of_files(known), *_of_alerts(snapshot, told)]
    within = {(one.at, one.what, one.text): one for one in (*told, *seen) if one.at >= since}
    return tuple(sorted(within.values(), key=lambda one: (one.at, one.what, one.text), reverse=True))


def _without_its_own(changes: tuple[Change, ...]) -> list[Change]:
    """Without what an operation itself stopped, started and waited for: that is told by its own line."""
    windows = [(one.at, one.end + _STARTS_SLACK) for one in changes if one.operation and one.what in _MAKES_ANEW]

    def within(one: Change) -> bool:
        return any(begin <= one.at <= end for begin, end in windows)

    began_there = {(one.text, one.services) for one in changes if one.what is What.ALERT and within(one)}
    over_there = {(one.text, one.services) for one in changes if one.what is What.OVER and within(one)}
    passing = began_there & over_there

    def its_own(one: Change) -> bool:
        if one.what in (What.ALERT, What.OVER):
            return (one.text, one.services) in passing and within(one)
        return within(one) and (one.what is What.DEATH or (one.what is What.HEALTH and not one.bad))

    return [one for one in changes if not its_own(one)]


def _once(changes: list[Change]) -> list[Change]:
    """An endpoint that fails is told by the probe and by the alert about it: the alert is enough."""
    alerts = [one for one in changes if one.what is What.ALERT]
    return [
        one
        for one in changes
        if one.what is not What.HEALTH
        or not any(one.text == each.text and abs(one.at - each.at) <= _SAME for each in alerts)
    ]


def _of_loss(sign: Sign) -> Change:
    return Change(at=sign.at, what=What.DATA, text=f"less data: {sign.text}", operation=sign.operation, bad=True)


def _of_containers(snapshot: Snapshot, known: Known, told: list[Change]) -> Iterable[Change]:
    """What the containers tell themselves: made anew, started again, ended, by whomever."""
    own = [one for one in snapshot.containers if ("com.docker.compose.oneoff", "True") not in one.labels]
    yield from _folded(
        _made(one, one.created_at, known.release)
        for one in own
        if one.created_at is not None and not _by(told, one.service, one.created_at)
    )
    yield from _folded(
        Change(at=one.finished_at, what=What.DEATH, text=_death(one), services=(one.service,), bad=True)
        for one in own
        if one.finished_at is not None and _died(one) and not _by(told, one.service, one.finished_at, What.DEATH)
    )
    yield from _folded(
        Change(at=one.started_at, what=What.RESTART, text=f"{one.name} was started again", services=(one.service,))
        for one in own
        if one.started_at is not None and _started_again(one) and not _by(told, one.service, one.started_at)
    )


def _started_again(one: Container) -> bool:
    """By somebody: not when it was made, and not by the engine because it had ended."""
    anew = one.created_at and one.started_at and one.started_at - one.created_at <= _STARTS_SLACK
    return one.state == "running" and not anew and not one.restarts


def _made(one: Container, at: datetime, release: Kept | None) -> Change:
    """A container that no operation of ours made."""
    image = release.images.get(one.service, "") if release else ""
    hashes = release.hashes.get(one.service, ()) if release else ()
    code = (image != one.image_id) if image and one.image_id else None
    config = (one.config_hash not in hashes) if hashes and one.config_hash else None
    how = {
        (True, True): " with another image and another configuration",
        (True, False): " with another image",
        (False, True): " with another configuration and the same image",
        (False, False): " as it was",
    }.get((bool(code), bool(config)), "") if code is not None and config is not None else ""  # fmt: skip
    what = What.DEPLOY if code is not False else What.RESTART if config is False else What.CONFIG
    text = f"{one.name} was made anew{how}, not by opsconsole"
    return Change(at=at, what=what, text=text, services=(one.service,), code=code, config=config)


def _folded(made: Iterable[Change]) -> Iterable[Change]:
    """One line for what several containers did together: a `docker compose up` by hand makes many."""
    groups: list[list[Change]] = []
    for one in sorted(made, key=lambda one: one.at):
        last = groups[-1][-1] if groups else None
        if last is not None and one.at - last.at <= _TOGETHER and _alike(one, last):
            groups[-1].append(one)
        else:
            groups.append([one])
    for group in groups:
        first = group[0]
        services = tuple(dict.fromkeys(name for one in group for name in one.services))
        text = first.text
        if len(group) > 1:
            _, _, did = first.text.partition(" ")
            text = f"{len(group)} containers of {', '.join(services)} {did.replace('was ', 'were ', 1)}"
        yield msgspec.structs.replace(first, text=text, services=services, until=group[-1].at)


def _alike(one: Change, other: Change) -> bool:
    same = one.what is not What.DEATH or one.services == other.services
    return same and (one.what, one.code, one.config) == (other.what, other.code, other.config)


def _died(one: Container) -> bool:
    if one.finished_at is None:
        return False
    ended = one.state in ("exited", "dead", "restarting") or (one.state == "running" and bool(one.restarts))
    return ended and (one.oom_killed or one.exit_code not in (0, None, 143) or one.state == "restarting")


def _death(one: Container) -> str:
    why = "out of memory" if one.oom_killed else f"exit code {one.exit_code}"
    again = f", {one.restarts} restarts so far" if one.restarts else ""
    return f"{one.name} ended: {why}{again}"


def _by(told: Iterable[Change], service: str, at: datetime | None, what: What | None = None) -> bool:
    """Whether an operation is known that did it, or the same was told already."""
    if at is None:
        return False
    return any(
        one.at - _STARTS_SLACK <= at <= one.end + _STARTS_SLACK
        and (not one.services or service in one.services)
        and (one.what is what if what else bool(one.operation))
        for one in told
    )


def _of_files(known: Known) -> Iterable[Change]:
    for file in known.files:
        if file.at is not None:
            text = f"{file.path} was changed; the release {file.release} has another one"
            yield Change(at=file.at, what=What.CONFIG, text=text, config=True, code=False)


def _of_alerts(snapshot: Snapshot, told: list[Change]) -> Iterable[Change]:
    """Replicas that are ill alike are one line, as among the symptoms."""
    last: dict[str, Change] = {}  # by subject
    for one in sorted(told, key=lambda one: one.at):
        if one.what in (What.ALERT, What.OVER):
            last.update(dict.fromkeys(one.services, one))
    folded = {name: one for one in symptoms(snapshot) for name in one.subjects if one.rule}
    seen: set[str] = set()
    for alert in snapshot.alerts:
        what = {AlertState.FIRING: What.ALERT, AlertState.RESOLVED: What.OVER}.get(alert.state)
        before, same = last.get(alert.subject), folded.get(alert.subject)
        if what is None or (before is not None and before.what is what) or _is_told(alert, what, told):
            continue
        text, services = alert.message, tuple[str, ...]([alert.subject])
        if what is What.ALERT and same is not None and same.rule == alert.rule:
            text, services = same.text, same.subjects
        if text not in seen:
            seen.add(text)
            yield Change(
                at=alert.since, what=what, text=text, services=services, rule=alert.rule, bad=what is What.ALERT
            )


def _is_told(alert: Alert, what: What, told: list[Change]) -> bool:
    """Its numbers change while it fires: what was written down when it began is the same alert."""
    return any(
        one.what is what and alert.subject in one.services and abs(one.at - alert.since) <= _SAME for one in told
    )
