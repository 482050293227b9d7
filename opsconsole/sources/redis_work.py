"""What Redis is at work on: slow commands, clients, big keys, memory. Asked only while looked at.

Importing this module imports redis-py (about 0.1 s).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import redis
from redis.exceptions import NoPermissionError, ResponseError

from opsconsole.database_work import BigKey, SlowGroup, View, Work
from opsconsole.model import SourceError
from opsconsole.sources.command_text import redis_command, shortened
from opsconsole.sources.redis_clients import clients
from opsconsole.sources.redis_parse import fields_from

SCAN_SECONDS, SCAN_KEYS = 3.0, 20_000
"""Budget of one search for big keys. MEMORY USAGE with its five samples takes microseconds, a round trip a tenth of a
millisecond; the server answers others in between."""

MOST_KEYS = 100
_PAGE = 200
_SLOW_ENTRIES = 128


def look(client: redis.Redis, view: View) -> Work:
    """One view. `client` gives bytes. Raises what redis-py raises, and SourceError where a command is forbidden."""
    views = {View.CLIENTS: _clients, View.SLOW: _slow, View.BIG_KEYS: _big_keys, View.MEMORY: _memory}
    try:
        return views[view](client)
    except (NoPermissionError, ResponseError) as error:
        said = str(error)
        if isinstance(error, NoPermissionError) or "unknown command" in said or "NOPERM" in said:
            raise SourceError(f"its user may not ask for {view}", "allow it: ACL SETUSER, see its log") from None
        raise


def _ask(client: redis.Redis, *words: str | int | bytes) -> Any:
    return client.execute_command(*words)  # type: ignore[no-untyped-call]


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _clients(client: redis.Redis) -> Work:
    return Work(view=View.CLIENTS, asked_at=datetime.now(UTC), clients=clients(_text(_ask(client, "CLIENT LIST"))))


def _slow(client: redis.Redis) -> Work:
    entries = _ask(client, "SLOWLOG", "GET", _SLOW_ENTRIES)
    groups: dict[str, SlowGroup] = {}
    for entry in entries:
        one = _slow_entry(entry)
        known = groups.get(one.kind)
        if known is not None:
            longest = max(known, one, key=lambda each: each.longest_seconds)
            one = SlowGroup(
                namespace=longest.namespace,
                kind=one.kind,
                count=known.count + 1,
                total_seconds=known.total_seconds + one.total_seconds,
                longest_seconds=longest.longest_seconds,
                newest=max(filter(None, (known.newest, one.newest)), default=None),
                example=longest.example,
            )
        groups[one.kind] = one
    return Work(
        view=View.SLOW,
        asked_at=datetime.now(UTC),
        slow=tuple(sorted(groups.values(), key=lambda one: -one.total_seconds)),
        said=tuple(_threshold(client, len(entries))),
    )


def _threshold(client: redis.Redis, entries: int) -> Iterator[str]:
    try:
        answer = _ask(client, "CONFIG GET", "slowlog-log-slower-than")
        values = list(answer.values()) if isinstance(answer, dict) else answer[1:]
        micros = int(_text(values[0]))
    except (ResponseError, IndexError, ValueError):
        yield f"The newest {entries} entries of SLOWLOG."
        return
    if micros < 0:
        yield "The slow log is off: CONFIG SET slowlog-log-slower-than 10000"
    else:
        yield f"{entries} entries of SLOWLOG: what took {micros / 1000:g} ms and more (slowlog-log-slower-than)."


def _slow_entry(entry: Any) -> SlowGroup:
    _, at, micros, words, *rest = entry
    seconds = int(micros) / 1e6
    return SlowGroup(
        namespace=_text(rest[0]) if rest else "",  # the client
        kind=_text(words[0]).upper() if words else "",
        total_seconds=seconds,
        longest_seconds=seconds,
        newest=datetime.fromtimestamp(int(at), UTC),
        example=redis_command([_text(word) for word in words]),
    )


# --- memory ----------------------------------------------------------------------------------------


def _memory(client: redis.Redis) -> Work:
    fields = fields_from(_text(_ask(client, "INFO", "memory")))
    doctor = _text(_ask(client, "MEMORY", "DOCTOR"))
    said = [f"memory doctor: {shortened(line)}" for line in doctor.splitlines() if line.strip()]
    for name, words in (
        ("used_memory_human", "used by Redis"),
        ("used_memory_rss_human", "taken from the system"),
        ("used_memory_peak_human", "peak"),
        ("used_memory_dataset_perc", "of it is data"),
        ("mem_fragmentation_ratio", "fragmentation, taken / used: over 1.5 is much; of a small server it says nothing"),
        ("maxmemory_human", "maxmemory (0B: none)"),
        ("maxmemory_policy", "what happens when it is full"),
        ("mem_clients_normal", "bytes held for clients"),
        ("lazyfree_pending_objects", "objects that wait to be freed"),
    ):
        if name in fields:
            said.append(f"{fields[name]}  {words}")
    return Work(view=View.MEMORY, asked_at=datetime.now(UTC), said=tuple(said))


def _big_keys(client: redis.Redis) -> Work:
    """The largest among keys that SCAN gives within the budget. SCAN goes in the order of hashes: as good as chance."""
    end = time.monotonic() + SCAN_SECONDS
    keyspaces = fields_from(_text(_ask(client, "INFO", "keyspace")))
    databases = sorted(int(name[2:]) for name in keyspaces if name.startswith("db"))
    found: list[BigKey] = []
    asked, total, whole = 0, 0, True
    for number in databases:
        _ask(client, "SELECT", number)
        total += int(_ask(client, "DBSIZE"))
        cursor: Any = 0
        while True:
            if time.monotonic() > end or asked >= SCAN_KEYS:
                whole = False
                break
            cursor, names = _ask(client, "SCAN", cursor, "COUNT", _PAGE)
            asked += len(names)
            found += _sized(client, number, names)
            found = sorted(found, key=lambda one: -one.size_bytes)[:MOST_KEYS]
            if int(cursor) == 0:
                break
    budget = f"the budget is {SCAN_SECONDS:.0f} s or {SCAN_KEYS:,} keys"
    share = "every key" if whole else f"{asked:,} of {total:,} keys ({budget})"
    return Work(
        view=View.BIG_KEYS,
        asked_at=datetime.now(UTC),
        keys=tuple(found),
        said=(f"Looked at: {share}. Sizes are MEMORY USAGE, estimated from samples of large values.",),
    )


def _sized(client: redis.Redis, database: int, names: list[bytes]) -> Iterator[BigKey]:
    pipe = client.pipeline(transaction=False)
    for name in names:
        pipe.execute_command("MEMORY USAGE", name)  # type: ignore[no-untyped-call]
        pipe.execute_command("TYPE", name)  # type: ignore[no-untyped-call]
    answers = pipe.execute(raise_on_error=False) if names else []
    for name, size, kind in zip(names, answers[::2], answers[1::2], strict=True):
        if isinstance(size, int):  # else it has expired in between
            yield BigKey(database=database, name=shortened(_text(name)), kind=_text(kind), size_bytes=size)
