"""A restore before there is a plan: what of the backup is put back. Everything is chosen at first, so Enter is enough.

What is in the backup is read on a thread; an older layout has to be unpacked for that and takes long.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import ClassVar

from textual.content import Content
from textual.widget import Widget

from opsconsole.backups.mongo_names import wrong_name
from opsconsole.backups.opening import Opened
from opsconsole.backups.progress import Cancelled
from opsconsole.model import Backup, Snapshot, SourceError
from opsconsole.operations.orders import RestoreOrder
from opsconsole.operations.requests import Request
from opsconsole.text import printable
from opsconsole.ui.keys import Action
from opsconsole.ui.panes.backup_rows import level_said, local_time, state_of
from opsconsole.ui.reading import Reading
from opsconsole.ui.screens import restore_pieces
from opsconsole.ui.screens.acting import ON_TOP, ActingScreen
from opsconsole.ui.screens.restore_pieces import FOLDED_FROM, Choice, Piece
from opsconsole.ui.widgets.columns import CellText, Column
from opsconsole.ui.widgets.lines import fact, flowed, joined, wrapped
from opsconsole.ui.widgets.row_table import RowTable
from opsconsole.ui.widgets.sheet import Sheet
from opsconsole.ui.wording import Tone, ago, clock, plural, sign


class RestoreScreen(ActingScreen):
    """Of one backup. Changes nothing by itself: it ends in a plan."""

    place = "restore"
    taken_word: ClassVar[str] = "taken"
    waiting_said: ClassVar[str] = "Enter restores everything, after a plan. Esc leaves."
    enter_said: ClassVar[str] = "Enter shows the plan; nothing runs before you agreed to it."
    actions: ClassVar[tuple[Action, ...]] = (
        Action("show_plan", ("enter",), "plan", "Show the plan of what is chosen; nothing runs yet.", footer=1,
               palette=False),
        Action("switch", ("space",), "on/off", "Restore this piece too, or leave what is live.", footer=2,
               palette=False),
        Action("all_or_none", ("a",), "all", "Choose all that holds data, or nothing.", footer=4, palette=False),
        Action("into", ("t",), "into", "Restore this database under another name; the live one stays.",
               footer=5, palette=False),
        Action("keys", ("K",), "keys", "Restore only the Redis keys that match a pattern; all others stay.", footer=5,
               palette=False),
        Action("fold", ("x",), "fold", "Show the collections of each database, or the databases alone.",
               footer=6, palette=False),
        Action("export", ("E",), "export", "Write the collections that are ticked as JSON files; nothing is restored.",
               footer=7, palette=False),
        Action("close", ("escape", "q"), "back", "Go back; nothing is done.", footer=3, palette=False),
        *ON_TOP,
    )  # fmt: skip
    DEFAULT_CSS = """
    RestoreScreen > .restore-facts { height: auto; padding: 0 1; }
    RestoreScreen > RowTable { height: 1fr; min-height: 3; }
    RestoreScreen > .restore-said { height: auto; max-height: 5; padding: 0 1; background: $surface; }
    """

    def __init__(self, backup: Backup, opened: Opened | None = None) -> None:
        """`opened`: what is in it, when that is known already."""
        super().__init__()
        self.backup = backup
        self._ready = opened
        self.choice = Choice()
        self._opened: Opened | None = None
        self._problem: SourceError | None = None
        self._pieces: tuple[Piece, ...] = ()
        self._folded = False
        self._since = 0.0
        self._reading = Reading()
        self.facts = Sheet(classes="restore-facts")
        self.said = Sheet(classes="restore-said")
        self.table: RowTable[Piece] = RowTable(
            (
                Column("box", "", 3, self._box, sortable=False),
                Column("title", "What", 24, self._title, grow=True, most=80, sortable=False),
                Column("held", "In the backup", 18, lambda one: one.held, align="right", grow=True, most=76,
                       sortable=False),
                Column("now", "Live now", 12, lambda one: (one.now, Tone.MUTED), priority=1, align="right",
                       sortable=False),
            ),
            key=lambda one: one.key,
            marks=False,
            empty="",
            search=lambda one: f"{one.name} {one.title}",
        )  # fmt: skip

    def _box(self, one: Piece) -> CellText:
        box = self.choice.box(one)
        return box, Tone.ACCENT if box != "[ ]" else Tone.MUTED

    def _title(self, one: Piece) -> CellText:
        into = self.choice.target(one.database) if one.kind == "database" else one.name
        arrow = f" {self.glyphs.arrow} {into}" if into != one.name else ""
        return f"{'  ' * one.depth}{one.title}{arrow}", Tone.STRONG if one.depth == 0 else Tone.PLAIN

    def body(self) -> Iterable[Widget]:
        yield self.facts
        yield self.table
        yield self.said

    def opened(self) -> None:
        self.table.focus()
        self._since = time.monotonic()
        self._timer = self.set_interval(1.0, self._say)
        site, backup = self.console_app.operating.site, self.backup
        if self._ready is not None:
            self.have_read(self._ready)
        if site is None or self._ready is not None:
            return

        def read() -> Opened | SourceError:
            from opsconsole.operations import restore_look

            try:
                return restore_look.look_into(site.directory, site.config(), backup, self._reading.hear)
            except SourceError as error:
                return error
            except Cancelled:
                return SourceError("given up")  # to nobody: the screen was left
            except Exception as error:  # a fault of ours must be read, not lost on a thread
                return SourceError(f"unexpected {type(error).__name__}: {error}", "Please report it.")

        self.console_app.aside(read, self.have_read, "restore")
        self._say()

    def have_read(self, found: Opened | SourceError) -> None:
        """What is in the backup is known, or why it is not."""
        if not self.is_attached:
            return  # it was left meanwhile
        self._timer.pause()
        if isinstance(found, SourceError):
            self._problem = found
        else:
            self._opened = self.of_interest(found)
            self._lay_out()
            self.choice = self.at_first()
            self._folded = len(self._pieces) >= FOLDED_FROM
        self._show()

    def of_interest(self, found: Opened) -> Opened:
        """What of it can be chosen here."""
        return found

    def at_first(self) -> Choice:
        """What is chosen when nobody has chosen anything."""
        return restore_pieces.everything(self._pieces)

    def receive(self, snapshot: Snapshot) -> None:
        """What is live has changed."""
        if self._opened is not None:
            self._lay_out()
            self._show()

    def _lay_out(self) -> None:
        assert self._opened is not None
        self._pieces = self.pieces_of(self._opened)

    def pieces_of(self, opened: Opened) -> tuple[Piece, ...]:
        snapshot = self.console_app.snapshot
        return restore_pieces.pieces(opened, snapshot.databases if snapshot else ())

    # --- showing -----------------------------------------------------------------------------------

    def heading(self) -> Content:
        return Content(f"Restore {printable(self.backup.id)}")

    def _show(self) -> None:
        self.table.show([one for one in self._pieces if not (self._folded and one.kind == "collection")])
        self._say()
        self.say_keys()

    def _say(self) -> None:
        self.say_heading()
        backup, now, glyphs = self.backup, self.console_app.clock(), self.glyphs
        word, tone = state_of(backup)
        level, level_tone = cell if isinstance(cell := level_said(backup, now), tuple) else (cell, "")
        facts = [
            Content.styled(f"{sign(tone, glyphs)} {word}", tone),
            fact(self.taken_word, f"{local_time(backup.taken_at)}, {ago(backup.taken_at, now)}"),
            Content.assemble(("verified ", Tone.MUTED), (f"{level} ago" if level[:1] == "L" else "never", level_tone)),
            fact("why", backup.why) if backup.why else Content(""),
        ]
        self.facts.paint(lambda width: flowed(facts, width, gap=3))
        self.said.paint(self._said)

    def _said(self, width: int) -> list[Content]:
        glyphs = self.glyphs
        if self._problem is not None:
            lines = wrapped(f"{glyphs.bad} {self._problem.problem}", width, style=Tone.BAD)
            return lines + wrapped(self._problem.hint, width, style=Tone.ACCENT)
        if self._opened is None:
            own = self.backup.layout == "opsconsole"
            what = "the manifest" if own else "every byte"
            why = "" if own else ", as it has no manifest"
            waited = clock(time.monotonic() - self._since)
            lines = wrapped(f"{glyphs.busy} Reading {what} of {self.backup.id}{why} ... {waited}", width,
                            style=Tone.ACCENT)  # fmt: skip
            lines = [*lines, *self._reading.lines(width, glyphs)]
            return lines + wrapped(self.waiting_said, width, style=Tone.MUTED)
        wanted = list(restore_pieces.said(self._pieces, self.choice))
        if not wanted:
            return [Content.styled("Nothing is chosen: Space chooses a piece, a all of them.", Tone.WARNING)]
        if problem := self.problem():
            return wrapped(f"{glyphs.warning} {problem}", width, style=Tone.WARNING)
        chosen = joined([(printable(one), Tone.STRONG) for one in wanted], f" {glyphs.dot} ")
        lines = chosen.wrap(max(8, width), overflow="fold")
        return [*lines, *wrapped(self.enter_said, width, style=Tone.MUTED)]

    def problem(self) -> str:
        """Why what is chosen cannot be had at once."""
        return restore_pieces.problem(self._pieces, self.choice)

    # --- keys --------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        current = self.table.current
        if action == "show_plan":
            chosen = self._opened is None or any(restore_pieces.said(self._pieces, self.choice))
            return self._problem is None and chosen and not self.problem()
        if action in ("switch", "all_or_none"):
            return current is not None
        if action == "into":
            return bool(self._database())
        if action == "keys":
            return any(one.kind == "redis" for one in self._pieces)
        if action == "export":
            return len(restore_pieces.collections(self._pieces, self.choice)) == 1
        if action == "fold":
            return any(one.kind == "collection" for one in self._pieces)
        return True

    def on_row_table_moved(self, event: RowTable.Moved) -> None:
        event.stop()
        self.say_keys()

    def on_row_table_chosen(self, event: RowTable.Chosen) -> None:
        event.stop()
        self.action_show_plan()

    def action_show_plan(self) -> None:
        if self._problem is not None:
            return
        wanted: RestoreOrder | None = RestoreOrder(backup=self.backup.id)
        if self._opened is not None:
            wanted = restore_pieces.order(self.backup.id, self._pieces, self.choice)
        if wanted is not None:
            request, words = self.request(wanted)
            self.console_app.operating.plan(request, words, begun=self.begun)

    def request(self, wanted: RestoreOrder) -> tuple[Request, str]:
        """What is asked for when this is chosen, and its words."""
        return Request(what="restore", restore=wanted), f"restore of {self.backup.id}"

    def begun(self) -> None:
        """The restore runs: Esc there leads back to where this was opened."""
        self.dismiss()

    def action_switch(self) -> None:
        if self.table.current is not None:
            self._choose(self.choice.switched(self.table.current))

    def action_all_or_none(self) -> None:
        everything = restore_pieces.everything(self._pieces)
        self._choose(Choice(into=self.choice.into) if everything.leaves <= self.choice.leaves else everything)

    def _choose(self, choice: Choice) -> None:
        self.choice = choice
        self._show()

    def action_fold(self) -> None:
        self._folded = not self._folded
        self._show()

    def action_into(self) -> None:
        database = self._database()
        if not database:
            return
        from opsconsole.ui.screens.asking import AskingScreen

        def named(text: str | None) -> None:
            if text is not None:
                self._choose(self.choice.named(database, text))

        said = [f"{database} of the backup goes into a database of this name; the live {database} stays as it is."]
        value = self.choice.target(database)
        self.app.push_screen(
            AskingScreen(
                "To another name",
                said,
                f"Enter takes it; {database} or nothing is its own place. Esc leaves it as it is.",
                value if value != database else f"{database}_restored",
                wrong_name,
            ),
            named,
        )

    def _database(self) -> str:
        """Of MongoDB, under the cursor; else the only one."""
        if (current := self.table.current) is not None and current.database:
            return current.database
        there = [one.name for one in self._pieces if one.kind == "database"]
        return there[0] if len(there) == 1 else ""

    def action_keys(self) -> None:
        from dataclasses import replace

        from opsconsole.ui.screens.asking import AskingScreen

        redis = next((one for one in self._pieces if one.kind == "redis"), None)
        if redis is None:
            return

        def named(text: str | None) -> None:
            if text is not None:
                leaves = self.choice.leaves if redis.leaves & self.choice.leaves else self.choice.leaves | redis.leaves
                self._choose(replace(self.choice, leaves=leaves, patterns=tuple(dict.fromkeys(text.split()))))

        said = [
            "Only keys of the backup that match are given back; all others stay as they are now.",
            "Patterns as KEYS takes them, with spaces between: session:* cart:*",
        ]
        hint = "Enter takes them; nothing is all keys. Esc leaves it as it is."
        self.app.push_screen(AskingScreen("Which keys", said, hint, " ".join(self.choice.patterns)), named)

    def action_export(self) -> None:
        found = restore_pieces.collections(self._pieces, self.choice)
        if len(found) != 1:
            return
        ((server, paths),) = found.items()
        from opsconsole.ui.screens.asking import AskingScreen

        def chosen(directory: str | None) -> None:
            if directory:
                self.console_app.operating.export(self.backup, paths, directory, server)

        said = [f"{plural(len(paths), 'collection')} as JSON, one document in a line, into a directory that is there:"]
        hint = "Enter writes them, Esc does not. Nothing is overwritten."
        self.app.push_screen(AskingScreen(f"Export from {self.backup.id}", said, hint, "."), chosen)

    def action_close(self) -> None:
        if not self.table.back():
            self._reading.give_up()
            self.dismiss()
