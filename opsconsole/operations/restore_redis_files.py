"""The other way of a restore into Redis, for a server whose databases are all in use, so that nothing can be loaded
beside them: its data directory. The backup is laid beside the files that are live; Redis is stopped, the files change
places by a rename, Redis is started and reads them. With `appendonly yes` they are a new append-only file.

    load      everything is laid beside; nothing that is live is touched
    swap      saved, stopped, exchanged, started; keys counted, values of a sample compared
    back      stopped, exchanged back, started
    clear     the side that does not stay goes
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import msgspec

from opsconsole.backups import redis_planting, swapping
from opsconsole.backups.encryption import Keys
from opsconsole.backups.opening import OpenPart
from opsconsole.backups.reading import Corrupt
from opsconsole.backups.redis_comparing import compare_file
from opsconsole.backups.redis_giving import now_ms
from opsconsole.backups.redis_link import linked
from opsconsole.backups.redis_saving import save_now
from opsconsole.backups.swapping import NEW, OLD
from opsconsole.model import SourceError
from opsconsole.operations import backup_scope, restore_state
from opsconsole.operations.acts import Operation
from opsconsole.operations.backup_keys import private_keys
from opsconsole.operations.plan import shown
from opsconsole.operations.restore_redis_ways import STOP_SECONDS, Planted, commands, look
from opsconsole.operations.saving import reachable
from opsconsole.operations.stack_plans import RUNNING
from opsconsole.operations.steps import step
from opsconsole.sources.connection import Connection

_LOAD_SECONDS = 3600.0
_SILENT_SECONDS = 60.0  # of a server that does not even say that it loads
_POLL_SECONDS = 0.1
_SCRATCH = b"opsconsole:restore:compare"


def state(place: Path, server: str) -> Planted | None:
    return restore_state.read(place, f"planted-{server}.json", Planted)


# --- the acts --------------------------------------------------------------------------------------


def load(operation: Operation, home: Path, part: OpenPart, connection: Connection) -> str:
    """Lay everything beside the files that are live. Raises SourceError or OSError."""
    server, keys = connection.target.name, private_keys(operation.config)
    planted = state(home, server) or look(operation.scope(), part, connection, keys)
    if planted is None:
        raise SourceError("there is room beside the live databases by now", "Look at the plan again.")
    if not planted.exchanges:
        restore_state.write(home, f"planted-{server}.json", planted)
        with linked(reachable(connection).uri) as link:
            save_now(link)  # there is a file to be put aside, whatever Redis is told to save
        step("R01")
        exchanges = redis_planting.prepare(Path(planted.data), Path(part.path), planted.files, home.name, keys)
        planted = msgspec.structs.replace(planted, exchanges=exchanges)
        restore_state.write(home, f"planted-{server}.json", planted)
    return f"{sum(one.keys for one in part.keys):,} keys lie in {planted.data}, beside the files of Redis"


def swap(operation: Operation, home: Path, part: OpenPart, connection: Connection) -> str:
    """Stopped, exchanged, started, compared. Raises SourceError."""
    server = connection.target.name
    planted = state(home, server)
    if planted is None or not planted.exchanges:
        raise SourceError("the backup is not laid beside the live files", "Finish the restore from its beginning.")
    began = time.monotonic()
    if not swapping.is_new(planted.exchanges):
        if _state_of(operation, planted) in RUNNING:
            # What it holds is on its disk before it ends: a server that cannot write that goes on as it is.
            with linked(_connection(operation, server).uri) as link:
                save_now(link)
            _stop(operation, planted)
        step("R06")
        _settle(planted)
        swapping.forward(planted.exchanges)
        step("R07")
    _start(operation, planted)
    keys = private_keys(operation.config)
    text = _compared(_answering(operation, planted, server), planted, part, keys)
    return f"{text}; Redis was away for {time.monotonic() - began:.1f} s"


def back(operation: Operation, home: Path, server: str) -> None:
    """The files of before, and Redis runs. Raises SourceError."""
    planted = state(home, server)
    if planted is None:
        return
    if any(os.path.lexists(one.old) for one in planted.exchanges):
        _stop(operation, planted)
        _settle(planted)
        swapping.back(planted.exchanges)
    _start(operation, planted)
    _answering(operation, planted, server)
    step("R03")


def clear(home: Path, server: str) -> None:
    """Remove what lies beside the live files. Raises OSError."""
    planted = state(home, server)
    if planted is not None:
        for kind in (NEW, OLD):
            place = Path(planted.data) / f"{kind}{home.name}"
            if place.is_dir():
                shutil.rmtree(place)


# --- stopping, starting, comparing -----------------------------------------------------------------


def _stop(operation: Operation, planted: Planted) -> None:
    if _state_of(operation, planted) in RUNNING:
        _ordered(operation, commands(planted)[0])


def _start(operation: Operation, planted: Planted) -> None:
    if _state_of(operation, planted) not in RUNNING:
        _ordered(operation, commands(planted)[1])


def _ordered(operation: Operation, command: tuple[str, ...]) -> None:
    ran = operation.run_command(command, STOP_SECONDS + 60.0, cuttable=False)
    if ran.exit_code or ran.problem:
        raise SourceError(f"{shown(command)}: {ran.problem or f'exit code {ran.exit_code}'}", "See its output.")


def _state_of(operation: Operation, planted: Planted) -> str:
    return next((one.state for one in operation.containers() if one.name == planted.container), "gone")


def _settle(planted: Planted) -> None:
    """A power cut between the two renames may have let Redis start without its files, on new ones of its own: those
    hold nothing that anybody wrote, and go aside."""
    for one in planted.exchanges:
        if all(os.path.lexists(path) for path in (one.live, one.new, one.old)):
            os.rename(one.live, f"{one.old}.between")


def _connection(operation: Operation, server: str) -> Connection:
    """The way to it as it is now: a container that was started again may have another address."""
    found = backup_scope.scope(operation.directory, operation.config, project=operation.project)
    for one in found.connections:
        if one.target.kind == "redis" and one.target.name == server:
            return reachable(one)
    raise SourceError(f"the server {server} is not among those of the stack any more", "Bring it back first.")


def _answering(operation: Operation, planted: Planted, server: str) -> str:
    """Its URI, once it has read its files. Raises SourceError for one that does not come back."""
    end, silent = time.monotonic() + _LOAD_SECONDS, time.monotonic() + _SILENT_SECONDS
    while True:
        try:
            uri = _connection(operation, server).uri
            with linked(uri) as link:
                info = link.info()
            if info.get("loading", "0") == "0":
                return uri
            silent = time.monotonic() + _SILENT_SECONDS
        except SourceError:
            if time.monotonic() > silent or _state_of(operation, planted) not in RUNNING:
                raise
        if time.monotonic() > end:
            raise SourceError("Redis reads its files for more than an hour", "See its log.")
        time.sleep(_POLL_SECONDS)


def _compared(uri: str, planted: Planted, part: OpenPart, keys: Keys) -> str:
    """Every key is counted and a sample compared. Raises SourceError."""
    now = redis_planting.server_files(uri)
    if (now.appendonly, now.dump) != (planted.files.appendonly, planted.files.dump):
        raise SourceError(
            "Redis was started with other settings than it ran with before",
            "They had been set at run time (CONFIG SET appendonly). Write them into its command or file.",
        )
    total = sum(one.keys for one in part.keys)
    with linked(uri) as link:
        try:
            tally, comparison = compare_file(link, Path(part.path), total, _SCRATCH, keys)
        except Corrupt as fault:
            raise SourceError(f"{part.name} {fault.problem}", "Verify the backup.") from None
        sizes = link.sizes()
    for database in sorted({*tally.keys, *sizes}):
        found, least, most = sizes.get(database, 0), tally.alive(database, now_ms()), tally.keys.get(database, 0)
        if not least <= found <= most:
            raise SourceError(f"database {database} came back with {found:,} keys and the backup has {most:,}")
    return f"{sum(sizes.values()):,} keys, the values of {comparison.compared:,} compared"
