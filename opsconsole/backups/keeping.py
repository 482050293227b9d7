"""Where a database server writes, and whether that outlives it, as the server itself says. Nothing is changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opsconsole.model import Record, SourceError
from opsconsole.sources.connection import Connection

_MONGO_DEFAULT = "/data/db"  # of mongod on Linux when neither its command nor its file names one
_AOF = "CONFIG SET appendonly yes, and --appendonly yes in its command or redis.conf"


class Keeping(Record, frozen=True):
    """What one server says of itself. `lasts` is None when it does not say."""

    program: str = ""  # "MongoDB 6.0.5"
    directory: str = ""  # as the server names it, in its own file system
    process: int | None = None  # its number, in its own PID namespace
    lasts: bool | None = None  # by its settings, what was written is there after a restart
    said: str = ""  # by which settings
    mend: str = ""  # what to set where it does not last
    options: tuple[str, ...] = ()  # for a throw-away server that keeps its data in the same way
    problem: str = ""  # why something of this is not known
    hint: str = ""


def keeping(connection: Connection) -> Keeping:
    """Ask a server. Never raises: what it does not say is told in `problem`."""
    try:
        return _redis(connection) if connection.target.kind == "redis" else _mongo(connection)
    except SourceError as error:
        return Keeping(problem=error.problem, hint=error.hint)


# --- MongoDB -----------------------------------------------------------------------------------------


def _mongo(connection: Connection) -> Keeping:
    from pymongo.errors import OperationFailure

    from opsconsole.backups.mongo_raw import ask
    from opsconsole.sources.mongo_bulk import bulk_client

    with bulk_client(connection) as client:
        if ask(client.admin, {"hello": 1}).get("msg") == "isdbgrid":
            return Keeping(problem="it is a mongos, which keeps no data", hint="Name a shard's own server.")
        try:
            started = ask(client.admin, {"getCmdLineOpts": 1})
            status = ask(client.admin, {"serverStatus": 1, "repl": 0, "metrics": 0, "locks": 0, "wiredTiger": 0})
        except OperationFailure as error:
            word = str((error.details or {}).get("codeName", "refused"))
            problem = f"its user may not ask where it writes ({word})"
            hint = 'db.grantRolesToUser("USER", [{role: "clusterMonitor", db: "admin"}]) in its authSource'
            return Keeping(problem=problem, hint=hint)
    return mongo_keeping(started, status)


def mongo_keeping(started: Mapping[str, Any], status: Mapping[str, Any]) -> Keeping:
    """From the answers to getCmdLineOpts and serverStatus."""
    storage = started.get("parsed", {}).get("storage", {})
    engine = status.get("storageEngine", {})
    name = str(engine.get("name") or storage.get("engine") or "")
    journal = storage.get("journal", {}).get("enabled", True) is not False
    persistent = engine.get("persistent")
    lasts = None if persistent is None else bool(persistent) and journal
    options = () if name in ("", "wiredTiger") else ("--storageEngine", name)
    said = f"storage engine {name or 'not told'}, " + ("journal on" if journal else "journal off")
    directory = str(storage.get("dbPath") or _MONGO_DEFAULT)
    return Keeping(
        program=f"MongoDB {status.get('version', '')}".strip(),
        directory=directory if directory.startswith("/") else "",
        process=_whole(status.get("pid")),
        lasts=lasts,
        said=said if persistent is not False else f"storage engine {name} keeps everything in memory",
        mend="" if lasts else "take --nojournal or --storageEngine out of its command and recreate it",
        options=options if journal else (*options, "--nojournal"),
        problem="" if directory.startswith("/") else f"its dbPath {directory} is relative to where it was started",
    )


# --- Redis -------------------------------------------------------------------------------------------


def _redis(connection: Connection) -> Keeping:
    from opsconsole.backups.redis_link import linked

    with linked(connection.uri) as link:
        info = link.info()
        settings = {name: link.setting(name) for name in ("dir", "save", "appendfsync")}
    return redis_keeping(info, settings)


def redis_keeping(info: Mapping[str, str], settings: Mapping[str, str]) -> Keeping:
    """From INFO and the answers to CONFIG GET, which are "" where it is forbidden."""
    told = bool(settings.get("dir"))
    save, sync = settings.get("save", "").strip(), settings.get("appendfsync", "")
    lasts, said, mend = _redis_lasts(info, save if told else None)
    program = "Valkey" if "valkey_version" in info else "Redis"
    process = info.get("process_id", "")
    return Keeping(
        program=f"{program} {info.get('valkey_version') or info.get('redis_version', '')}".strip(),
        directory=settings.get("dir", ""),
        process=int(process) if process.isdigit() else None,
        lasts=lasts,
        said=said,
        mend=mend,
        options=_redis_options(info, save, sync),
        problem="" if told else "its user may not ask for its settings (CONFIG GET)",
        hint="" if told else "ACL SETUSER USER +config|get",
    )


def _redis_lasts(info: Mapping[str, str], save: str | None) -> tuple[bool | None, str, str]:
    """(whether, by what, what to set)"""
    if info.get("aof_enabled") == "1":
        if "err" in (info.get("aof_last_write_status"), info.get("aof_last_bgrewrite_status")):
            return False, "appendonly yes, and its last write failed", "BGREWRITEAOF, once its disk has room"
        return True, "appendonly yes, the last write went well", ""
    if save is None:
        return None, "appendonly no; it does not tell whether it saves", ""
    if not save:
        return False, "neither appendonly nor save is on: a restart loses every key", _AOF
    if info.get("rdb_last_bgsave_status") == "err":
        return False, f"save {save}, and the last save failed", "BGSAVE, once its disk has room"
    return True, f"save {save}: a crash loses what was written since the last save", ""


def _redis_options(info: Mapping[str, str], save: str, sync: str) -> tuple[str, ...]:
    numbers = save.split()
    options: list[str] = []
    for seconds, changes in zip(numbers[::2], numbers[1::2], strict=False):
        options += ["--save", seconds, changes]
    if info.get("aof_enabled") == "1":
        options += ["--appendonly", "yes", *(["--appendfsync", sync] if sync else [])]
    return tuple(options)


def _whole(value: object) -> int | None:
    return int(value) if isinstance(value, int | float) else None
