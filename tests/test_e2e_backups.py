"""A backup made and restored through the keys of the console, on a real stack: menu, plan, typed name, equal data."""

from __future__ import annotations

import contextlib
import re
from typing import Any

import pymongo
import redis

from tests.conftest import StackFactory
from tests.console import Console
from tests.parts.stacks import Stack


def data_of(stack: Stack) -> dict[str, Any]:
    """Every document and every key."""
    found: dict[str, Any] = {}
    with pymongo.MongoClient[dict[str, Any]](stack.mongo_uri) as client:
        database = client[stack.database]
        for name in sorted(database.list_collection_names()):
            found[name] = sorted(map(str, database[name].find()))
    for number in (0, 1):
        with contextlib.closing(redis.Redis.from_url(stack.redis_url, db=number)) as keys:
            found[f"redis {number}"] = {key: keys.type(key) for key in sorted(keys.keys("*"))}
    return found


def change(stack: Stack) -> None:
    """Somebody drops a collection, empties another, and flushes a database of Redis."""
    with pymongo.MongoClient[dict[str, Any]](stack.mongo_uri) as client:
        database = client[stack.database]
        first, second = sorted(database.list_collection_names())[:2]
        database.drop_collection(first)
        database[second].delete_many({})
        database.wrong.insert_one({"made": "by mistake"})
    with contextlib.closing(redis.Redis.from_url(stack.redis_url)) as keys:
        keys.flushdb()


def agree(console: Console, name: str) -> None:
    """Type the name of the stack that the question asks for."""
    console.press("Enter", shows="Type the name of the stack to agree")
    console.type(name)
    console.wait_for(re.compile(rf"│ +{name} +│"))
    console.type("Enter")


def test_six_makes_a_backup_and_seven_brings_the_data_back(stack_factory: StackFactory) -> None:
    stack = stack_factory("mps")
    (stack.directory / "opsconsole.toml").write_text("[deploy]\nsoak_seconds = 0.2\n")
    before = data_of(stack)
    with Console(cwd=stack.directory) as console:
        console.started(stack.project)
        console.go("deploy", "6  Backup database and files")
        console.press("6", shows="Everything, kept for ever")
        console.type("Enter")
        console.wait_for("Backup of MongoDB, Redis, configuration", "Enter run it", seconds=90)
        console.press("Enter", shows="Run it")
        console.type("y")
        console.wait_for(re.compile(r"✓ backed up +after"), seconds=120)
        console.type("Esc")
        console.wait_for(console.shows("deploy"))

        change(stack)
        changed = data_of(stack)
        assert changed != before
        console.go("backups", re.compile(r"✓ good +\d{8}_\d{6}"))
        console.go("deploy", "7  Restore from backup")
        console.press("7", shows="a number goes to it")
        console.wait_for(re.compile(r"1 +\d{8}_\d{6} +✓ good"))
        console.type("1", "Enter")
        console.wait_for("Everything that holds data: MongoDB, Redis", stack.database, "[x]")
        console.type("Enter")
        console.wait_for("Load MongoDB beside the live data", "only live, and only in the safety", seconds=120)
        assert data_of(stack) == changed
        agree(console, stack.project)
        console.wait_for(re.compile(r"✓ restored +after"), seconds=180)
        assert data_of(stack) == before

        # What was there before comes back by one key.
        console.type("Esc")
        console.wait_for(console.shows("deploy"))
        console.go("backups", "safety")
        console.type("U")
        console.wait_for("Plan: undo of ", "Enter run it", seconds=120)
        agree(console, stack.project)
        console.wait_for(re.compile(r"✓ restored +after"), seconds=180)
        assert data_of(stack) == changed
