"""Guided import of JSON: which file, into which collection, how; and the export of collections from the pane."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest
from textual.widgets import Input

from opsconsole.backups.json_exports import completed, exports, target_of
from opsconsole.ui.screens.asking import AskingScreen
from opsconsole.ui.screens.choosing import ChoosingScreen
from opsconsole.ui.screens.exporting import ExportScreen
from opsconsole.ui.screens.importing import ExportPicking, PathAsking, modes, wrong_target
from opsconsole.ui.screens.plan import PlanScreen
from tests.restore_console import OLDER, Asked, opened, shows, stack_directory
from tests.ui_sample import text_of, until

LINE = b'{"_id":{"$oid":"65a000000000000000000001"},"name":"a"}\n'


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    return Asked(monkeypatch)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return stack_directory(tmp_path)


def exported(place: Path) -> None:
    place.mkdir(exist_ok=True)
    (place / "shop.users.json").write_bytes(LINE)
    (place / "shop.orders.jsonl.gz").write_bytes(gzip.compress(LINE * 3))
    (place / "all.json").write_bytes(b"[\n" + LINE + b"]\n")
    (place / "package.json").write_bytes(b'{"name": "shop"}')
    (place / "broken.json.gz").write_bytes(b"\x1f\x8bno")
    (place / "empty.json").write_bytes(b"")
    (place / "link.json").symlink_to(place / "all.json")
    os.mkfifo(place / "pipe.json")
    os.utime(place / "shop.users.json", (1, 1))


def test_exports_are_told_from_other_json(tmp_path: Path) -> None:
    exported(tmp_path)
    found = exports((tmp_path, tmp_path, tmp_path / "not there"))
    names = [Path(one.path).name for one in found]
    assert sorted(names) == ["all.json", "shop.orders.jsonl.gz", "shop.users.json"]
    assert names[-1] == "shop.users.json"  # newest first
    assert {one.target for one in found} == {"", "shop.orders", "shop.users"}


def test_a_name_says_where_its_documents_come_from() -> None:
    assert target_of("/a/shop.users.json.zst.age") == "shop.users"
    assert target_of("shop.users.archive.json") == "shop.users.archive"
    assert target_of("users.json") == target_of("a b.c.json") == ""


def test_paths_are_completed_as_far_as_there_is_one_way(tmp_path: Path) -> None:
    exported(tmp_path / "out")
    (tmp_path / "other.txt").write_text("")
    (tmp_path / ".hidden.json").write_text("")
    assert completed("o", tmp_path) == "out/"  # what is no JSON is no way
    assert completed("out/sh", tmp_path) == "out/shop."
    assert completed("out/shop.u", tmp_path) == "out/shop.users.json"
    assert completed(f"{tmp_path}/out/al", Path("/")) == f"{tmp_path}/out/all.json"
    for text in ("nothing", "nowhere/x", "out/shop.", "~nobody-here/x"):
        assert completed(text, tmp_path) == text
    assert completed("", tmp_path) == "out/"


@pytest.mark.parametrize("text", ["", "shop", "shop.", ".users", "shop.system.users", "a b.c", "shop.$x"])
def test_what_is_no_collection_is_said(text: str) -> None:
    assert wrong_target(text)


def test_of_several_servers_one_is_chosen_with_the_way() -> None:
    assert [one.label for one in modes("/f.json", "shop.users", ["db"])] == [
        "Into an empty collection", "Beside the documents there", "In place of the same _id"
    ]  # fmt: skip
    found = modes("/f.json", "shop.users", ["db", "audit"])
    orders = [(one.request.imports.server, one.request.imports.mode) for one in found if one.request.imports]
    assert orders == [(server, mode) for server in ("db", "audit") for mode in ("new", "add", "upsert")]
    assert len({one.label for one in found}) == 6 and found[-1].label == "In place of the same _id, audit"


async def test_from_a_file_that_was_found_to_the_plan(
    directory: Path,
    asked: Asked,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("here"))
    exported(directory)
    async with opened(directory) as (app, pilot):
        await pilot.press("I")
        await until(lambda: isinstance(app.screen, ExportPicking))
        await shows(app, "Import JSON: which file", "shop.users.json", "all.json")
        assert "package.json" not in text_of(app)
        await pilot.press("G", "enter")
        await until(lambda: isinstance(app.screen, AskingScreen))
        assert app.screen.query_one(Input).value == "shop.users"
        app.screen.query_one(Input).value = "shop"
        await pilot.press("enter")
        await shows(app, "Write it as database.collection")
        app.screen.query_one(Input).value = "shop.members"
        await pilot.press("enter")
        await until(lambda: isinstance(app.screen, ChoosingScreen))
        await shows(app, "Import shop.users.json into shop.members: how", "It must have no documents")
        await pilot.press("down", "enter")
        await until(lambda: isinstance(app.screen, PlanScreen) and bool(asked.requests))
        order = asked.requests[0].imports
        assert order is not None and asked.requests[0].what == "import"
        assert (order.path, order.database, order.collection, order.mode) == (
            str(directory / "shop.users.json"), "shop", "members", "add"
        )  # fmt: skip


async def test_a_path_is_typed_with_completion(
    directory: Path,
    asked: Asked,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    here = tmp_path_factory.mktemp("here")
    exported(here / "out")
    monkeypatch.chdir(here)
    async with opened(directory, (80, 24)) as (app, pilot):
        await pilot.press("I")
        await until(lambda: isinstance(app.screen, PathAsking))  # nothing was found
        await pilot.press("o", "tab")
        field = app.screen.query_one(Input)
        await until(lambda: field.value == "out/")
        await pilot.press("enter")
        await shows(app, "is no file")
        await pilot.press("s", "tab")
        await until(lambda: field.value == "out/shop.")
        await pilot.press("u", "tab")
        await until(lambda: field.value == "out/shop.users.json")
        await pilot.press("enter")
        await until(lambda: isinstance(app.screen, AskingScreen) and not isinstance(app.screen, PathAsking))
        await pilot.press("escape")
        await until(lambda: not app.screen.is_modal)
        assert asked.requests == []


async def test_collections_are_exported_from_the_pane(directory: Path) -> None:
    async with opened(directory) as (app, pilot):
        out = directory / "out"
        out.mkdir()
        await pilot.press("j", "E")
        await until(lambda: isinstance(app.screen, ExportScreen))
        await shows(app, f"Export from {OLDER}", "20 documents", "Nothing is chosen")
        assert "Redis" not in text_of(app) and "Configuration" not in text_of(app)
        await pilot.press("enter", "t", "K")
        assert isinstance(app.screen, ExportScreen)
        await pilot.press("a", "enter")
        await until(lambda: isinstance(app.screen, AskingScreen))
        app.screen.query_one(Input).value = str(out)
        await pilot.press("enter", "escape")
        await shows(app, "4 files with 20 documents")
        assert len(list(out.iterdir())) == 4
