"""Saving and loading Redis, beside redis-cli and redis-py."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from redis import Redis

from opsconsole.backups.redis_giving import restore_keys
from opsconsole.backups.redis_link import Word, linked
from opsconsole.backups.redis_saving import RedisSaver
from tests.bench.rows import Row, in_turn
from tests.parts.install import find
from tests.parts.servers import Server, start_redis

KEYS = 200_000
RUNS = 4
AT_ONCE = 500  # commands in one pipeline, as many as we send
# Carts, sessions that expire, and numbers.
_FILL = """
for i = ARGV[1] + 1, ARGV[1] + ARGV[2] do
  local key = 'shop:item:' .. i
  if i % 5 == 0 then redis.call('HSET', key, 'name', 'item ' .. i, 'price', i, 'stock', i % 100)
  elseif i % 20 == 1 then redis.call('SET', key, 'session ' .. i .. string.rep('x', 40), 'EX', 86400)
  elseif i % 7 == 1 then redis.call('SET', key, i)
  else redis.call('SET', key, 'value ' .. i .. string.rep('y', i % 60)) end
end
"""


def redis() -> Iterator[Row]:
    """Many small keys, which is where a client can lose."""
    with tempfile.TemporaryDirectory() as name:
        # redis-cli announces that it takes data without a length, for which a server waits five seconds by itself.
        options = ("--repl-diskless-sync-delay", "0", "--save", "")
        server = start_redis(Path(name) / "data", options=options)
        try:
            with Redis(port=server.port) as client:
                for begun in range(0, KEYS, AT_ONCE * 10):
                    client.eval(_FILL, 0, str(begun), str(AT_ONCE * 10))
                yield from _rows(server, client, Path(name))
        finally:
            server.stop(kill=True)


def _rows(server: Server, client: Redis, place: Path) -> Iterator[Row]:
    saved = place / "saved"

    def save() -> None:
        shutil.rmtree(saved, ignore_errors=True)
        saved.mkdir()
        RedisSaver("redis", server.uri).save(saved)

    command = [str(find("redis-cli")), "-p", str(server.port), "--rdb", str(place / "cli.rdb")]

    def cli() -> None:
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)

    ours, other = (KEYS / best for best in in_turn(RUNS, save, cli))
    what = f"{KEYS:,} keys of Redis"
    yield Row(f"save and count {what}", "keys/s", ours, {"redis-cli --rdb": other}, ">= 0.8 x redis-cli --rdb")

    names = list(client.scan_iter(count=10_000))
    payloads = _many(client, [("DUMP", name) for name in names])
    commands = [("RESTORE", name, 0, payload, "REPLACE") for name, payload in zip(names, payloads, strict=True)]
    whole, wire, other = (
        KEYS / best
        for best in in_turn(
            RUNS,
            lambda: restore_keys(server.uri, saved / "redis.rdb", lambda *_: True, replace=True),
            lambda: _by_link(server.uri, commands),
            lambda: _many(client, commands),
        )
    )
    beside = {"redis-py": other}
    yield Row(f"RESTORE {what}, payloads at hand", "keys/s", wire, beside, ">= 2.5 x redis-py")
    yield Row(f"load {what} out of the file", "keys/s", whole, beside)


def _by_link(uri: str, commands: Sequence[Sequence[Word]]) -> None:
    with linked(uri) as link:
        for at in range(0, len(commands), AT_ONCE):
            link.many_lines(commands[at : at + AT_ONCE])


def _many(client: Redis, commands: Sequence[Sequence[Word]]) -> list[bytes]:
    """By redis-py's pipeline."""
    answers: list[bytes] = []
    for at in range(0, len(commands), AT_ONCE):
        with client.pipeline(transaction=False) as pipeline:
            for one in commands[at : at + AT_ONCE]:
                pipeline.execute_command(*one)
            answers += pipeline.execute()
    return answers
