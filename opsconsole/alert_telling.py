"""Whom to tell of which change of an alert, when, and what becomes of a message that did not arrive. Pure.

An alert that fires is told once, once more when it gets worse, and once when it is over. One that comes again within
its cooldown is told when the cooldown has passed and it still fires. A silenced or acknowledged one is not told when it
begins; what was told is told to be over. Each message is kept until every way of `[notify]` took it: tried again after
1, 2, 4, 8 minutes and then every 15, for a day. One that never arrived is replaced by what came after it.

One cause makes many alerts, one after the other. The first is told at once; those that follow within two minutes and
are no worse wait until these are over and are one message. What is over by then is not told at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from opsconsole.alert_settings import UNTOLD
from opsconsole.model import Alert, AlertState, Record, Severity

FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(minutes=15)
GIVEN_UP_AFTER = timedelta(days=1)
GATHERED = timedelta(minutes=2)
"""What follows a message within this time is gathered, unless it is worse."""

MOST = 100
"""Messages that wait at the most; then the oldest is given up."""

Key = tuple[str, str]


class Change(StrEnum):
    FIRING = "firing"
    WORSE = "worse"
    RESOLVED = "resolved"


class Told(Record, frozen=True):
    """What was last said of one alert."""

    alert: Alert
    at: datetime  # when it was said to fire
    severity: Severity  # the worst that was said in this cooldown
    open: bool = True  # said to fire, and not yet to be over


class Notice(Record, frozen=True):
    """A message that not everybody has yet."""

    number: int
    change: Change
    alert: Alert
    at: datetime
    ways: tuple[str, ...]  # that have not taken it yet
    due: datetime
    tries: int = 0
    problem: str = ""  # of the last try
    held_by: str = ""  # who sends it now ...
    held_until: datetime | None = None  # ... and until when nobody else may


class Round(Record, frozen=True):
    """The newest message of its kind, or the one that is gathered for."""

    at: datetime  # when it goes out
    worst: Severity


class Telling(Record, frozen=True):
    """What `decide` and `delivered` must know. Starts empty; a new one comes back from every call."""

    told: tuple[Told, ...] = ()
    notices: tuple[Notice, ...] = ()
    next_number: int = 1
    given_up: int = 0  # messages that never arrived
    bad: Round | None = None  # of what fires or got worse
    over: Round | None = None


def decide(
    telling: Telling,
    alerts: Sequence[Alert],
    ways: Sequence[str],
    cooldown: Callable[[Alert], timedelta],
    now: datetime,
    worth: Callable[[Alert], bool] = lambda alert: True,
) -> Telling:
    """With a notice for each change that somebody is to be told now. `alerts` are marked (`alert_marks.marked`); of one
    that is not `worth` it nobody hears that it fires.

    With the same alerts again nothing is added: what was told is remembered, whoever calls. While no way is named
    nothing is, so that whoever is named later hears of what fires then.
    """
    if not ways:
        return Telling(next_number=telling.next_number)
    told = {_key(one.alert): one for one in telling.told}
    changes: list[tuple[Change, Alert]] = []
    seen = {_key(alert): alert for alert in alerts}
    for key, alert in seen.items():
        before = told.get(key)
        if alert.state is not AlertState.FIRING or not worth(alert):
            continue
        if change := _change(before, alert, cooldown(alert), now):
            worst = max(before.severity if before else alert.severity, alert.severity, key=_weight)
            told[key] = Told(alert=alert, at=now, severity=worst)
            changes.append((change, alert))
    unheard = {_key(one.alert) for one in telling.notices if _is_unheard(one)}
    dropped: set[Key] = set()
    for key, one in list(told.items()):
        current = seen.get(key)
        if one.open and (current is None or current.state is not AlertState.FIRING):
            if key in unheard:
                dropped.add(key)
                del told[key]
                continue
            over = current if current is not None and current.state is AlertState.RESOLVED else _over(one.alert, now)
            told[key] = msgspec.structs.replace(one, open=False)
            changes.append((Change.RESOLVED, over))
        elif not one.open and not timedelta(0) <= now - one.at < cooldown(one.alert):
            del told[key]
    waiting = tuple(one for one in telling.notices if _key(one.alert) not in dropped)
    bad = _without_an_empty_one(telling.bad, waiting, now) if dropped else telling.bad
    made = msgspec.structs.replace(telling, told=tuple(told.values()), notices=waiting, bad=bad)
    for change, alert in changes:
        made = _queued(made, change, alert, ways, now)
    return made


def _change(before: Told | None, alert: Alert, cooldown: timedelta, now: datetime) -> Change | None:
    if alert.silenced is not None:
        return None
    worse = before is not None and _weight(alert.severity) > _weight(before.severity)
    if before is not None and before.open:
        return Change.WORSE if worse else None
    if alert.acknowledged is not None:
        return None
    resting = before is not None and timedelta(0) <= now - before.at < cooldown
    return None if resting and not worse else Change.FIRING


def _queued(telling: Telling, change: Change, alert: Alert, ways: Sequence[str], now: datetime) -> Telling:
    # What nobody has heard yet of this alert is old news now; what is being sent this moment is left to its sender.
    waiting = [one for one in telling.notices if one.held_by or _key(one.alert) != _key(alert)]
    of = "over" if change is Change.RESOLVED else "bad"
    round_ = _round(getattr(telling, of), alert.severity, now)
    notice = Notice(number=telling.next_number, change=change, alert=alert, at=now, ways=tuple(ways), due=round_.at)
    waiting.append(notice)
    lost = max(0, len(waiting) - MOST)
    return msgspec.structs.replace(
        telling,
        notices=tuple(waiting[lost:]),
        next_number=telling.next_number + 1,
        given_up=telling.given_up + lost,
        **{of: round_},
    )


def _round(last: Round | None, severity: Severity, now: datetime) -> Round:
    """The message that an alert goes out with: with the one that is gathered for, with the next one, or at once."""
    lately = last is not None and -GATHERED <= now - last.at < GATHERED
    if last is None or not lately or _weight(severity) > _weight(last.worst):
        return Round(at=now, worst=severity)
    return last if now <= last.at else Round(at=last.at + GATHERED, worst=last.worst)


def _without_an_empty_one(last: Round | None, waiting: Sequence[Notice], now: datetime) -> Round | None:
    """Nothing is left to go out with the message that was gathered for: the one before it is the newest."""
    if last is None or last.at <= now or any(one.due == last.at for one in waiting):
        return last
    return msgspec.structs.replace(last, at=last.at - GATHERED)


def _is_unheard(notice: Notice) -> bool:
    """That it fires waits to be told, and nobody has heard of it."""
    return notice.change is Change.FIRING and not notice.tries and not notice.held_by


def take(telling: Telling, by: str, now: datetime, hold: timedelta) -> tuple[tuple[Notice, ...], Telling]:
    """The next message to send, held so that nobody else sends it too; () when nothing is due. Notices of what is bad,
    or of what is over, that go the same ways are one message: a server that goes down takes a dozen things with it.
    What was never tried does not wait for what does not arrive."""
    due = [one for one in telling.notices if _is_due(one, now, hold)]
    first = min(due, key=lambda one: (one.tries, one.number), default=None)
    if first is None:
        return (), telling
    kind = _kind(first)
    batch = [msgspec.structs.replace(one, held_by=by, held_until=now + hold) for one in due if _kind(one) == kind]
    for notice in batch:
        telling = _with(telling, notice.number, notice)
    # What is worst is read first, and a pager shows no more than the beginning.
    return tuple(sorted(batch, key=lambda one: (-_weight(one.alert.severity), one.number))), telling


def _is_due(notice: Notice, now: datetime, hold: timedelta) -> bool:
    held = notice.held_until is not None and timedelta(0) < notice.held_until - now <= hold
    return not held and (now >= notice.due or notice.due - now > LONGEST_PAUSE)


def _kind(notice: Notice) -> tuple[bool, tuple[str, ...], bool]:
    return notice.change is Change.RESOLVED, notice.ways, notice.tries > 0


def delivered(telling: Telling, batch: Iterable[Notice], problems: Mapping[str, str], now: datetime) -> Telling:
    """After a try: `problems` by the ways that did not take it, {} when all did."""
    for notice in batch:
        telling = _delivered(telling, notice.number, problems, now)
    return telling


def _delivered(telling: Telling, number: int, problems: Mapping[str, str], now: datetime) -> Telling:
    notice = next((one for one in telling.notices if one.number == number), None)
    if notice is None:
        return telling
    if not problems:
        return _with(telling, number, None)
    if now - notice.at >= GIVEN_UP_AFTER:
        return msgspec.structs.replace(_with(telling, number, None), given_up=telling.given_up + 1)
    pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(notice.tries, 10))
    newer = any(one.number > number and _key(one.alert) == _key(notice.alert) for one in telling.notices)
    if newer:
        return _with(telling, number, None)  # the other message says how it is now
    left = msgspec.structs.replace(
        notice,
        ways=tuple(problems),
        tries=notice.tries + 1,
        due=now + pause,
        problem="; ".join(problems.values()),
        held_by="",
        held_until=None,
    )
    return _with(telling, number, left)


def untold(telling: Telling) -> Alert | None:
    """An alert about the messages that somebody could not be told, since the first of them; None when all arrive."""
    failing = [one for one in telling.notices if one.tries]
    if not failing:
        return None
    messages = "a message" if len(failing) == 1 else f"{len(failing)} messages"
    return Alert(
        rule=UNTOLD,
        subject="notify",
        severity=Severity.WARNING,
        state=AlertState.FIRING,
        since=failing[0].at,
        message=f"{messages} could not be told: {failing[-1].problem}",
        action="see [notify] in opsconsole.toml; try it with `opsconsole schedule test-notify`. It is tried again.",
    )


def _with(telling: Telling, number: int, notice: Notice | None) -> Telling:
    notices: Iterable[Notice] = (
        notice if one.number == number and notice is not None else one
        for one in telling.notices
        if one.number != number or notice is not None
    )
    return msgspec.structs.replace(telling, notices=tuple(notices))


def _over(alert: Alert, now: datetime) -> Alert:
    return msgspec.structs.replace(alert, state=AlertState.RESOLVED, since=now)


def _key(alert: Alert) -> Key:
    return alert.rule, alert.subject


def _weight(severity: Severity) -> int:
    return 1 if severity is Severity.CRITICAL else 0
