"""The pane of databases: reachable or why not, figures that are old and say so, the tree of collections."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from opsconsole.model import DatabaseTarget, MongoStatus, RedisStatus, ReplicaMember
from opsconsole.ui.panes.collection_table import CollectionTable, rows_of
from opsconsole.ui.panes.database_lines import lines_of
from opsconsole.ui.wording import UNICODE, Tone
from tests import pane_samples
from tests.pane_samples import NOW, ago, console, painted

MONGO, REDIS = pane_samples.well().databases
assert isinstance(MONGO, MongoStatus)
assert isinstance(REDIS, RedisStatus)


def redis(**changes: Any) -> str:
    status = msgspec.structs.replace(REDIS, **changes)
    return "\n".join(line.plain for line in lines_of(status, {}, NOW, 100, UNICODE))


def mongo(**changes: Any) -> str:
    status = msgspec.structs.replace(MONGO, **changes)
    return "\n".join(line.plain for line in lines_of(status, {}, NOW, 100, UNICODE))


def rows(app: Any) -> list[str]:
    return [row.name for row in app.query_one(CollectionTable).records]


# --- servers ---------------------------------------------------------------------------------------


async def test_both_servers_stand_side_by_side_with_what_they_do() -> None:
    async with console(pane_samples.well(), pane="databases", size=(120, 40)) as (app, _):
        lines = painted(app)
        assert any("MongoDB" in line and "Redis" in line for line in lines)
        text = "\n".join(lines)
    for said in ("6.0.5", "replica set rs0", "PRIMARY", "23 of 838,860", "63 /s", "answers in 2 ms", "1 of 8 GiB"):
        assert said in text, said
    for said in ("7.0.15", "61 of 256 MiB", "9 of 10,000", "93.4 % since start", "12,004 (11,000 expire)", "212 /s"):
        assert said in text, said
    assert "✓ on, last save 3 m ago, 120 changes since" in text


async def test_on_a_narrow_screen_they_stand_under_each_other() -> None:
    async with console(pane_samples.well(), pane="databases", size=(80, 24)) as (app, _):
        lines = painted(app)
        mongo_at = next(place for place, line in enumerate(lines) if line.startswith(" MongoDB"))
        redis_at = next(place for place, line in enumerate(lines) if line.startswith(" Redis"))
        table_at = next(place for place, line in enumerate(lines) if "Database / collection" in line)
        assert mongo_at < redis_at < table_at < 16  # at least a third of the screen is left for the rows


def test_a_server_that_is_away_gives_its_reason_and_the_time_of_what_it_said_last() -> None:
    text = mongo(reachable=False, problem="refuses connections", hint="start it", sampled_at=ago(minutes=3))
    assert "✗ refuses connections" in text and "→ start it" in text
    assert "What follows is as of" in text and "(3 m ago)" in text
    assert "23 of 838,860" in text  # the last figures stay


def test_old_figures_are_dimmed_as_a_whole() -> None:
    status = msgspec.structs.replace(MONGO, reachable=False, problem="gone", sampled_at=ago(minutes=3))
    line = next(line for line in lines_of(status, {}, NOW, 100, UNICODE) if "connections" in line.plain)
    assert [(span.start, span.end, span.style) for span in line.spans] == [(0, len(line.plain), Tone.MUTED)]


def test_a_server_that_never_answered_shows_no_figures() -> None:
    status = RedisStatus(target=DatabaseTarget(kind="redis", name="redis"), problem="the password is wrong")
    text = "\n".join(line.plain for line in lines_of(status, {}, NOW, 100, UNICODE))
    assert "the password is wrong" in text and "memory" not in text and "as of" not in text


def test_a_member_of_the_replica_set_that_is_down_stands_out_even_where_lines_are_few() -> None:
    down = ReplicaMember(name="mongodb-2:27017", state="(not reachable/healthy)", health=False)
    status = msgspec.structs.replace(MONGO, members=(MONGO.members[0], down))
    lines = lines_of(status, {}, NOW, 78, UNICODE, compact=True)
    assert any("✗ mongodb-2:27017" in line.plain for line in lines[2:4])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"rdb_last_status": "err", "rdb_last_save_at": ago(hours=9)},
            "the last save failed; the newest good one is 9 h",
        ),
        ({"rdb_enabled": False, "aof_enabled": False}, "a restart loses every key"),
        ({"aof_last_status": "err"}, "the last write or rewrite failed"),
        ({"memory_limit": None}, "61 MiB, no limit set"),
        ({"hit_rate_percent": None}, "no reads yet"),
        ({"evicted_keys": 12}, "▲ 12 keys evicted"),
        ({"keyspaces": ()}, "none"),
        ({"loading": True}, "loading its data from disk"),
    ],
)
def test_what_matters_about_redis_is_said_in_words(changes: dict[str, Any], said: str) -> None:
    assert said in redis(**changes)


def test_a_failed_save_comes_before_the_figures_where_lines_are_few() -> None:
    status = msgspec.structs.replace(REDIS, rdb_last_status="err")
    lines = lines_of(status, {}, NOW, 78, UNICODE, compact=True)
    assert "the last save failed" in lines[2].plain


async def test_a_stack_without_databases_says_where_was_looked() -> None:
    snapshot = msgspec.structs.replace(pane_samples.well(), databases=())
    async with console(snapshot, pane="databases") as (app, _):
        text = " ".join("\n".join(painted(app)).split())
        assert "No MongoDB and no Redis" in text and "MONGODB_URI" in text and "[mongodb] url" in text


async def test_servers_that_have_no_room_are_reached_with_the_brackets() -> None:
    many = tuple(
        msgspec.structs.replace(REDIS, target=msgspec.structs.replace(REDIS.target, name=f"cache-{number}"))
        for number in range(6)
    )
    snapshot = msgspec.structs.replace(pane_samples.well(), databases=(MONGO, *many))
    async with console(snapshot, pane="databases", size=(80, 24)) as (app, pilot):
        assert not any("cache-5" in line for line in painted(app))
        await pilot.press(*["right_square_bracket"] * 40)
        await pilot.pause()
        assert any("cache-5" in line for line in painted(app))
        await pilot.press(*["left_square_bracket"] * 40)
        await pilot.pause()
        assert any("MongoDB" in line for line in painted(app))


# --- the tree --------------------------------------------------------------------------------------


def test_the_applications_database_comes_first_and_mongodbs_own_last() -> None:
    assert [row.name for row in rows_of([MONGO], lambda key: False)] == ["thynk", "thynk_test", "admin"]


async def test_enter_opens_and_closes_a_database_and_the_cursor_stays() -> None:
    async with console(pane_samples.well(), pane="databases") as (app, pilot):
        assert rows(app) == [
            "thynk", "messages", "metrics", "sessions", "users", "active_users", "thynk_test", "admin",
        ]  # fmt: skip
        await pilot.press("enter")
        assert rows(app) == ["thynk", "thynk_test", "admin"]
        await pilot.press("down", "enter")
        assert rows(app) == ["thynk", "thynk_test", "fixtures", "admin"]
        await pilot.press("down", "enter")  # on a collection: closes the database it is in
        assert rows(app) == ["thynk", "thynk_test", "admin"]
        assert app.query_one(CollectionTable).current.name == "thynk_test"


async def test_one_key_opens_all_and_closes_all() -> None:
    async with console(pane_samples.well(), pane="databases") as (app, pilot):
        await pilot.press("x")
        assert rows(app) == ["thynk", "thynk_test", "admin"]
        await pilot.press("x")
        assert len(rows(app)) == 10


@pytest.mark.parametrize("reverse", [True, False])
@pytest.mark.parametrize("column", ["name", "documents", "data_bytes", "storage_bytes", "kind"])
async def test_sorting_keeps_a_database_above_its_collections(column: str, reverse: bool) -> None:
    async with console(pane_samples.well(), pane="databases") as (app, pilot):
        await pilot.press("x", "x")
        table = app.query_one(CollectionTable)
        table.sort_by(column, reverse)
        await pilot.pause()
        seen = ""
        for row in table.records:
            if row.collection is None:
                seen = row.parent
            assert row.parent == seen


async def test_the_largest_collection_comes_first_by_size() -> None:
    async with console(pane_samples.well(), pane="databases") as (app, _):
        app.query_one(CollectionTable).sort_by("documents")
        assert rows(app)[:3] == ["thynk", "metrics", "messages"]


async def test_the_filter_looks_into_closed_databases_and_enter_goes_to_the_hit() -> None:
    async with console(pane_samples.well(), pane="databases") as (app, pilot):
        await pilot.press("slash", *"fixtures", "enter")
        await pilot.pause()
        assert rows(app) == ["thynk_test", "fixtures"]
        await pilot.press("down", "enter")
        await pilot.pause()
        assert "messages" in rows(app) and "fixtures" in rows(app)
        assert app.query_one(CollectionTable).current.name == "fixtures"


async def test_the_rows_stay_where_they_are_while_snapshots_arrive() -> None:
    async with console(pane_samples.huge(), pane="databases", size=(80, 24)) as (app, pilot):
        await pilot.press("G", "k", "k", "k")
        before = app.query_one(CollectionTable).current.key
        for _ in range(3):
            app.publish(msgspec.structs.replace(pane_samples.huge(), sampled_at=NOW))
            await pilot.pause(0.15)
        assert app.query_one(CollectionTable).current.key == before
        assert app.faults == []
