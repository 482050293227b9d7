"""Documents of a JSON file into a collection: which file, where to, how; then the plan."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast

from textual.content import Content
from textual.suggester import Suggester
from textual.widgets import Input, Static

from opsconsole.backups import json_exports
from opsconsole.backups.json_exports import ExportFile
from opsconsole.operations.orders import ImportOrder
from opsconsole.operations.requests import Request
from opsconsole.text import printable
from opsconsole.ui.keys import Action, bindings
from opsconsole.ui.screens.asking import ACTIONS, AskingScreen
from opsconsole.ui.screens.choosing import Choice, ChoosingScreen
from opsconsole.ui.screens.picking import LEAVE, PickingScreen
from opsconsole.ui.widgets.columns import Column
from opsconsole.ui.widgets.lines import shorten_middle
from opsconsole.ui.widgets.row_table import RowTable
from opsconsole.ui.wording import Tone, ago, size

if TYPE_CHECKING:
    from opsconsole.ui.app import ConsoleApp

_TYPED = (Action("type_path", ("t",), "type a path", "Type the path of another file.", palette=False), *LEAVE)
_COMPLETED = (Action("complete", ("tab",), "complete", "Complete the path.", footer=3, palette=False), *ACTIONS)
_MODES = {
    "new": ("Into an empty collection", "It must have no documents; it is made when it is not there."),
    "add": ("Beside the documents there", "None of them is touched; the same _id twice ends it."),
    "upsert": ("In place of the same _id", "A document with the same _id is replaced, others are added."),
}


class ExportPicking(PickingScreen[ExportFile, str]):
    """A file that was found, or "": a path shall be typed."""

    actions = _TYPED
    BINDINGS = bindings(_TYPED)
    keys_line = "Enter takes it   t type a path   / filter   Esc back"

    def __init__(self, files: Sequence[ExportFile], now: datetime) -> None:
        super().__init__()
        self._files = list(files)
        self._now = now

    def heading(self) -> Content:
        return Content("Import JSON: which file")

    def make_table(self) -> RowTable[ExportFile]:
        now = self._now
        return RowTable(
            (
                Column("name", "File", 24, lambda one: Path(one.path).name, grow=True, most=60),
                Column("size", "Size", 9, lambda one: size(one.size), align="right", order=lambda one: one.size,
                       descending=True),
                Column("age", "Written", 11, lambda one: ago(one.at, now), align="right", order=lambda one: one.at,
                       descending=True),
                Column("place", "In", 20, lambda one: (str(Path(one.path).parent), Tone.MUTED), priority=1, grow=True,
                       most=90),
            ),
            key=lambda one: one.path,
            marks=False,
            empty="No export was found here, beside the stack or with the backups. t types a path.",
            search=lambda one: one.path,
        )  # fmt: skip

    def records(self) -> list[ExportFile]:
        return self._files

    def taken(self, record: ExportFile) -> None:
        self.dismiss(record.path)

    def action_type_path(self) -> None:
        self.dismiss("")


class _Paths(Suggester):
    """Shows how a path goes on while it is typed; the directory is read on a thread."""

    def __init__(self, base: Path) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._base = base

    async def get_suggestion(self, value: str) -> str | None:
        found = await asyncio.to_thread(json_exports.completed, value, self._base)
        return found if value and found != value else None


class PathAsking(AskingScreen):
    """Tab or Right completes."""

    actions = _COMPLETED
    BINDINGS = bindings(_COMPLETED)

    def __init__(self, base: Path) -> None:
        """`base`: where relative paths begin."""
        super().__init__(
            "Import JSON: which file",
            [f"One document in a line, or one array; .gz and .zst are unpacked. Relative to {base}."],
            "Tab completes, Enter takes it, Esc leaves.",
        )
        self._base = base

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one(Input).suggester = _Paths(self._base)

    async def action_complete(self) -> None:
        field = self.query_one(Input)
        value = field.value
        found = await asyncio.to_thread(json_exports.completed, value, self._base)
        if field.value == value:
            field.value = found
            field.cursor_position = len(found)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        event.prevent_default()  # of AskingScreen, which takes any text
        base, text = self._base, event.value.strip()
        cast("ConsoleApp", self.app).aside(lambda: _looked_at(base, text), self._looked, "path")

    def _looked(self, found: tuple[str, bool]) -> None:
        path, is_there = found
        if is_there and self.is_current:
            self.dismiss(path)
        elif self.is_current:
            said = f"{path} is no file. Tab completes, Esc leaves."
            self.query_one(".hint", Static).update(Content.styled(printable(said), Tone.BAD))


def _looked_at(base: Path, text: str) -> tuple[str, bool]:
    """The whole path, and whether it is a file."""
    path = base / os.path.expanduser(text)  # pathlib's raises where there is no such user
    return str(path), path.is_file()


def begin(app: ConsoleApp) -> None:
    """From a file to a plan, one question after the other; Esc ends it with nothing done."""
    operating, here = app.operating, Path.cwd()
    site = operating.site
    if operating.refused(changes=True) or site is None:
        return
    stack = app.snapshot.stack if app.snapshot is not None else None
    servers = [one.name for one in stack.databases if one.kind == "mongodb"] if stack is not None else []
    places = [here, site.directory, site.directory / "exports"]
    if stack is not None and stack.backup_directory:
        places.append(Path(stack.backup_directory))

    def found(files: Sequence[ExportFile]) -> None:
        if files:
            app.push_screen(ExportPicking(files, app.clock()), picked)
        else:
            picked("")

    def picked(path: str | None) -> None:
        if path == "":
            app.push_screen(PathAsking(here), picked)
        elif path is not None:
            app.push_screen(asking_target(path), lambda target: how(path, target) if target else None)

    def how(path: str, target: str) -> None:
        words = f"{printable(Path(path).name)} into {printable(target)}"
        app.push_screen(
            ChoosingScreen(f"Import {words}: how", modes(path, target, servers)),
            lambda one: operating.plan(one.request, f"import of {words}") if one else None,
        )

    app.aside(lambda: json_exports.exports(places), found, "exports")


def asking_target(path: str) -> AskingScreen:
    """Into which collection; the name of the file says it often."""
    return AskingScreen(
        f"Import {shorten_middle(Path(path).name, 40)}",
        ["Into which collection of MongoDB? As database.collection."],
        "Enter goes on, Esc leaves. Nothing runs yet.",
        json_exports.target_of(path),
        wrong_target,
    )


def wrong_target(text: str) -> str:
    database, dot, name = text.partition(".")
    if not (database and dot and name):
        return "Write it as database.collection, such as shop.users."
    from opsconsole.backups.mongo_names import wrong_name

    if name.startswith("system.") or "$" in name:
        return f"{name} belongs to the server. Choose another name."
    return wrong_name(database)


def modes(path: str, target: str, servers: Sequence[str] = ()) -> list[Choice]:
    """How the documents go in, as the command has it; of several servers also into which."""
    database, _, name = target.partition(".")
    several = servers if len(servers) > 1 else ("",)
    return [
        Choice(
            f"{label}, {server}" if server else label,
            said,
            Request(what="import", imports=ImportOrder(path, database, name, mode, server)),
        )
        for server in several
        for mode, (label, said) in _MODES.items()
    ]
