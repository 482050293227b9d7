"""A plan before it runs: its steps at the left, what each runs and what becomes of the data at the right.

Making it asks the engine and Compose and takes seconds, and of a restore as long as the backup is read: on a thread,
while this screen says how far it is and Esc gives up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from textual import events
from textual.containers import Container as Box
from textual.content import Content
from textual.widget import Widget

from opsconsole.backups.naming import LATEST
from opsconsole.backups.progress import Cancelled
from opsconsole.model import SourceError
from opsconsole.operations import plan as plans
from opsconsole.operations.beginning import Begun
from opsconsole.operations.plan import Plan
from opsconsole.operations.requests import Request
from opsconsole.operations.stack_plans import NothingToDo
from opsconsole.text import printable
from opsconsole.ui.keys import Action
from opsconsole.ui.reading import Reading
from opsconsole.ui.screens import plan_lines
from opsconsole.ui.screens.acting import ON_TOP, ActingScreen
from opsconsole.ui.screens.plan_lines import PlanStep
from opsconsole.ui.widgets.columns import CellText, Column
from opsconsole.ui.widgets.lines import wrapped
from opsconsole.ui.widgets.row_table import RowTable
from opsconsole.ui.widgets.scrolled import Scrolled
from opsconsole.ui.widgets.sheet import Sheet
from opsconsole.ui.wording import Tone, clock

SIDE_BY_SIDE = 100  # cells
_MOST_STEPS_ABOVE = 0.4  # of the height, where the steps stand above the rest


PAGES = (
    Action("screens(-1)", ("pageup", "ctrl+u"), "Page up", "Move what stands beside the steps up.", palette=False),
    Action("screens(1)", ("pagedown", "ctrl+d"), "Page down", "Move it down.", palette=False),
)


class PlanScreen(ActingScreen):
    """`words` say what is wanted, before there is a plan. A ready `plan` is only looked at or run."""

    place = "plan"
    actions = (
        Action("run_it", ("enter",), "run it", "Run the plan, after a question.", footer=1, palette=False),
        Action("anew", ("p", "f5"), "plan anew", "Look at the stack again and make the plan anew.", footer=4,
               palette=False),
        Action("other_side", ("tab", "shift+tab"), "other side", "Go to the steps, or to what they do.", footer=5,
               palette=False),
        *PAGES,
        Action("app.watch_operation", ("W",), "watch", "Watch the operation that runs.", palette=False),
        Action("close", ("escape", "q"), "back", "Go back; nothing is done.", footer=2, palette=False),
        Action("leave", ("ctrl+c",), "quit", "Give up the plan while it is being made; else leave the console.",
               palette=False),
        *(one for one in ON_TOP if one.run != "app.leave"),
    )  # fmt: skip
    first = PAGES
    DEFAULT_CSS = """
    PlanScreen > .plan-sides { height: 1fr; layout: vertical; }
    PlanScreen .plan-steps { height: auto; max-height: 40%; width: 1fr; }
    PlanScreen .plan-steps RowTable { height: auto; }
    PlanScreen .plan-steps RowLines { height: auto; max-height: 100%; }
    PlanScreen .plan-detail { height: 1fr; width: 1fr; padding: 0 1; }
    PlanScreen.-wide .plan-sides { layout: horizontal; }
    PlanScreen.-wide .plan-steps { width: 2fr; max-width: 72; height: 1fr; max-height: 100%; }
    PlanScreen.-wide .plan-steps RowTable, PlanScreen.-wide .plan-steps RowLines { height: 1fr; }
    PlanScreen.-wide .plan-detail { width: 3fr; }
    PlanScreen .plan-said { height: auto; max-height: 8; padding: 0 1; }
    PlanScreen .plan-sum { height: 1; padding: 0 1; background: $surface; }
    """

    def __init__(
        self,
        words: str,
        request: Request | None = None,
        plan: Plan | None = None,
        *,
        begun: Callable[[], None] = lambda: None,
    ) -> None:
        """`begun` is called when the plan runs and this screen is gone."""
        super().__init__()
        self._then = begun
        self.words = words
        self.request = request
        self.plan = plan
        self._making = 0  # number of the attempt that is awaited, 0 when none is
        self._attempts = 0
        self._since = 0.0
        self._reading = Reading()
        self._said: list[tuple[str, Tone]] = []
        self._beginning = False
        self.table: RowTable[PlanStep] = RowTable(
            (
                Column("number", "", 2, self._number, align="right", sortable=False),
                Column("title", "Step", 20, lambda one: one.step.title, grow=True, most=160, sortable=False),
            ),
            key=lambda one: one.key,
            marks=False,
            filters=False,
            empty="",
        )
        self.steps = Box(self.table, classes="plan-steps")
        self.detail = Sheet()
        self.said = Sheet(classes="plan-said")
        self.sum = Sheet(classes="plan-sum")

    def _number(self, one: PlanStep) -> CellText:
        return one.number, Tone.ACCENT

    def body(self) -> Iterable[Widget]:
        yield Box(self.steps, Scrolled(self.detail, classes="plan-detail"),
                  classes="plan-sides")  # fmt: skip
        yield self.said
        yield self.sum

    def opened(self) -> None:
        self._timer = self.set_interval(1.0, self._tick, pause=True)
        if self.plan is None:
            self.action_anew()
        else:
            self._show_plan()

    def on_resize(self, event: events.Resize) -> None:
        self.set_class(event.size.width >= SIDE_BY_SIDE, "-wide")

    # --- making it -----------------------------------------------------------------------------------

    def action_anew(self) -> None:
        site, request = self.console_app.operating.site, self.request
        if request is None or site is None or self._making:
            return
        self._attempts += 1
        self._making, number = self._attempts, self._attempts
        self._since = time.monotonic()
        self.plan = None
        self._reading = reading = Reading()
        self._timer.resume()

        def make() -> Plan | SourceError:
            from opsconsole.operations import requests

            try:
                return requests.make_plan(site, request, reading.hear)
            except SourceError as error:
                return error
            except Cancelled:
                return SourceError("given up")  # to nobody: Esc was pressed
            except Exception as error:  # a fault of ours must be read, not lost on a thread
                return SourceError(f"unexpected {type(error).__name__}: {error}", "Please report it.")

        self.console_app.aside(make, lambda made: self._made(number, made), "plan")
        self._show_plan()

    def _made(self, number: int, made: Plan | SourceError) -> None:
        if number != self._making or not self.is_mounted:
            return  # nobody waits for it any more
        self._making = 0
        self._timer.pause()
        self._said = []
        if isinstance(made, Plan):
            self.plan = made
        else:
            self._said = _problem(made)
        self._show_plan()

    def _tick(self) -> None:
        self._say()

    # --- showing it ----------------------------------------------------------------------------------

    def heading(self) -> Content:
        if self.plan is None:
            return Content(f"Plan: {printable(self.words)}")
        return Content(f"Plan: {printable(plans.title(self.plan))}")

    def _show_plan(self) -> None:
        plan = self.plan
        self.table.show(plan_lines.steps_of(plan) if plan else [])
        if plan is not None:
            self.table.focus()
        else:
            self.query_one(".plan-detail").focus()  # without a focus the next key would wait for one
        self._show_detail()
        self._say()
        self.say_keys()

    def _show_detail(self) -> None:
        plan, chosen, glyphs = self.plan, self.table.current, self.glyphs
        if plan is not None:
            self.detail.paint(lambda width: plan_lines.detail(plan, chosen, width, glyphs))

    def _say(self) -> None:
        self.say_heading()
        plan, glyphs = self.plan, self.glyphs
        said, reading = list(self._said), None
        if self._making:
            waited, reading = clock(time.monotonic() - self._since), self._reading
            said = [(f"{glyphs.busy} {_making(self.request)} {waited}", Tone.ACCENT),
                    ("Nothing is done. Esc gives up.", Tone.MUTED)]  # fmt: skip
        elif plan is not None and self.console_app.read_only and not said:
            said = [("This console is read-only: a plan can be looked at, nothing is run.", Tone.WARNING)]

        def lines(width: int) -> list[Content]:
            found = [line for text, tone in said for line in wrapped(text, width, style=tone)]
            return [*(reading.lines(width, glyphs) if reading else ()), *found]

        # Without a plan there is nothing above it: then it stands where one begins to read.
        self.steps.display = plan is not None
        self.said.display = plan is not None and bool(said)
        (self.said if plan is not None else self.detail).paint(lines)
        self.sum.display = plan is not None
        self.sum.paint(lambda width: [plan_lines.summary(plan, glyphs)] if plan else [])

    def on_row_table_moved(self, event: RowTable.Moved) -> None:
        event.stop()
        self._show_detail()
        self.query_one(".plan-detail", Scrolled).scroll_home(animate=False)

    def on_row_table_chosen(self, event: RowTable.Chosen) -> None:
        event.stop()
        self.action_run_it()

    def action_other_side(self) -> None:
        detail = self.query_one(".plan-detail", Scrolled)
        if detail.has_focus:
            self.table.focus()
        else:
            detail.focus()

    def action_screens(self, direction: int) -> None:
        self.query_one(".plan-detail", Scrolled).action_screens(direction)

    # --- running it ----------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "run_it":
            ready = self.plan is not None and bool(self.plan.steps) and not self._beginning
            return ready and not self.console_app.read_only
        if action == "anew":
            return self.request is not None and not self._making
        if action in ("other_side", "screens"):
            return self.plan is not None
        return True

    def action_run_it(self) -> None:
        plan, app = self.plan, self.console_app
        if plan is None or self._beginning:
            return
        if app.read_only:
            self._said = [("This console is read-only: nothing was done.", Tone.WARNING)]
            self._say()
            return
        app.operating.confirm(plan, lambda agreed: self._begin(plan) if agreed else None)

    def _begin(self, plan: Plan) -> None:
        self._beginning = True
        self._said = [(f"{self.glyphs.busy} It is being started.", Tone.ACCENT)]
        self._say()
        self.console_app.operating.begin(plan, self._begun)

    def _begun(self, begun: Begun | SourceError) -> None:
        self._beginning = False
        self._said = []
        if isinstance(begun, SourceError):
            self._said = [*_problem(begun), ("Nothing was done.", Tone.MUTED)]
            self._say()
            self.say_keys()
            return
        self.dismiss()
        self._then()
        self.console_app.operating.watch(begun.place, process=begun.process, request=self.request, words=self.words)

    def action_leave(self) -> None:
        if self._making:
            self.action_close()
        else:
            self.console_app.action_leave()

    def action_close(self) -> None:
        self._making = 0
        self._reading.give_up()
        self.dismiss()


def _making(request: Request | None) -> str:
    """What takes so long."""
    if request is not None and request.what in ("restore", "undo-restore"):
        order = request.restore
        if order is not None and order.at is not None:
            return "Reading every byte of the full backup before that second, then what is live ..."
        of = printable(order.backup) if order is not None else "the safety backup"
        of = "the newest good backup" if of == LATEST else of
        return f"Reading every byte of {of} that was not read before, then what is live ..."
    return "Making the plan: the engine and Compose are asked."


def _problem(error: SourceError) -> list[tuple[str, Tone]]:
    if isinstance(error, NothingToDo):
        said = [(f"Nothing to do: {error.problem}.", Tone.WARNING)]
    else:
        said = [(f"{error.problem[:1].upper()}{error.problem[1:].rstrip('.')}.", Tone.BAD)]
    return [*said, (error.hint, Tone.ACCENT)] if error.hint else said
