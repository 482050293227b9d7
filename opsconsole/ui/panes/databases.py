"""MongoDB and Redis: how they are, what they do, what is in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from textual import events
from textual.content import Content
from textual.widget import Widget

from opsconsole.model import DatabaseStatus, MongoStatus, Snapshot, SourceState
from opsconsole.ui.keys import Action
from opsconsole.ui.panes.base import Pane
from opsconsole.ui.panes.collection_table import CollectionTable, Row, rows_of
from opsconsole.ui.panes.database_lines import lines_of
from opsconsole.ui.widgets.lines import wrapped
from opsconsole.ui.widgets.row_table import RowTable
from opsconsole.ui.widgets.scrolled import Scrolled
from opsconsole.ui.widgets.sheet import Painter
from opsconsole.ui.widgets.side_by_side import SideBySide
from opsconsole.ui.wording import Glyphs, Tone

SIDE_BY_SIDE = 110  # cells
ROOMY = 34  # lines: from here on every fact has a line of its own


def servers(
    statuses: Iterable[DatabaseStatus], snapshot: Snapshot, width: int, glyphs: Glyphs, compact: bool
) -> list[Content]:
    """The servers of one column, one after the other."""
    lines: list[Content] = []
    for status in statuses:
        if lines and not compact:
            lines.append(Content(""))
        lines += lines_of(status, snapshot.history, snapshot.sampled_at, width, glyphs, compact=compact)
    return lines


def nothing_said(snapshot: Snapshot) -> str:
    """What stands there when no server is known."""
    reading = snapshot.readings.get("databases")
    if reading is not None and reading.state in (SourceState.OK, SourceState.ABSENT):
        return (
            "No MongoDB and no Redis: no service runs their image, and neither MONGODB_URI nor REDIS_URL or REDIS_HOST "
            "is in the env file. One that is elsewhere can be named in opsconsole.toml, [mongodb] url and [redis] url."
        )
    return "Looking for databases."


class DatabasesPane(Pane):
    DEFAULT_CSS = """
    DatabasesPane > Scrolled { height: auto; max-height: 50%; padding: 0 1; }
    DatabasesPane > RowTable { height: 1fr; min-height: 5; }
    """

    pane_id = "databases"
    title = "Databases"
    letter = "D"
    topics = frozenset({"databases"})
    sources = ("databases",)
    actions = (
        Action(
            "work",
            ("w",),
            "at work",
            "See what the servers are at work on: operations, slow ones, indexes, keys.",
            footer=9,
        ),
        Action("fold", ("enter",), "fold", "Open or close the database under the cursor.", footer=10),
        Action("fold_all", ("x",), "fold all", "Open every database, or close all of them.", footer=12),
        Action(
            "servers(1)",
            ("right_square_bracket",),
            "servers",
            "Scroll the servers' facts down.",
            footer=14,
            shown="[ ]",
        ),
        Action("servers(-1)", ("left_square_bracket",), "Servers up", "Scroll the servers' facts up.", shown="["),
    )

    def __init__(self) -> None:
        super().__init__()
        self._servers = SideBySide(2, gap=3)
        self._facts = Scrolled(self._servers)
        self._facts.can_focus = False
        self._table = CollectionTable(lambda: self.glyphs, self._is_open, self._refill)
        self._statuses: tuple[DatabaseStatus, ...] = ()
        self._toggled: set[str] = set()  # open or closed by the operator, other than they begin
        self._filter = ""

    def body(self) -> Iterable[Widget]:
        yield self._facts
        yield self._table

    def on_mount(self) -> None:
        # Whether there is more to scroll to is known only after the layout.
        self.watch(self._facts, "show_vertical_scrollbar", self._say_keys, init=False)

    def _say_keys(self) -> None:
        if self.console_app.pane is self:
            self.console_app.refresh_footer()

    def on_resize(self, event: events.Resize) -> None:
        self.show_if_resized()

    def show(self, snapshot: Snapshot) -> None:
        self._statuses = snapshot.databases
        self._show_servers(snapshot)
        self._table.display = any(isinstance(status, MongoStatus) for status in snapshot.databases)
        self._table.say(self._nothing_in_them())
        self._refill(self._filter)

    def _nothing_in_them(self) -> str:
        mongo = [status for status in self._statuses if isinstance(status, MongoStatus)]
        if any(status.reachable and status.listed for status in mongo):
            return "There are no databases but MongoDB's own."
        if any(status.reachable for status in mongo):
            return "Listing databases and collections."
        return "Databases and collections are listed as soon as MongoDB answers."

    def _show_servers(self, snapshot: Snapshot) -> None:
        glyphs, compact, wide = self.glyphs, self.room.height < ROOMY, self.room.width >= SIDE_BY_SIDE
        self._table.styles.margin = (0 if compact else 1, 0, 0, 0)
        mongo = [status for status in snapshot.databases if isinstance(status, MongoStatus)]
        redis = [status for status in snapshot.databases if not isinstance(status, MongoStatus)]
        gap = [] if wide or compact else [Content("")]

        def painter(statuses: Sequence[DatabaseStatus], above: Sequence[Content] = ()) -> Painter:
            return lambda width: [*above, *servers(statuses, snapshot, width, glyphs, compact)]

        if mongo and redis:
            parts = [painter(mongo), painter(redis, gap)]
        elif snapshot.databases:
            parts = [painter(snapshot.databases)]
        else:
            parts = [lambda width: wrapped(nothing_said(snapshot), width, style=Tone.MUTED)]
        self._servers.paint([[part] for part in parts] if wide else [parts])

    def action_work(self) -> None:
        from opsconsole.ui.screens.work import WorkScreen

        self.app.push_screen(WorkScreen())

    # --- the tree ----------------------------------------------------------------------------------

    def _begins_open(self, key: str) -> bool:
        """The application's database, or the only one that is not MongoDB's own."""
        wanted = {f"{status.target.name}/{status.target.database}" for status in self._statuses}
        return key in wanted

    def _is_open(self, key: str) -> bool:
        return bool(self._filter) or (key in self._toggled) != self._begins_open(key)

    def _refill(self, filter_text: str) -> None:
        """Give the table the rows of the open databases; while something is filtered for, of all of them."""
        self._filter = filter_text.strip()
        self._table.show(rows_of(self._statuses, self._is_open))

    def on_row_table_chosen(self, event: RowTable.Chosen) -> None:
        self._fold(event.record)

    def action_fold(self) -> None:
        if self._table.current is not None:
            self._fold(self._table.current)

    def _fold(self, row: Row) -> None:
        if self._filter:  # found: show it where it stands
            self._table.back()
            self._filter = ""
            if not self._is_open(row.parent):
                self._toggled ^= {row.parent}
            self._refill("")
            self._table.move_to(row.key)
            return
        self._toggled ^= {row.parent}
        self._refill("")
        self._table.move_to(row.parent)

    def action_fold_all(self) -> None:
        keys = {row.parent for row in rows_of(self._statuses, lambda key: False)}
        opened = {key for key in keys if self._is_open(key)}
        wanted = set() if opened else keys
        self._toggled = {key for key in keys if (key in wanted) != self._begins_open(key)}
        self._refill(self._filter)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "work":
            return bool(self._statuses)
        if action in ("fold", "fold_all"):
            return bool(self._table.records)
        return action != "servers" or bool(self._facts.show_vertical_scrollbar)

    def action_servers(self, step: int) -> None:
        self._facts.action_lines(step)
