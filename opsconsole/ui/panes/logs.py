"""The logs of one, several or all services, merged in time order and followed.

The only pane with a stream of its own beside the Snapshot: the Snapshot tells it which containers there
are now, so a recreated one is attached again. While the pane is not visible nothing is read; what came
meanwhile waits in the stream's bounded queue.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence

from textual.containers import Horizontal
from textual.timer import Timer
from textual.widget import Widget

from opsconsole.log_filter import LEVELS, LogFilter, Pattern, pattern
from opsconsole.log_names import labels_of
from opsconsole.log_store import LogStore
from opsconsole.model import LogLevel, LogLine, Snapshot
from opsconsole.ui.keys import Action
from opsconsole.ui.panes.base import Pane
from opsconsole.ui.panes.log_following import Following
from opsconsole.ui.panes.log_status import LogState, status_lines
from opsconsole.ui.widgets import clipboard
from opsconsole.ui.widgets.log_prompt import FILTER, SEARCH, LogPrompt
from opsconsole.ui.widgets.log_rows import Times
from opsconsole.ui.widgets.log_save import SaveScreen, default_path, write_lines
from opsconsole.ui.widgets.log_view import LogView
from opsconsole.ui.widgets.painting import Hollow
from opsconsole.ui.widgets.service_picker import ServicePicker
from opsconsole.ui.widgets.sheet import Sheet
from opsconsole.ui.wording import Tone, plural, size

_LOCALLY, _OVER_SSH = 1 / 30, 1 / 3
"""Seconds between two frames. Over SSH the redraws are the traffic: 190 KB/s at 10 Hz, 39 KB/s at 2 Hz."""

_NEWS = 0.25  # seconds until a problem of the stream is said

_ROOM_FOR_PICKER = 100  # cells from which the list of services is shown without being asked for


def frame_seconds() -> float:
    return _OVER_SSH if os.environ.get("SSH_CONNECTION") else _LOCALLY


class LogBody(Horizontal, Hollow):
    """The list of services and the log."""


class LogsPane(Pane):
    pane_id = "logs"
    title = "Logs"
    letter = "l"
    sources = ("engine",)
    actions = (
        Action("filter", ("slash",), "filter", "Show only lines that match an expression; ! in front hides them.",
               footer=10),
        Action("search", ("backslash", "ctrl+f"), "search", "Search a text and mark it; n and N go on.", footer=11,
               shown="\\"),
        Action("next_hit(1)", ("n",), "Next hit", "Go to the next line that holds the searched text."),
        Action("next_hit(-1)", ("N",), "Hit before", "Go to the line before that holds the searched text."),
        Action("level", ("L",), "level", "Show only lines of a level and worse: all, debug, info, warning, error.",
               footer=12),
        Action("range(0)", ("0",), "range", "Show the last lines and follow.", footer=13, shown="0-6"),
        Action("range(1)", ("1",), "First lines", "Show the first lines there are."),
        Action("range(2)", ("2",), "1 minute", "Show the last minute and follow."),
        Action("range(3)", ("3",), "5 minutes", "Show the last 5 minutes and follow."),
        Action("range(4)", ("4",), "15 minutes", "Show the last 15 minutes and follow."),
        Action("range(5)", ("5",), "1 hour", "Show the last hour and follow."),
        Action("range(6)", ("6",), "All", "Show all there is and follow."),
        Action("follow", ("f",), "follow", "Follow the end, or stay here while lines come.", footer=14),
        Action("wrap", ("w",), "wrap", "Wrap long lines, or cut them at the edge; arrows move along them.", footer=30),
        Action("times", ("t",), "times", "Show no time, the time, or date and time of each line.", footer=31),
        Action("services", ("p",), "pick", "Pick services from a list: Space with or without, Enter only this.",
               footer=15),
        Action("all_services", ("a",), "all", "Follow all services.", footer=40),
        Action("copy", ("y",), "copy", "Copy the selection, the hit, or the lines on screen to the clipboard.",
               footer=41),
        Action("save", ("S",), "save", "Save what is shown to a file.", footer=42),
    )  # fmt: skip
    DEFAULT_CSS = """
    LogsPane > .log-body { height: 1fr; }
    LogsPane .log-state { padding: 0 1; background: $surface; height: auto; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.store = LogStore()
        self.view = LogView(self.store)
        self.picker = ServicePicker(self.view.service_style)
        self.prompt = LogPrompt()
        self.state = Sheet(classes="log-state")
        self.following = Following()
        self._stack = ""
        self._cleared = 0  # how many lines the store had seen when the stream was opened
        self._picker_wanted = False
        self._timer: Timer | None = None
        self._said: LogState | None = None
        self._said_at = 0.0

    def body(self) -> Iterable[Widget]:
        with LogBody(classes="log-body"):  # the prompt is a Horizontal too
            yield self.picker
            yield self.view
        yield self.prompt
        yield self.state

    def on_mount(self) -> None:
        self.view.look.ascii = self.glyphs.ascii
        self.picker.set_class(self.glyphs.ascii, "-ascii")
        self._timer = self.set_interval(frame_seconds(), self._frame, pause=True)

    # --- what the shell and other panes call ---------------------------------------------------------

    def show(self, snapshot: Snapshot) -> None:
        following = self.following
        following.know(snapshot.containers)
        self._stack = snapshot.stack.name if snapshot.stack else ""
        self.picker.show(following.names, following.services)
        if not following.is_open:
            self._open()
        elif following.retarget():
            # Lines of a container that is gone keep their name.
            self.view.know({**self.view.look.labels, **labels_of(following.chosen)})
        self._say()

    def entered(self) -> None:
        if self._timer is not None:
            self._timer.resume()

    def left(self) -> None:
        if self._timer is not None:
            self._timer.pause()

    def on_unmount(self) -> None:
        self.following.close()

    def follow_services(self, names: Iterable[str]) -> None:
        """Follow these services and no others; none means all."""
        services = frozenset(names)
        if services != self.following.services or not self.following.is_open:
            self.following.want(services)
            self.picker.show(self.following.names, services)
            self._open()
        self.view.follow()
        self._say()

    def take_focus(self) -> None:
        self.view.focus()

    def back(self) -> bool:
        """Esc: the prompt, the list, the search, the filter, the level, then back to the end."""
        if self.prompt.is_open:
            self.prompt.shut()
        elif self.picker.has_focus:
            self._leave_picker()
        elif self.view.search:
            self.view.search_for(Pattern())
        elif self.view.shown.pattern:
            self._filter(Pattern())
        elif self.view.shown.level is not LogLevel.UNKNOWN:
            self.view.filter_by(LogFilter(self.view.shown.pattern))
        elif not self.view.following:
            self.view.follow()
        else:
            return False
        self.view.focus()
        self._say()
        return True

    def _open(self) -> None:
        """Read anew: other services or another range."""
        self.view.clear()
        self._cleared = self.store.forgotten
        self.view.know(labels_of(self.following.chosen))
        self.following.open(self.console_app.sources.logs, self.console_app.clock())

    def _frame(self) -> None:
        if self.console_app.terminal_is_behind:
            return  # the lines wait in the stream; frames in the way of keys help nobody
        lines = self.following.read()
        self.view.add(lines)
        # What the stream itself has to say changes without lines too, but nobody needs it 30 times a second.
        if lines or time.monotonic() - self._said_at > _NEWS:
            self._say()

    # --- what is shown -----------------------------------------------------------------------------

    def _say(self) -> None:
        view, following = self.view, self.following
        self._said_at = time.monotonic()
        state = LogState(
            range=following.range.label,
            follows=following.range.follows,
            following=view.following,
            new_lines=view.new_lines,
            services=following.services,
            of_services=len(following.names),
            filter=view.shown.pattern.typed,
            note=view.shown.pattern.note or view.search.note,
            level=view.shown.level,
            search=view.search.typed,
            search_note=view.search_note,
            shown=view.shown_lines,
            total=len(self.store),
            forgotten=self.store.forgotten - self._cleared,
            skipped=following.skipped,
            left=view.left,
            times=view.look.times,
            problem=following.problem,
            waiting=following.catching_up or view.building,
            zone=time.strftime("%Z"),
        )
        if state != self._said:
            self._said = state
            glyphs = self.glyphs
            self.state.paint(lambda width: status_lines(state, width, glyphs))

    def on_log_view_moved(self, event: LogView.Moved) -> None:
        event.stop()
        self._say()

    # --- filter, search, level -----------------------------------------------------------------------

    def _filter(self, wanted: Pattern) -> None:
        self.view.filter_by(LogFilter(wanted, self.view.shown.level))

    def action_filter(self) -> None:
        self.prompt.open(FILTER, self.view.shown.pattern.typed)

    def action_search(self) -> None:
        self.prompt.open(SEARCH, self.view.search.typed)

    def on_log_prompt_typed(self, event: LogPrompt.Typed) -> None:
        event.stop()
        wanted = pattern(event.text, may_invert=event.kind == FILTER)
        if event.kind == FILTER:
            self._filter(wanted)
        else:
            self.view.search_for(wanted)
        self.prompt.say(wanted.note)
        if event.done:
            self.view.focus()
            if event.kind == SEARCH:
                self.view.find_next(-1)  # the newest hit first; then n goes down and N up
        self._say()

    def on_log_prompt_dropped(self, event: LogPrompt.Dropped) -> None:
        event.stop()
        before = pattern(event.before, may_invert=event.kind == FILTER)
        if event.kind == FILTER:
            self._filter(before)
        else:
            self.view.search_for(before)
        self.view.focus()
        self._say()

    def action_next_hit(self, step: int) -> None:
        if self.view.search:
            self.view.find_next(step)
        else:
            self.action_search()

    def action_level(self) -> None:
        level = LEVELS[(LEVELS.index(self.view.shown.level) + 1) % len(LEVELS)]
        self.view.filter_by(LogFilter(self.view.shown.pattern, level))
        self._say()

    # --- range, following, layout --------------------------------------------------------------------

    def action_range(self, number: int) -> None:
        self.following.number = number
        self._open()
        if not self.following.range.follows:
            self.view.follow(False)
        self._say()

    def action_follow(self) -> None:
        self.view.follow(not self.view.following)
        self._say()

    def action_wrap(self) -> None:
        self.view.set_wrap(not self.view.wrap)
        self._say()

    def action_times(self) -> None:
        order = list(Times)
        self.view.set_times(order[(order.index(self.view.look.times) + 1) % len(order)])
        self._say()

    # --- services ------------------------------------------------------------------------------------

    def action_services(self) -> None:
        if self.picker.has_focus:
            self._leave_picker()
        else:
            self._picker_wanted = True
            self._place_picker()
            self.picker.focus()

    def _leave_picker(self) -> None:
        self._picker_wanted = False
        self._place_picker()
        self.view.focus()

    def _place_picker(self) -> None:
        """Beside the log where there is room, else only while something is picked."""
        self.picker.display = self._picker_wanted or self.size.width >= _ROOM_FOR_PICKER

    def on_resize(self) -> None:
        self._place_picker()

    def on_service_picker_picked(self, event: ServicePicker.Picked) -> None:
        event.stop()
        self.follow_services(event.services)
        if event.only:
            self._leave_picker()

    def action_all_services(self) -> None:
        self.follow_services(())

    # --- out of here -----------------------------------------------------------------------------------

    def action_copy(self) -> None:
        text = self.view.text_to_copy()
        if not text:
            self.console_app.report("There is nothing on screen to copy.", Tone.WARNING)
            return
        cut = clipboard.copy(self.app, text)
        said = f"Copied {plural(text.count(chr(10)) + 1, 'line')} ({size(len(text.encode('utf-8', 'replace')) - cut)})"
        if cut:
            said += f"; {size(cut)} at the beginning did not fit into what terminals take"
        self.console_app.report(f"{said}.", Tone.WARNING if cut else Tone.GOOD)

    def action_save(self) -> None:
        lines = list(self.view.lines_shown())
        if not lines:
            self.console_app.report("There is nothing to save.", Tone.WARNING)
            return
        path = default_path(self._stack, self.console_app.clock())
        screen = SaveScreen("Save the log", f"{plural(len(lines), 'line')} as they are shown", path)
        self.app.push_screen(screen, lambda chosen: self._save(chosen, lines))

    def _save(self, path: str | None, lines: Sequence[LogLine]) -> None:
        if path is None:
            return

        def saved(result: tuple[int, str]) -> None:
            written, problem = result
            if problem:
                self.console_app.report(problem, Tone.BAD)
            else:
                self.console_app.report(f"Saved {plural(written, 'line')} to {path}.", Tone.GOOD)

        self.console_app.in_background(lambda: write_lines(path, lines), saved, "save the log")
