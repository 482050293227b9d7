"""What is ticked in a backup is what the order asks for, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from opsconsole.backups.manifest import HeldCollection, HeldKeys
from opsconsole.backups.mongo_choosing import choose
from opsconsole.backups.mongo_names import wrong_name
from opsconsole.backups.opening import Opened, OpenPart
from opsconsole.model import (
    Backup,
    BackupState,
    Collection,
    DatabaseTarget,
    MongoDatabase,
    MongoStatus,
    RedisKeyspace,
    RedisStatus,
)
from opsconsole.operations.orders import RestoreOrder
from opsconsole.operations.restore_servers import only
from opsconsole.ui.screens import restore_pieces
from opsconsole.ui.screens.exporting import ExportScreen
from opsconsole.ui.screens.restore import RestoreScreen
from opsconsole.ui.screens.restore_pieces import Choice, Piece, everything, order, pieces

MONGO = OpenPart(
    kind="mongo",
    name="mongodb",
    path="/b/mongodb.archive.gz",
    collections=tuple(
        HeldCollection(database=database, name=name, documents=at)
        for database in ("shop", "stock")
        for at, name in enumerate(("carts", "orders", "orders.old", "users"), 1)
    ),
    users=True,
)
REDIS = OpenPart(
    kind="redis",
    name="redis",
    path="/b/redis.rdb",
    keys=tuple(HeldKeys(database=number, keys=number + 1) for number in (0, 1, 7)),
)
FILES = tuple(OpenPart(kind="files", name=name, path=f"/b/{name}.tar", members=3, size=10) for name in ("up", "media"))
CONFIG = OpenPart(kind="config", name="config", path="/b/config")
OPENED = Opened(
    id="20260118_020000", taken_at=datetime(2026, 1, 18, 2, tzinfo=UTC), parts=(MONGO, REDIS, *FILES, CONFIG)
)
PIECES = pieces(OPENED)
LEAVES = sorted(frozenset[str]().union(*(piece.leaves for piece in PIECES)))


def piece(key: str) -> Piece:
    return next(one for one in PIECES if one.key == key)


def without(*keys: str) -> Choice:
    choice = everything(PIECES)
    for key in keys:
        choice = choice.switched(piece(key))
    return choice


def test_everything_is_an_order_without_a_choice() -> None:
    assert order("b", PIECES, everything(PIECES)) == RestoreOrder(backup="b")


def test_users_are_offered_where_the_backup_has_some() -> None:
    bare = msgspec.structs.replace(MONGO, users=False)
    assert "users" in {one.key for one in PIECES}
    assert "users" not in {one.key for one in pieces(msgspec.structs.replace(OPENED, parts=(bare, REDIS)))}


def test_neither_configuration_nor_users_are_in_everything() -> None:
    chosen = everything(PIECES).leaves
    assert "config" not in chosen and "users" not in chosen
    more = Choice(leaves=chosen | {"config", "users"})
    found = order("b", PIECES, more)
    assert found == RestoreOrder(backup="b", parts=("mongo", "redis", "files", "config"), users=True)


def test_nothing_ticked_is_no_order_and_users_alone_are_nothing() -> None:
    assert order("b", PIECES, Choice()) is None
    assert order("b", PIECES, Choice(leaves=frozenset({"users"}))) is None
    assert not list(restore_pieces.said(PIECES, Choice(leaves=frozenset({"users"}))))


def test_a_database_is_taken_whole_and_of_another_some_collections() -> None:
    found = order("b", PIECES, without("redis", "files/up", "files/media", "mongo/stock.users"))
    assert found is not None
    assert found.parts == ("mongo",) and found.databases == ("shop",)
    assert found.collections == ("stock.carts", "stock.orders", "stock.orders.old")


def test_another_name_is_for_what_is_taken_of_that_database() -> None:
    choice = without("redis").named("shop", "shop_restored").named("stock", "elsewhere").named("stock", "stock")
    found = order("b", PIECES, choice)
    assert found is not None and found.to == (("shop", "shop_restored"),) and found.databases == ()
    found = order("b", PIECES, choice.switched(piece("mongo/shop")))
    assert found is not None and found.to == () and found.databases == ("stock",)


def test_patterns_go_with_redis_only() -> None:
    choice = everything(PIECES)
    choice = Choice(leaves=choice.leaves, patterns=("session:*",))
    found = order("b", PIECES, choice)
    assert found is not None and found.redis_keys == ("session:*",) and found.redis_databases == ()
    found = order("b", PIECES, choice.switched(piece("redis")))
    assert found is not None and found.redis_keys == () and "redis" not in found.parts


@given(st.sets(st.sampled_from(LEAVES)))
def test_what_is_ticked_is_what_is_taken(ticked: set[str]) -> None:
    found = order("b", PIECES, Choice(leaves=frozenset(ticked)))
    if not any(key.startswith("mongo/") for key in ticked):
        ticked = ticked - {"users"}
    if found is None:
        assert not ticked
        return
    parts = found.parts or restore_pieces.DATA
    taken: set[str] = set()
    if "mongo" in parts:
        choice = choose(MONGO.collections, {}, databases=found.databases, collections=found.collections)
        taken |= {f"mongo/{one.database}.{one.name}" for one in choice.taken(MONGO.collections)}
    if "redis" in parts:
        numbers = found.redis_databases or tuple(one.database for one in REDIS.keys)
        taken |= {f"redis/{number}" for number in numbers}
    if "files" in parts:
        taken |= {f"files/{name}" for name in found.files or tuple(part.name for part in FILES)}
    taken |= {"config"} if "config" in parts else set()
    taken |= {"users"} if found.users else set()
    assert taken == ticked


@given(st.lists(st.sampled_from(PIECES), max_size=6))
def test_a_box_says_whether_all_some_or_nothing_of_it_is_ticked(switched: list[Piece]) -> None:
    choice = everything(PIECES)
    for one in switched:
        choice = choice.switched(one)
        assert choice.box(one) in ("[x]", "[ ]")
    for one in PIECES:
        on = len(one.leaves & choice.leaves)
        assert choice.box(one) == ("[x]" if on == len(one.leaves) else "[-]" if on else "[ ]")


def test_what_is_live_stands_beside_it() -> None:
    mongo = MongoStatus(
        target=DatabaseTarget(kind="mongodb", name="mongodb"),
        listed=True,
        databases=(MongoDatabase(name="shop", collections=(Collection(name="carts", documents=4000),)),),
    )
    redis = RedisStatus(
        target=DatabaseTarget(kind="redis", name="redis"),
        reachable=True,
        keyspaces=(RedisKeyspace(database=0, keys=12),),
    )
    now = {one.key: one.now for one in pieces(OPENED, (mongo, redis))}
    assert now["mongo/shop.carts"] == "4,000" and now["mongo/shop.users"] == "not there"
    assert now["mongo/stock"] == "not there" and now["redis/0"] == "12" and now["redis/7"] == "0"
    assert {one.now for one in PIECES if one.kind == "collection"} == {"-"}


ARCHIVE = msgspec.structs.replace(MONGO, name="archive")
QUEUE = msgspec.structs.replace(REDIS, name="queue")
TWO = msgspec.structs.replace(OPENED, parts=(MONGO, ARCHIVE, REDIS, QUEUE, CONFIG))


def test_several_servers_are_chosen_one_by_one() -> None:
    found = pieces(TWO)
    assert [one.title for one in found if one.part == "mongo" and one.depth == 0] == [
        "MongoDB mongodb", "MongoDB archive", "Users and roles of MongoDB"
    ]  # fmt: skip
    assert next(one for one in found if one.key == "redis/7").held == "16 keys"
    assert order("b", found, everything(found)) == RestoreOrder(backup="b")
    mongo, archive, redis = (
        next(one for one in found if one.key == key) for key in ("mongo mongodb", "mongo archive", "redis")
    )
    alone = everything(found).switched(mongo)
    assert order("b", found, alone) == RestoreOrder(
        backup="b", parts=("mongo", "redis"), servers=("archive", "redis", "queue")
    )
    assert order("b", found, alone.switched(redis)) == RestoreOrder(backup="b", parts=("mongo",), servers=("archive",))
    stock = next(one for one in found if one.key == "mongo archive/stock")
    assert order("b", found, Choice(leaves=stock.leaves)) == RestoreOrder(
        backup="b", parts=("mongo",), servers=("archive",), databases=("stock",)
    )
    # What no order can say is said instead of guessed.
    for choice in (everything(found).switched(stock), everything(found).named("shop", "other")):
        assert order("b", found, choice) is None
        assert "Of mongodb, archive only one" in restore_pieces.problem(found, choice)
    assert not restore_pieces.problem(found, Choice(leaves=archive.leaves, into=(("shop", "other"),)))


def test_what_cannot_be_had_at_once_is_said_and_not_begun() -> None:
    backup = Backup(
        id="b", path="/b", layout="opsconsole", taken_at=OPENED.taken_at, size_bytes=1, state=BackupState.GOOD
    )
    for kind, said in ((ExportScreen, "Collections of one server at a time: mongodb, archive"), (RestoreScreen, "Of ")):
        screen = kind(backup)
        screen._opened, screen._pieces = TWO, pieces(TWO)
        screen.choice = everything(screen._pieces).named("shop", "other")
        assert screen.problem().startswith(said)
        assert not screen.check_action("show_plan" if kind is RestoreScreen else "export", ())
        screen.choice = Choice(leaves=next(one for one in screen._pieces if one.key == "mongo archive").leaves)
        assert not screen.problem() and screen.check_action("export", ())


@given(st.sets(st.sampled_from(sorted(frozenset[str]().union(*(one.leaves for one in pieces(TWO)))))))
def test_of_several_servers_what_is_ticked_is_what_is_taken(ticked: set[str]) -> None:
    found, choice = pieces(TWO), Choice(leaves=frozenset(ticked))
    wanted = order("b", found, choice)
    if wanted is None:
        assert restore_pieces.problem(found, choice) or not ticked - {"users"}
        return
    left = only(TWO, wanted).parts if not wanted.parts or "mongo" in wanted.parts else ()
    taken = {
        f"mongo {part.name}/{one.database}.{one.name}"
        for part in left
        if part.kind == "mongo"
        for one in choose(part.collections, {}, databases=wanted.databases, collections=wanted.collections).taken(
            part.collections
        )
    }
    assert taken == {one for one in ticked if one.startswith("mongo ")}
    if not wanted.parts or "redis" in wanted.parts:
        assert [part.name for part in only(TWO, wanted).parts if part.kind == "redis"] == ["redis", "queue"]


def test_names_that_no_database_can_have() -> None:
    for text in ("a b", "a.b", "a/b", "a$b", "admin", "local", "config", "x" * 64, "a\x1bb"):
        assert wrong_name(text), text
    for text in ("", "shop_restored", "shop-2", "größe"):
        assert not wrong_name(text), text


def test_it_is_said_in_words_what_is_restored() -> None:
    assert list(restore_pieces.said(PIECES, everything(PIECES))) == [
        "Everything that holds data: MongoDB, Redis, files"
    ]
    choice = without("mongo/shop", "redis/1", "files/up").named("stock", "elsewhere")
    text = " / ".join(restore_pieces.said(PIECES, choice))
    assert "MongoDB: stock" in text and "shop" not in text.partition("/")[0]
    assert "Redis without database 1" in text and "Files media whole" in text and "Files up" not in text
    assert "stock into elsewhere, so that stock stays" in text
