"""Which part of a backup goes to which server, where a stack has several of a kind."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from opsconsole.backups.manifest import HeldCollection
from opsconsole.backups.opening import Opened, OpenPart
from opsconsole.model import DatabaseTarget, SourceError
from opsconsole.operations.orders import RestoreOrder
from opsconsole.operations.restore_servers import only, pairs
from opsconsole.sources.connection import Connection


def part(name: str, *databases: str, kind: str = "mongo") -> OpenPart:
    held = tuple(HeldCollection(database=one, name="c", kind="collection", documents=1) for one in databases)
    return OpenPart(kind=kind, name=name, path=f"/b/{name}", collections=held)


BACKUP = Opened(
    id="20260101_020000",
    taken_at=datetime(2026, 1, 1, tzinfo=UTC),
    parts=(part("shop", "orders", "users"), part("audit", "log", "users"), part("redis", kind="redis")),
)


@pytest.mark.parametrize(
    ("order", "left"),
    [
        ({}, ["shop", "audit", "redis"]),
        ({"servers": ("audit",)}, ["audit"]),
        ({"databases": ("orders",)}, ["shop", "redis"]),
        ({"databases": ("users",)}, ["shop", "audit", "redis"]),
        ({"collections": ("log.c",)}, ["audit", "redis"]),
        ({"databases": ("users",), "servers": ("shop",)}, ["shop"]),
        ({"databases": ("nowhere",)}, ["shop", "audit", "redis"]),  # and then that is refused
        ({"databases": ("orders",), "undoes": "another"}, ["shop", "audit", "redis"]),
        ({"databases": ("orders",), "servers": ("shop",), "undoes": "another"}, ["shop", "redis"]),
        ({"servers": ("gone",), "undoes": "another"}, ["shop", "audit", "redis"]),
    ],
)
def test_the_parts_that_are_meant(order: dict[str, tuple[str, ...]], left: list[str]) -> None:
    found = only(BACKUP, RestoreOrder(backup=BACKUP.id, **order))  # type: ignore[arg-type]
    assert [one.name for one in found.parts] == left


def test_a_server_that_the_backup_does_not_have() -> None:
    with pytest.raises(SourceError, match="nothing of stock"):
        only(BACKUP, RestoreOrder(backup=BACKUP.id, servers=("stock",)))


def test_each_part_goes_to_the_server_of_its_name() -> None:
    servers = [Connection(target=DatabaseTarget(kind="mongodb", name=name)) for name in ("audit", "shop")]
    found = pairs(BACKUP.parts, servers, "mongo")
    assert [(one.name, to.target.name) for one, to in found] == [("shop", "shop"), ("audit", "audit")]
    with pytest.raises(SourceError, match="not clear"):
        list(pairs(BACKUP.parts, servers[:1], "mongo"))
