"""What an operator decides about an alert in the console: acknowledge it with a note, silence it for a while.

Neither changes the stack, so neither takes the lock of the operations; both are recorded where the alerts are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
from textual.content import Content

from opsconsole.alert_marks import ANY
from opsconsole.model import Acknowledgement, Alert, AlertState, Silence, SourceError
from opsconsole.ui.screens.asking import AskingScreen
from opsconsole.ui.screens.confirm import ConfirmScreen
from opsconsole.ui.screens.picking import PickingScreen
from opsconsole.ui.widgets.columns import Column
from opsconsole.ui.widgets.row_table import RowTable
from opsconsole.ui.wording import Tone, decided, moment

if TYPE_CHECKING:
    from opsconsole.alert_keeper import AlertKeeper
    from opsconsole.ui.app import ConsoleApp


Say = Callable[[str, Tone], None]
"""Says how it went, where the operator looks."""


def acknowledge(app: ConsoleApp, alert: Alert, say: Say) -> None:
    """Ask for a note and keep it; of one that somebody sees to already, ask whether to take that back."""
    keeper = _keeper(app, say)
    if keeper is None:
        return

    def withdraw(agreed: bool | None) -> None:
        if agreed:
            done = f"nobody sees to {alert.rule} of {alert.subject} now"
            _do(app, lambda who: keeper.withdraw(alert, who, app.clock()), done, say)

    if alert.acknowledged is not None:
        app.push_screen(
            ConfirmScreen(
                f"Nobody sees to {alert.subject} any more?",
                [Content(alert.message), Content.styled(decided(alert, app.clock()), Tone.MUTED)],
                "Take it back",
            ),
            withdraw,
        )
        return
    if alert.state is not AlertState.FIRING:
        say("Only an alert that fires can be acknowledged; this one can be silenced (S).", Tone.WARNING)
        return

    def noted(note: str | None) -> None:
        if note is not None:
            _do(
                app,
                lambda who: keeper.acknowledge(alert, Acknowledgement(who=who, at=app.clock(), note=note)),
                f"{alert.rule} of {alert.subject} is acknowledged",
                say,
            )

    said = [
        alert.message,
        "It ends with the alert, and when the alert gets worse. A note, for the others: (may stay empty)",
    ]
    app.push_screen(AskingScreen("I see to it", said, "Enter acknowledges it. Esc does not."), noted)


def silence(app: ConsoleApp, alert: Alert, say: Say) -> None:
    """Choose until when and of what nobody is told, then ask for a note; or end the silence that there is."""
    keeper = _keeper(app, say)
    if keeper is None:
        return

    def chosen(one: _Choice | None) -> None:
        if one is None:
            return
        if one.ends is not None:
            over = one.ends
            _do(app, lambda who: keeper.end_silence(over, who, app.clock()), f"the silence of {over.rule} is over", say)
            return
        until, subject = one.until, one.subject

        def noted(note: str | None) -> None:
            if note is not None:
                _do(
                    app,
                    lambda who: keeper.silence(
                        Silence(rule=alert.rule, subject=subject, until=until, who=who, at=app.clock(), note=note)
                    ),
                    f"{alert.rule} of {one.of} is silent until {moment(until, app.clock())}",
                    say,
                )

        said = [f"{alert.rule} of {one.of}, until {moment(until, app.clock())}.", "Why? (may stay empty)"]
        app.push_screen(AskingScreen("Silence", said, "Enter silences it. Esc does not."), noted)

    app.push_screen(SilenceScreen(alert, app.clock()), chosen)


def _keeper(app: ConsoleApp, say: Say) -> AlertKeeper | None:
    if app.read_only:
        say("Refused: this console is read-only; nothing was done.", Tone.WARNING)
        return None
    return app.monitor.alerts if app.monitor is not None else None


def _do(app: ConsoleApp, act: Callable[[str], None], done: str, say: Say) -> None:
    """On a thread, as it may wait for a disk; then say how it went and show it."""

    def work() -> str:
        from opsconsole.operations import who

        try:
            act(who.current().words())
        except SourceError as error:
            return f"{error.problem}. {error.hint}".strip()
        return ""

    def then(problem: str) -> None:
        if problem:
            say(f"Nothing was kept: {problem}", Tone.BAD)
            return
        say(f"{done[0].upper()}{done[1:]}.", Tone.GOOD)
        if app.monitor is not None:
            app.monitor.publish_soon()

    app.in_background(work, then, done)


# --- for how long ------------------------------------------------------------------------------------


class _Choice(msgspec.Struct, frozen=True):
    label: str
    said: str
    until: datetime
    subject: str
    of: str
    ends: Silence | None = None


def _choices(alert: Alert, now: datetime) -> Iterator[_Choice]:
    if (one := alert.silenced) is not None:
        whole = "everything" if one.rule == ANY else "all of it" if one.subject == ANY else alert.subject
        yield _Choice("end the silence", f"of {whole}: {decided(alert, now)}", now, one.subject, whole, one)
    morning = now.astimezone().replace(hour=8, minute=0, second=0, microsecond=0) + timedelta(days=1)
    times = [
        ("15 minutes", now + timedelta(minutes=15)),
        ("1 hour", now + timedelta(hours=1)),
        ("4 hours", now + timedelta(hours=4)),
        ("tomorrow, 08:00", morning.astimezone(now.tzinfo)),
        ("1 day", now + timedelta(days=1)),
        ("1 week", now + timedelta(days=7)),
    ]
    for label, until in times:
        yield _Choice(label, f"only {alert.subject}, until {moment(until, now)}", until, alert.subject, alert.subject)
    for label, until in times[1:3]:
        yield _Choice(
            f"{label}, all", f"{alert.rule} of everything, until {moment(until, now)}", until, ANY, "everything"
        )


_COLUMNS: tuple[Column[_Choice], ...] = (
    Column("label", "For how long", 20, lambda one: one.label, sortable=False),
    Column("said", "What is silent", 30, lambda one: (one.said, Tone.MUTED), priority=1, grow=True, most=120,
           sortable=False),
)  # fmt: skip


class SilenceScreen(PickingScreen[_Choice, _Choice]):
    keys_line = "Enter choose   / filter   Esc back"

    def __init__(self, alert: Alert, now: datetime) -> None:
        super().__init__()
        self._alert = alert
        self._found = list(_choices(alert, now))

    def heading(self) -> Content:
        return Content.assemble(f"Silence {self._alert.rule}", ("   it is shown, and nobody is told", Tone.MUTED))

    def make_table(self) -> RowTable[_Choice]:
        return RowTable(_COLUMNS, key=lambda one: one.label, marks=False)

    def records(self) -> list[_Choice]:
        return self._found

    def taken(self, record: _Choice) -> None:
        self.dismiss(record)
