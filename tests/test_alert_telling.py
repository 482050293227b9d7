"""Who is told of what, and once: pure, with a clock that the tests hold; and what was decided about alerts."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from opsconsole import alert_marks, alert_telling
from opsconsole.alert_marks import Marks, marked, pruned
from opsconsole.alert_telling import MOST, Change, Notice, Telling
from opsconsole.model import Acknowledgement, Alert, AlertState, Severity, Silence
from tests.test_alerts import CRITICAL, FIRING, PENDING, RESOLVED, WARNING, at

COOLDOWN = timedelta(minutes=30)
WAYS = ("command", "webhook")
HOLD = timedelta(seconds=90)


def alert(state: AlertState = FIRING, severity: Severity = WARNING, rule: str = "cpu", **more: Any) -> Alert:
    values = {"subject": "host", "since": at(0), "message": f"{rule} is {severity}", **more}
    return Alert(rule=rule, severity=severity, state=state, **values)


class Desk:
    """Decides after each sample and, unless told otherwise, delivers at once."""

    def __init__(self, ways: tuple[str, ...] = WAYS) -> None:
        self.telling = Telling()
        self.ways = ways
        self.sent: list[tuple[Change, str]] = []

    def see(self, seconds: float, *alerts: Alert, deliver: bool = True) -> list[str]:
        """What is sent now."""
        before = len(self.sent)
        self.telling = alert_telling.decide(self.telling, alerts, self.ways, lambda _: COOLDOWN, at(seconds))
        if deliver:
            self.deliver(seconds)
        return [f"{change} {rule}" for change, rule in self.sent[before:]]

    def take(self, seconds: float, by: str = "one") -> tuple[Notice, ...]:
        batch, self.telling = alert_telling.take(self.telling, by, at(seconds), HOLD)
        return batch

    def deliver(self, seconds: float, **problems: str) -> int:
        """How many messages were tried."""
        count = 0
        while batch := self.take(seconds):
            failed = {way: problem for way, problem in problems.items() if way in batch[0].ways}
            self.telling = alert_telling.delivered(self.telling, batch, failed, at(seconds))
            self.sent.extend((notice.change, notice.alert.rule) for notice in batch)
            count += 1
        return count


# --- once per change -----------------------------------------------------------------------------------


def test_it_fires_it_gets_worse_it_is_over_each_once() -> None:
    desk = Desk()
    assert desk.see(0, alert(PENDING)) == []
    assert desk.see(10, alert()) == ["firing cpu"]
    assert desk.see(20, alert()) == [] and desk.see(9000, alert()) == [], "no reminders"
    assert desk.see(9010, alert(severity=CRITICAL)) == ["worse cpu"]
    assert desk.see(9020, alert()) == [] and desk.see(9030, alert(severity=CRITICAL)) == [], "that was said"
    assert desk.see(9040, alert(RESOLVED, CRITICAL)) == ["resolved cpu"]
    assert desk.see(9050, alert(RESOLVED, CRITICAL)) == [] and desk.see(9999) == []


def test_what_comes_again_within_its_cooldown_is_told_when_that_has_passed() -> None:
    desk = Desk()
    assert desk.see(0, alert()) == ["firing cpu"]
    assert desk.see(60, alert(RESOLVED)) == ["resolved cpu"]
    for seconds in range(120, 1800, 60):
        assert desk.see(seconds, alert(FIRING if seconds % 120 else RESOLVED)) == []
    assert desk.see(1800, alert()) == ["firing cpu"], "30 minutes after it was told last"
    assert desk.see(1860, alert(RESOLVED)) == ["resolved cpu"]
    assert desk.see(1920, alert(severity=CRITICAL)) == ["firing cpu"], "worse is told at once"


def test_a_silenced_one_is_not_told_until_the_silence_is_over() -> None:
    desk = Desk()
    silence = Silence(rule="cpu", subject="*", until=at(600), who="mina", at=at(0))
    for seconds in (0, 300, 599):
        assert desk.see(seconds, *marked([alert()], Marks(silences=(silence,)), at(seconds))) == []
    assert desk.see(601, *marked([alert()], Marks(silences=(silence,)), at(601))) == ["firing cpu"]
    later = Marks(silences=(Silence(rule="*", subject="*", until=at(9000), who="mina", at=at(0)),))
    assert desk.see(700, *marked([alert(severity=CRITICAL)], later, at(700))) == []
    assert desk.see(800, *marked([alert(RESOLVED)], later, at(800))) == ["resolved cpu"], "what was told is told over"


def test_an_acknowledged_one_is_told_when_it_gets_worse() -> None:
    desk, marks = Desk(), Marks()
    desk.see(0, alert())
    marks = alert_marks.acknowledge(marks, alert(), Acknowledgement(who="mina", at=at(5)))
    assert desk.see(10, *marked([alert()], marks, at(10))) == []
    worse = alert(severity=CRITICAL)
    assert marked([worse], marks, at(20))[0].acknowledged is None, "it was no worse than a warning then"
    assert desk.see(20, *marked([worse], marks, at(20))) == ["worse cpu"]
    assert desk.see(30, *marked([alert(RESOLVED)], marks, at(30))) == ["resolved cpu"]


def test_a_rule_that_is_gone_is_over_and_what_is_not_worth_it_begins_nothing() -> None:
    desk = Desk()
    assert desk.see(0, alert(), alert(rule="disk")) == ["firing cpu", "firing disk"]
    assert desk.see(10, alert()) == ["resolved disk"]
    telling = alert_telling.decide(Telling(), [alert()], WAYS, lambda _: COOLDOWN, at(0), lambda _: False)
    assert telling == Telling()
    still = alert_telling.decide(desk.telling, [alert()], WAYS, lambda _: COOLDOWN, at(20), lambda _: False)
    assert not still.notices, "it fires on: nobody is told that it is over"


def test_whoever_is_named_later_hears_of_what_fires_then() -> None:
    desk = Desk(ways=())
    assert desk.see(0, alert()) == []
    desk.ways = WAYS
    assert desk.see(10, alert()) == ["firing cpu"]


# --- what does not arrive ------------------------------------------------------------------------------


def test_who_was_not_reached_is_tried_again_ever_more_rarely_and_who_was_is_left_alone() -> None:
    desk = Desk()
    desk.see(0, alert(), deliver=False)
    assert desk.deliver(0, webhook="refused") == 1
    (notice,) = desk.telling.notices
    assert (notice.ways, notice.tries, notice.problem) == (("webhook",), 1, "refused")
    said = alert_telling.untold(desk.telling)
    assert said is not None and said.message == "a message could not be told: refused"
    tried = []
    for seconds in range(1, 3600):
        if desk.deliver(seconds, webhook="refused"):
            tried.append(seconds)
    assert tried[:5] == [60, 180, 420, 900, 1800]
    assert all(later - earlier == 900 for earlier, later in pairwise(tried[3:]))
    assert desk.deliver(3600 + 900) == 1
    assert desk.telling.notices == () and alert_telling.untold(desk.telling) is None


def test_it_is_given_up_after_a_day() -> None:
    desk = Desk()
    desk.see(0, alert(), deliver=False)
    for hour in range(30):
        desk.deliver(hour * 3600, command="broken", webhook="refused")
    assert desk.telling.notices == () and desk.telling.given_up == 1


def test_what_never_arrived_is_replaced_by_what_came_after_it() -> None:
    desk = Desk()
    desk.see(0, alert(), deliver=False)
    desk.deliver(0, webhook="refused")
    desk.see(30, alert(RESOLVED), deliver=False)
    (notice,) = desk.telling.notices
    assert (notice.change, notice.ways) == (Change.RESOLVED, WAYS), "nobody hears that it fires when it is over"


def test_two_do_not_send_the_same_and_a_killed_ones_message_is_sent_by_the_next() -> None:
    desk = Desk()
    desk.see(0, alert(), deliver=False)
    assert desk.take(0, "one")
    assert not desk.take(1, "two") and not desk.take(89, "two")
    assert desk.take(91, "two")


def test_what_changes_together_is_one_message_the_worst_first() -> None:
    desk = Desk()
    desk.see(0, alert(rule="cpu"), alert(rule="disk"), alert(rule="error-rate"), deliver=False)
    desk.see(10, alert(severity=CRITICAL, rule="cpu"), alert(rule="disk"), alert(rule="memory"), deliver=False)
    batches = [desk.take(10), desk.take(10), desk.take(10), desk.take(10)]
    said = [[f"{one.change} {one.alert.rule}" for one in batch] for batch in batches]
    assert said == [["worse cpu", "firing disk", "firing memory"], [], [], []]
    desk = Desk()
    desk.see(0, alert(rule="cpu"), alert(severity=CRITICAL, rule="disk"), deliver=False)
    assert [one.alert.rule for one in desk.take(0)] == ["disk", "cpu"]


def test_what_follows_within_two_minutes_is_one_message_unless_it_is_worse() -> None:
    desk = Desk()
    seen = [alert(rule="cpu")]
    assert desk.see(0, *seen) == ["firing cpu"]
    seen.append(alert(rule="memory"))
    assert desk.see(20, *seen) == []
    seen.append(alert(severity=CRITICAL, rule="database-down"))
    assert desk.see(30, *seen) == ["firing database-down"], "a warning holds nothing worse up"
    seen.append(alert(severity=CRITICAL, rule="endpoint-down"))
    assert desk.see(70, *seen) == [] and desk.see(119, *seen) == []
    assert desk.see(120, *seen) == ["firing memory"]
    assert desk.see(150, *seen) == ["firing endpoint-down"]
    assert desk.see(160, *seen) == [] and desk.deliver(9999) == 0
    more = [alert(severity=CRITICAL, rule=f"r{number}") for number in range(3)]
    # With those of one and the same sample, too.
    desk.see(200, *seen, *more[:1])
    desk.see(210, *seen, *more)
    assert desk.see(269, *seen, *more) == []
    assert desk.see(270, *seen, *more) == ["firing r0", "firing r1", "firing r2"]
    assert desk.see(500, *seen, alert(severity=CRITICAL, rule="alone"), *more) == ["firing alone"], "at once again"


def test_what_is_over_before_it_is_told_is_not_told_and_comes_anew() -> None:
    desk = Desk()
    assert desk.see(0, alert(rule="cpu")) == ["firing cpu"]
    desk.see(20, alert(rule="cpu"), alert(rule="memory"))
    assert desk.see(60, alert(rule="cpu"), alert(RESOLVED, rule="memory")) == []
    assert desk.see(130, alert(rule="cpu")) == []
    assert desk.see(140, alert(rule="cpu"), alert(rule="memory")) == ["firing memory"], "it was never told"


def test_a_message_that_did_not_arrive_holds_nobody_up_and_is_tried_again_as_one() -> None:
    desk = Desk()
    desk.see(0, alert(rule="cpu"), alert(rule="disk"), deliver=False)
    assert desk.deliver(0, webhook="refused") == 1
    desk.see(120, alert(rule="cpu"), alert(rule="disk"), alert(rule="memory"), deliver=False)
    first, second = desk.take(120), desk.take(120)
    assert [one.alert.rule for one in first] == ["memory"] and first[0].ways == WAYS
    assert [one.alert.rule for one in second] == ["cpu", "disk"] and second[0].ways == ("webhook",)


def test_a_clock_that_was_set_back_holds_nothing_for_ever() -> None:
    desk = Desk()
    desk.see(0, alert(), deliver=False)
    desk.deliver(0, webhook="refused")
    assert desk.deliver(-86400) == 1
    desk.see(-86400, alert(RESOLVED))
    assert desk.see(-86300, alert()) == ["firing cpu"], "a cooldown that begins in the future is none"


def test_the_messages_that_wait_are_bounded() -> None:
    desk = Desk()
    desk.see(0, *(alert(rule=f"r{number}") for number in range(MOST + 50)), deliver=False)
    assert len(desk.telling.notices) == MOST and desk.telling.given_up == 50


@settings(max_examples=150, deadline=None)
@given(
    samples=st.lists(
        st.tuples(
            st.integers(min_value=1, max_value=1500),
            st.sampled_from([None, PENDING, FIRING, FIRING, FIRING, RESOLVED]),
            st.sampled_from([WARNING, WARNING, CRITICAL]),
            st.sampled_from([False, False, False, True]),  # silenced
            st.booleans(),  # another collector sees the same
        ),
        max_size=60,
    )
)
def test_never_twice_and_never_over_before_it_began(samples: list[tuple[int, Any, Severity, bool, bool]]) -> None:
    desk, seconds, open_, last, worst = Desk(), 0, False, None, WARNING
    for step, state, severity, silent, twice in samples:
        seconds += step
        silence = Silence(rule="cpu", subject="host", until=at(seconds + 1), who="x", at=at(0)) if silent else None
        seen = [alert(state, severity, silenced=silence)] if state is not None else []
        sent = desk.see(seconds, *seen)
        if twice:
            assert desk.see(seconds, *seen) == [], "the same look again tells nothing"
        for change in sent:
            if change == "firing cpu":
                assert not open_ and not silent
                soon = last is not None and seconds - last < COOLDOWN.total_seconds()
                assert not soon or (severity is CRITICAL and worst is WARNING)
                worst = max(severity, worst, key=lambda one: one is CRITICAL) if soon else severity
                open_, last = True, seconds
            elif change == "worse cpu":
                assert open_ and severity is CRITICAL and worst is WARNING
                worst, last = CRITICAL, seconds
            else:
                assert open_ and state is not FIRING
                open_ = False
        if state is FIRING and not silent and (last is None or seconds - last >= COOLDOWN.total_seconds()):
            assert open_, "what fires and may be told was told"


# --- what was decided ----------------------------------------------------------------------------------


def test_a_silence_covers_what_it_names_and_the_longest_counts() -> None:
    def silence(rule: str, subject: str, minutes: int) -> Silence:
        return Silence(rule=rule, subject=subject, until=at(minutes * 60), who="x", at=at(0))

    marks = Marks()
    for one in (silence("disk", "/srv", 10), silence("*", "/srv", 20), silence("disk", "web-*", 5)):
        marks = alert_marks.silence(marks, one)
    silenced = alert(rule="disk", subject="/srv")
    assert alert_marks.silence_of(marks, silenced, at(0)) == silence("*", "/srv", 20)
    assert alert_marks.silence_of(marks, silenced, at(1200)) is None, "until, not through"
    assert alert_marks.silence_of(marks, alert(rule="disk", subject="web-3"), at(0)) is not None
    assert alert_marks.silence_of(marks, alert(rule="disk", subject="/"), at(0)) is None
    odd = alert_marks.silence(Marks(), silence("disk", "/mnt/[a]", 5))
    assert alert_marks.silence_of(odd, alert(rule="disk", subject="/mnt/[a]"), at(0)) is not None
    replaced = alert_marks.silence(marks, silence("disk", "/srv", 60))
    assert len(replaced.silences) == 3
    assert len(alert_marks.ended(replaced, "disk", "/srv").silences) == 2


def test_marks_end_with_what_they_are_about() -> None:
    said = Acknowledgement(who="mina", at=at(0), note="on it")
    marks = alert_marks.acknowledge(Marks(), alert(), said)
    assert marked([alert()], marks, at(1))[0].acknowledged == said
    assert marked([alert(RESOLVED)], marks, at(1))[0].acknowledged is None
    assert pruned(marks, [alert()], at(1)) is marks
    assert pruned(marks, [alert(RESOLVED)], at(1)) == Marks()
    assert pruned(marks, [], at(1)) == Marks()
    assert alert_marks.withdrawn(marks, "cpu", "host") == Marks()
    silence = Silence(rule="cpu", subject="*", until=at(60), who="x", at=at(0))
    kept = alert_marks.silence(Marks(), silence)
    assert pruned(kept, [], at(59)) == kept and pruned(kept, [], at(60)) == Marks()
