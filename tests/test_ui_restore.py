"""Backups in the console: what is in one, what is done with one, and a restore chosen piece by piece."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from textual.widgets import Input

from opsconsole.backups import marks
from opsconsole.backups.faults import Level
from opsconsole.model import Backup, MongoDatabase
from opsconsole.operations import requests
from opsconsole.operations.journal import Result
from opsconsole.operations.orders import BackupOrder, RestoreOrder
from opsconsole.operations.requests import Request
from opsconsole.ui.screens.agree import TypeNamesScreen
from opsconsole.ui.screens.plan import PlanScreen
from opsconsole.ui.screens.restore import RestoreScreen
from tests import ui_sample as sample
from tests.operation_samples import RESTART, begun, samples
from tests.restore_console import OLDER, OWN, RESTORE, Asked, opened, shows, snapshot_of, stack_directory
from tests.ui_sample import NOW, text_of, until


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    return Asked(monkeypatch)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return stack_directory(tmp_path)


# --- what is in one --------------------------------------------------------------------------------


async def test_a_backup_that_is_opened_shows_its_contents_and_what_is_there_now(directory: Path) -> None:
    place = directory / "backups"
    check = marks.Check(level=Level.PARSED, at=NOW)
    marks.write(place, OWN, marks.Marks(pinned=True, pinned_why="the last of the old schema", checks=(check,)))
    async with opened(directory, (120, 60)) as (app, pilot):
        await shows(app, "scheduled pinned", "L2", "kept: pinned")
        await pilot.press("i")
        await shows(
            app, "every document, key and file was read", "never restored to prove it (L3)", "pinned: the last of the",
            "it lies nowhere else", "thynk.users", "What is there now is not known", "mongodb.archive.gz", "database 0",
        )  # fmt: skip
        mongo = msgspec.structs.replace(
            sample.MONGO,
            listed=True,
            databases=(MongoDatabase(name="thynk", collections=_collections(users=41, logs=7)),),
        )
        app.publish(msgspec.structs.replace(snapshot_of(directory), databases=(mongo, sample.REDIS)))
        await until(lambda: "+40" in text_of(app))
        row = next(line for line in text_of(app).splitlines() if "thynk.posts" in line)
        assert row.split()[:4] == ["thynk.posts", "1", "is", "gone"]
        assert "not in it" in next(line for line in text_of(app).splitlines() if "thynk.logs" in line)
        await pilot.press("escape")
        await until(lambda: "Elsewhere" not in text_of(app))


def _collections(**documents: int) -> tuple[Any, ...]:
    from opsconsole.model import Collection

    return tuple(Collection(name=name, documents=number) for name, number in documents.items())


async def test_what_cannot_be_told_of_a_backup_is_said(directory: Path) -> None:
    async with opened(directory, (120, 50)) as (app, pilot):
        await pilot.press("j", "enter")
        await shows(app, "This layout has no manifest", "never verified")
        await pilot.press("escape", "k")
        (directory / "backups" / OWN / "manifest.json").write_text("{}")
        await pilot.press("enter")
        await shows(app, "it has no seal at its end")


# --- what is done with one -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "request_"),
    [
        (["B", "enter"], Request(what="backup", backup=BackupOrder())),
        (["B", "j", "enter"], Request(what="backup", backup=BackupOrder(critical=True))),
        (["d", "6", "j", "j", "enter"], Request(what="backup", backup=BackupOrder(incremental=True))),
        (["d", "6", "j", "j", "j", "enter"], Request(what="backup", backup=BackupOrder(parts=("mongo",)))),
        (["V", "enter"], Request(what="verify", backups=(OWN,), level=2)),
        (["j", "V", "j", "enter"], Request(what="verify", backups=(OLDER,), level=3)),
        (["P"], Request(what="prune")),
        (["U"], Request(what="undo-restore")),
        (["R", "enter"], Request(what="restore", restore=RestoreOrder(backup=OWN))),
        (["d", "7", "enter", "enter"], Request(what="restore", restore=RestoreOrder(backup=OWN))),
        (["d", "7", "2", "enter", "enter"], Request(what="restore", restore=RestoreOrder(backup=OLDER))),
        (["d", "R", "slash", *"last", "enter", "enter"], Request(what="restore", restore=RestoreOrder("latest"))),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
async def test_every_key_ends_in_a_plan(directory: Path, asked: Asked, keys: list[str], request_: Request) -> None:
    async with opened(directory) as (app, pilot):
        for key in keys:
            await pilot.press(key)
            await pilot.pause()
        await until(lambda: bool(asked.requests))
        assert asked.requests == [request_] and asked.plans == []
        await until(lambda: isinstance(app.screen, PlanScreen) and app.screen.plan is not None)


async def test_a_console_that_only_looks_offers_and_does_none_of_it(directory: Path, asked: Asked) -> None:
    async with opened(directory, read_only=True) as (app, pilot):
        footer = text_of(app).splitlines()[-1]
        assert "P prune plan" in footer
        for label in ("back up", "restore", "verify", "pin"):
            assert label not in footer
        for key in ("B", "R", "V", "p", "U"):
            await pilot.press(key)
            await pilot.pause()
            assert not app.screen.is_modal
        await pilot.press("d", "7")
        await shows(app, "Refused: this console is read-only; nothing was done.")
        assert asked.requests == [] and not (directory / "backups" / ".marks").exists()


async def test_the_keys_mean_the_backup_under_the_cursor_when_they_were_pressed(directory: Path, asked: Asked) -> None:
    async with opened(directory) as (app, pilot):
        await pilot.press("p")
        await shows(app, f"Pin {OWN}")
        app.publish(msgspec.structs.replace(snapshot_of(directory), backups=snapshot_of(directory).backups[1:]))
        await pilot.pause(0.3)
        await pilot.press(*"why not", "enter")
        await shows(app, f"{OWN} is pinned: nothing removes it until it is unpinned.")
        known = marks.read(directory / "backups", OWN)
        assert known.pinned and known.pinned_why == "why not"
        assert not marks.read(directory / "backups", OLDER).pinned


async def test_a_pin_is_taken_back_after_a_question(directory: Path) -> None:
    marks.write(directory / "backups", OWN, marks.Marks(pinned=True, pinned_why="x"))
    async with opened(directory) as (app, pilot):
        await pilot.press("p")
        await shows(app, f"Unpin {OWN}?")
        await pilot.press("enter")  # the focus is on Cancel
        await pilot.pause()
        assert marks.read(directory / "backups", OWN).pinned
        await pilot.press("p", "tab", "enter")
        await until(lambda: not marks.read(directory / "backups", OWN).pinned)


# --- a restore, piece by piece ---------------------------------------------------------------------


async def test_pieces_are_ticked_and_the_order_says_what_is_left(directory: Path, asked: Asked) -> None:
    async with opened(directory, (80, 24)) as (app, pilot):
        await pilot.press("R")
        await shows(app, f"Restore {OWN}", "[x]    thynk", "Everything that holds data: MongoDB, Redis", "3 keys")
        await pilot.press("j", "j", "space")  # thynk.posts
        await shows(app, "[-]  MongoDB", "MongoDB: thynk.users", "Redis whole")
        await pilot.press("t")
        await shows(app, "To another name", "thynk_restored")
        app.screen.query_one(Input).value = "not good"
        await pilot.press("enter")
        await shows(app, "No database can be called so")
        app.screen.query_one(Input).value = "thynk_then"
        await pilot.press("enter")
        await shows(app, "thynk into thynk_then, so that thynk")
        await pilot.press("K")
        await shows(app, "Which keys")
        await pilot.press(*"session:*", "enter")
        await shows(app, "only keys session:*, others stay")
        await pilot.press("enter")
        await until(lambda: bool(asked.requests))
        assert asked.requests[0].restore == RestoreOrder(
            backup=OWN,
            parts=("mongo", "redis"),
            collections=("thynk.users",),
            to=(("thynk", "thynk_then"),),
            redis_keys=("session:*",),
        )


async def test_ticked_collections_are_written_as_json(directory: Path, asked: Asked) -> None:
    out = directory / "out"
    async with opened(directory) as (app, pilot):
        await pilot.press("j", "R")
        await shows(app, "mps_db_unified", "20 documents")
        await pilot.press("j", "j", "space", "E")  # without its first collection
        await shows(app, f"Export from {OLDER}", "3 collections as JSON")
        app.screen.query_one(Input).value = str(out)
        await pilot.press("enter", "escape")
        await shows(app, f"{out} is no directory; nothing was exported.")
        out.mkdir()
        await pilot.press("R")
        await shows(app, "20 documents")
        await pilot.press("E")
        await shows(app, "4 collections as JSON")
        app.screen.query_one(Input).value = str(out)
        await pilot.press("enter", "escape")
        await shows(app, "4 files with 20 documents")
        assert len(list(out.iterdir())) == 4 and asked.requests == []


async def test_nothing_ticked_has_no_plan_and_a_brings_all_back(directory: Path, asked: Asked) -> None:
    async with opened(directory) as (app, pilot):
        await pilot.press("R")
        await shows(app, "Everything that holds data")
        await pilot.press("a")
        await shows(app, "Nothing is chosen: Space chooses a piece")
        await until(lambda: "Enter plan" not in text_of(app).splitlines()[-1])
        await pilot.press("enter")
        await pilot.pause()
        assert asked.requests == [] and isinstance(app.screen, RestoreScreen)
        await pilot.press("a")
        await shows(app, "Everything that holds data")
        await pilot.press("x")
        await until(lambda: "posts" not in text_of(app))
        await pilot.press("escape")
        await until(lambda: not isinstance(app.screen, RestoreScreen))
        assert asked.requests == []


async def test_a_backup_that_is_not_right_has_no_plan(directory: Path, asked: Asked) -> None:
    archive = directory / "backups" / OLDER
    data = archive.read_bytes()
    async with opened(directory) as (app, pilot):
        archive.write_bytes(data[:-200])
        await pilot.press("j", "R")
        await shows(app, f"{OLDER} is cut short", "Nothing of it was put in place.")
        await pilot.press("enter")
        await pilot.pause()
        assert asked.requests == [] and isinstance(app.screen, RestoreScreen)


async def test_an_older_layout_is_read_to_its_end_for_the_choice(directory: Path, asked: Asked) -> None:
    async with opened(directory) as (app, pilot):
        await pilot.press("j", "R")
        await shows(app, "mps_db_unified", "12 keys")
        assert list((directory / ".opsconsole").glob(".opsconsole-proof-*")) == []


async def test_a_restore_is_agreed_to_by_the_name_of_the_stack_typed(directory: Path, asked: Asked) -> None:
    async with opened(directory, (80, 24)) as (app, pilot):
        await pilot.press("R", "enter")
        await until(lambda: isinstance(app.screen, PlanScreen) and app.screen.plan is not None)
        await pilot.press("enter")
        await shows(app, f"mongodb would be replaced by what {OWN} holds.", "Type the name of the stack to agree:")
        await pilot.press("y", "enter")
        await shows(app, "That is not its name. Nothing was done.")
        assert asked.plans == [] and isinstance(app.screen, TypeNamesScreen)
        app.screen.query_one(Input).value = "shop"
        await pilot.press("enter")
        await shows(app, "Not in a test.", "Nothing was done.")
        assert asked.plans == [RESTORE]


async def test_a_plan_that_takes_long_says_that_it_reads_the_backup(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    go_on = threading.Event()
    monkeypatch.setattr(requests, "make_plan", lambda site, request, told: (go_on.wait(20), RESTORE)[1])
    async with opened(directory) as (app, pilot):
        await pilot.press("R", "enter")
        await shows(app, f"Reading every byte of {OWN}", "Esc gives up")
        await pilot.press("escape")
        await until(lambda: isinstance(app.screen, RestoreScreen))
        await pilot.press("enter")
        await shows(app, "Esc gives up")
        await pilot.press("ctrl+c")  # gives up, too, and does not leave the console
        await until(lambda: isinstance(app.screen, RestoreScreen))
        go_on.set()


# --- after an operation ------------------------------------------------------------------------------


@pytest.mark.parametrize("read_only", [False, True])
async def test_an_operation_that_left_less_data_leads_to_a_restore(
    directory: Path, asked: Asked, read_only: bool
) -> None:
    made = samples(directory, NOW)
    end = {"event": "end", "result": Result.DONE, "seconds": 4.5, "less": ("collection shop.orders: 120 -> 90",)}
    place = made.add(RESTART, NOW - NOW, [*begun(RESTART, 0, 0.2), (4.5, end)], number=7)
    made.close()
    async with opened(directory, read_only=read_only) as (app, pilot):
        app.operating.watch(place)
        await shows(app, "LESS DATA than before", "R here chooses what of the newest good backup")
        await pilot.press("R")
        if read_only:
            await pilot.pause()
            assert not isinstance(app.screen, RestoreScreen)
        else:
            newest = next(one for one in snapshot_of(directory).backups if _is_good(one))
            await shows(app, f"Restore {newest.id}")


def _is_good(one: Backup) -> bool:
    return one.state.value == "good"
