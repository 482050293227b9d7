"""The shell: header, panes, footer, and the way of a Snapshot from the monitor's thread to the visible pane."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from textual import events
from textual.app import ComposeResult
from textual.containers import Container
from textual.filter import LineFilter
from textual.message import Message
from textual.screen import Screen

from opsconsole.model import Project, Snapshot
from opsconsole.ui import doing, incident, leaving, pauses, terminal, themes
from opsconsole.ui.ascii_lines import AsciiLines
from opsconsole.ui.keys import EVERYWHERE, Action, bindings
from opsconsole.ui.operating import Operating
from opsconsole.ui.panes import PANES, entry
from opsconsole.ui.panes.base import Pane
from opsconsole.ui.typed_ahead import TypedAhead
from opsconsole.ui.widgets.footer import Footer, StatusLine
from opsconsole.ui.widgets.header import Header, PaneTabs
from opsconsole.ui.widgets.incident_line import IncidentLine
from opsconsole.ui.widgets.operation_line import OperationLine
from opsconsole.ui.widgets.painting import Hollow
from opsconsole.ui.widgets.row_table import RowTable
from opsconsole.ui.widgets.scrollbars import draw_scrollbars
from opsconsole.ui.wording import ASCII, UNICODE, Tone

if TYPE_CHECKING:
    from opsconsole.incident_room.room import Room
    from opsconsole.monitor import Monitor
    from opsconsole.operations.site import Site
    from opsconsole.sources import Sources

T = TypeVar("T")
DELIVERY_SECONDS = 0.1
"""Snapshots reach the screen at most this often, however fast they are published."""

CLIENTS_LOADED_SECONDS = 8.0
"""By then every source has been asked and has imported its client."""

ASKING_SECONDS = 1.0
"""F5 is seen to be taken for so long, also when every answer is the same as before."""


@dataclass(frozen=True, slots=True)
class Report:
    """Something that was done, or that failed."""

    at: datetime
    tone: Tone
    text: str


class ConsoleScreen(Screen[None], Hollow, inherit_bindings=False):
    """The main screen. Tab belongs to the panes, so the framework's focus keys are not inherited."""

    BINDINGS = [("ctrl+c", "screen.copy_text", "Copy")]  # passes on when nothing is selected
    ALLOW_SELECT = True

    def on_screen_resume(self) -> None:
        """A dialog is closed: its keys no longer count, and no focus moved to say so."""
        cast("ConsoleApp", self.app).refresh_footer()


class Body(Container, Hollow):
    """The place of the panes."""


class ConsoleApp(TypedAhead[Project | None], inherit_bindings=False):
    CSS_PATH = "console.tcss"
    TITLE = "opsconsole"
    ENABLE_COMMAND_PALETTE = False  # `commands` opens our own, over the same actions as keys and help
    AUTO_FOCUS = None
    actions: ClassVar[tuple[Action, ...]] = EVERYWHERE
    BINDINGS = cast(Any, bindings(EVERYWHERE))
    HORIZONTAL_BREAKPOINTS = [(0, "-tiny"), (60, "-narrow"), (80, "-normal"), (110, "-wide"), (160, "-broad")]
    VERTICAL_BREAKPOINTS = [(0, "-flat"), (14, "-short"), (30, "-normal"), (45, "-tall")]

    class Arrived(Message):
        """A Snapshot waits to be shown."""

    def __init__(
        self,
        monitor: Monitor | None,
        *,
        read_only: bool = False,
        ascii_only: bool = False,
        theme: str | None = None,
        note: str = "",
        choose: Sequence[Project] | None = None,
        site: Site | None = None,
        room: Room | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`note` is said when the console opens. `choose` shows only these projects and returns the chosen one.
        `site` is what operations are carried out on; without one they are refused. `room` is where the incidents of a
        drill are worked on; those of a site have their own."""
        no_color = "NO_COLOR" in os.environ
        super().__init__(ansi_color=True if no_color else None)
        self.monitor = monitor
        self.read_only = read_only
        self.snapshot: Snapshot | None = monitor.snapshot if monitor is not None else None
        self.glyphs = ASCII if ascii_only or terminal.wants_ascii() else UNICODE
        draw_scrollbars(ascii_only=self.glyphs.ascii)
        self._ascii_lines = AsciiLines()
        self.messages: deque[Report] = deque(maxlen=500)
        self.faults: list[Exception] = []  # a pane that could not show a Snapshot; the tests look here
        self.busy: dict[int, str] = {}  # what is under way in the background, in words
        self.clock = clock
        self.pane: Pane | None = None
        self.operating = Operating(self, site)
        self.room = room
        self._choose = choose
        self._panes: dict[str, Pane] = {}
        self._note = note
        self._latest: Snapshot | None = None
        self._announced = False
        self._delivered_at = 0.0
        self._asking_until = 0.0
        self._mouse_ours = True
        self._works = 0  # numbers what is under way
        self.alone_in_process = False  # so it may say what is collected as garbage, and when
        self._unsubscribe: Callable[[], None] = lambda: None
        self._wanted_theme = theme
        for known in themes.THEMES:
            self.register_theme(known)
        self.theme = theme if theme in themes.SAID else themes.first_choice()

    @property
    def sources(self) -> Sources:
        assert self.monitor is not None
        return self.monitor.sources

    # --- life --------------------------------------------------------------------------------------

    def run(self, **options: Any) -> Project | None:
        """Open the console on this terminal. Raises `terminal.NoTerminal` when there is none."""
        terminal.require_terminal()
        self.alone_in_process = True
        with terminal.TerminalGuard(self._leave_from_outside) as guard:
            result = super().run(**options)
            if self.busy:
                guard.end(self.return_code or 0)  # a thread still waits for a source: do not wait for it
        return result

    def _leave_from_outside(self, code: int) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(lambda: self.exit(return_code=code))

    def _fatal_error(self) -> None:
        """End with a traceback. The framework's own shows the values of variables, and they may be secrets."""
        from rich.traceback import Traceback

        self.bell()
        self.panic(Traceback(show_locals=False, width=None))

    def get_line_filters(self) -> Sequence[LineFilter]:
        filters = super().get_line_filters()
        return [*filters, self._ascii_lines] if self.glyphs.ascii else filters

    def get_default_screen(self) -> Screen[None]:
        return ConsoleScreen(id="console")

    def compose(self) -> ComposeResult:
        self.header = Header()
        self.tabs = PaneTabs([(pane.pane_id, pane.letter) for pane in PANES])
        self.operation_line = OperationLine()
        self.incident_line = IncidentLine()
        self.body = Body(id="body")
        self.status = StatusLine()
        self.footer = Footer()
        yield self.header
        yield self.tabs
        yield self.operation_line
        yield self.incident_line
        yield self.body
        yield self.status
        yield self.footer

    async def on_mount(self) -> None:
        self.screen.set_class(self.glyphs.ascii, "-ascii")
        # The shell wrote over the screen meanwhile, which the compositor does not know.
        self.app_resume_signal.subscribe(self, lambda _: self.refresh(repaint=True, layout=True))
        if self._choose is not None:
            from opsconsole.ui.screens.projects import ProjectsScreen

            self.push_screen(ProjectsScreen(self._choose), self.exit)
            return
        if self.monitor is not None:
            self.snapshot = self.monitor.snapshot  # the containers may be here already
        await self.go("overview")
        self._say_header()
        self.set_interval(1.0, self._every_second)
        if self._wanted_theme and self._wanted_theme not in themes.SAID:
            self.report(f"No theme is called {self._wanted_theme}; there are {', '.join(themes.SAID)}.", Tone.WARNING)
        if self._note:
            self.report(self._note, Tone.ACCENT)
        if self.monitor is not None:
            # First paint, then the clients: the monitor imports and connects on its own threads.
            self.call_after_refresh(self._start_monitor)

    def _start_monitor(self) -> None:
        assert self.monitor is not None
        self._unsubscribe = self.monitor.subscribe(self.publish)
        if self.monitor.snapshot is not self.snapshot:
            self.publish(self.monitor.snapshot)
        self.monitor.start()
        self.operating.start()
        # Imported on its first visit, a pane would keep the keys waiting.
        self.aside(lambda: [each.load() for each in PANES], lambda _: self._set_aside(), "panes")
        incident.watch(self)
        self.set_timer(CLIENTS_LOADED_SECONDS, self._set_aside)

    def _set_aside(self) -> None:
        """What was loaded by now stays to the end: leave it out of each collection of garbage."""
        if self.alone_in_process:
            pauses.set_aside()

    def on_unmount(self) -> None:
        self._unsubscribe()
        self.operating.stop()
        if self.pane is not None:
            self.pane.left()
        if self.monitor is not None:
            self.monitor.stop()

    # --- Snapshots ---------------------------------------------------------------------------------

    def publish(self, snapshot: Snapshot) -> None:
        """Show this Snapshot soon; of several in a burst only the last. Called from any thread."""
        self._latest = snapshot
        if not self._announced:
            self._announced = True
            self.post_message(self.Arrived())

    def on_console_app_arrived(self) -> None:
        wait = self._delivered_at + DELIVERY_SECONDS - time.monotonic()
        if wait > 0:
            self.set_timer(wait, self._deliver)
        else:
            self._deliver()

    def _deliver(self) -> None:
        self._announced = False
        self._delivered_at = time.monotonic()
        if self._latest is None or not self.screen_stack:  # the last one may come when the screens are closed already
            return
        self.snapshot, self._latest = self._latest, None
        with self.batch_update():
            self._say_header()
            self.show_pane()
            receive = getattr(self.screen, "receive", None)
            if receive is not None:
                receive(self.snapshot)

    def show_pane(self) -> None:
        """Show the Snapshot in the visible pane. One that cannot show something does not take the console with it."""
        if self.pane is None or self.snapshot is None:
            return
        try:
            self.pane.receive(self.snapshot)
        except Exception as fault:
            self.log.error(fault)
            if repr(fault) not in map(repr, self.faults):
                self.faults.append(fault)
                self.report(
                    f"{self.pane.title} cannot show all of what is there ({type(fault).__name__}: {fault}). "
                    "The other panes go on; please report this.",
                    Tone.BAD,
                )
        self.refresh_footer()

    def _every_second(self) -> None:
        self._say_header()
        if self.operating.running:
            self.operating.say()  # the time passes

    def _say_header(self) -> None:
        asking = time.monotonic() < self._asking_until
        self.header.show(self.snapshot, self.clock(), read_only=self.read_only, glyphs=self.glyphs, asking=asking)

    # --- panes -------------------------------------------------------------------------------------

    async def go(self, pane_id: str) -> Pane:
        """Show a pane; it is built on the first visit."""
        if self.pane is not None and self.pane.pane_id == pane_id:
            return self.pane
        pane = self._panes.get(pane_id)
        new = pane is None
        if pane is None:
            pane = self._panes[pane_id] = entry(pane_id).load()()
        if self.pane is not None:
            self.pane.display = False
            self.pane.left()
        self.pane = pane
        if new:
            await self.body.mount(pane)
            self.call_after_refresh(self._set_aside)
        pane.display = True
        self.tabs.show(pane_id)
        if self.monitor is not None:
            self.monitor.focus(pane.topics)
        pane.entered()
        self.show_pane()
        pane.take_focus()
        self.refresh_footer()
        return pane

    async def on_pane_tabs_picked(self, event: PaneTabs.Picked) -> None:
        await self.go(event.pane_id)

    # --- what panes and screens ask for ------------------------------------------------------------

    def report(self, text: str, tone: Tone = Tone.PLAIN) -> None:
        """Say what an action came to: on the status line until Esc or the next, and among the messages for good."""
        self.note(text, tone)
        self.status.say(text, tone, self.glyphs)

    def note(self, text: str, tone: Tone = Tone.PLAIN) -> None:
        """Keep it among the messages only: its own screen says it already."""
        self.messages.append(Report(self.clock(), tone, text))

    def in_background(self, work: Callable[[], T], then: Callable[[T], None], what: str) -> None:
        """Run `work` on a thread of its own and `then` with its result on the screen's. `work` must not raise.

        `what` says it in words while it is under way ("restart backend").
        """

        number = self._works = self._works + 1
        self.busy[number] = what

        def done(result: T) -> None:
            self.busy.pop(number, None)
            then(result)

        self.aside(work, done, what)

    def aside(self, work: Callable[[], T], then: Callable[[T], None], name: str) -> None:
        """The same for what only looks: leaving the console does not wait for it and does not ask."""

        def body() -> None:
            result = work()
            self.call_later(then, result)

        threading.Thread(target=body, name=f"ui-{name}", daemon=True).start()

    @property
    def terminal_is_behind(self) -> bool:
        """Whether painted frames wait to be written, as on a slow line: then a key waits for each of them."""
        writer = getattr(self._driver, "_writer_thread", None)
        return writer is not None and not writer._queue.empty()

    def refresh_footer(self) -> None:
        place = self.pane.pane_id if self.pane else ""
        self.footer.show([action for _, action in doing.available(self)], place)

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        self.refresh_footer()

    def on_row_table_moved(self, event: RowTable.Moved) -> None:
        self.refresh_footer()

    def on_row_table_marked(self, event: RowTable.Marked) -> None:
        self.refresh_footer()

    # --- keys --------------------------------------------------------------------------------------

    async def action_go(self, pane_id: str) -> None:
        await self.go(pane_id)

    async def action_next_pane(self, step: int = 1) -> None:
        order = [pane.pane_id for pane in PANES]
        here = order.index(self.pane.pane_id) if self.pane is not None else 0
        await self.go(order[(here + step) % len(order)])

    async def action_previous_pane(self) -> None:
        await self.action_next_pane(-1)

    def action_help(self) -> None:
        from opsconsole.ui.screens.help import HelpScreen

        here = self.screen
        if not isinstance(here, HelpScreen):
            place = getattr(here, "place", "") or (self.pane.pane_id if self.pane else "")
            self.push_screen(HelpScreen(place, here=getattr(here, "keys_line", "")))

    def action_commands(self) -> None:
        from opsconsole.ui.screens.commands import CommandsScreen

        self.push_screen(CommandsScreen(), lambda chosen: doing.perform(self, chosen))

    def action_zoom(self) -> None:
        self.screen.toggle_class("-zoomed")

    def action_messages(self) -> None:
        from opsconsole.ui.screens.messages import MessagesScreen

        self.push_screen(MessagesScreen())

    def action_maintenance(self) -> None:
        from opsconsole.ui.screens.maintenance import MaintenanceScreen

        self.push_screen(MaintenanceScreen())

    def action_theme(self) -> None:
        from opsconsole.ui.screens.theme import ThemeScreen

        self.push_screen(ThemeScreen(self.theme))

    def action_mouse(self) -> None:
        driver = self._driver
        self._mouse_ours = not self._mouse_ours
        switch = getattr(driver, "_enable_mouse_support" if self._mouse_ours else "_disable_mouse_support", None)
        if switch is not None:
            switch()
            cast(Any, driver).flush()
        if self._mouse_ours:
            self.report("The mouse works in the console again: click rows, titles and panes.", Tone.GOOD)
        else:
            self.report("The mouse belongs to the terminal now: select text with it. M takes it back.", Tone.GOOD)

    def action_suspend(self) -> None:
        if terminal.shell_waits():
            self.action_suspend_process()
        else:
            self.report("No shell waits for the terminal: nobody could bring the console back.", Tone.WARNING)

    def action_redraw(self) -> None:
        if self.monitor is not None:
            self.monitor.refresh()
            self._asking_until = time.monotonic() + ASKING_SECONDS
            self._say_header()
        self.screen.refresh(layout=True)
        # What another program wrote over the screen is not known to the compositor: paint every line again.
        self.refresh(repaint=True, layout=True)

    async def action_back(self) -> None:
        if self.pane is not None and self.pane.back():
            self.refresh_footer()
        elif self.status.text:
            self.status.say("", Tone.PLAIN, self.glyphs)
        elif self.screen.has_class("-zoomed"):
            self.screen.remove_class("-zoomed")

    def action_watch_operation(self) -> None:
        self.operating.attach()

    def action_incident(self) -> None:
        incident.open_screen(self)

    def action_leave(self) -> None:
        leaving.leave(self)

    def action_emergency_stop(self) -> None:
        from opsconsole.ui import emergency_stop

        emergency_stop.ask(self.operating)


def choose_project(
    projects: Sequence[Project], *, ascii_only: bool = False, theme: str | None = None
) -> Project | None:
    """Let the operator choose one of the projects that run on the engine. None: left without choosing."""
    return ConsoleApp(None, ascii_only=ascii_only, theme=theme, choose=projects).run()
