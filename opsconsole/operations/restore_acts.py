"""The acts of a restore. Each looks at what is kept of it (`restore_state`) and may be run again after a kill."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from opsconsole.backups.files_placing import Target
from opsconsole.backups.opening import Opened, OpenPart, open_backup
from opsconsole.backups.progress import Cancelled, Progress
from opsconsole.backups.rdb import Wanted
from opsconsole.durable import replace_private
from opsconsole.model import Backup, SourceError
from opsconsole.operations import acts, backup_acts, journal, restore_state
from opsconsole.operations.acts import Fields, Operation
from opsconsole.operations.backup_acts import in_bytes
from opsconsole.operations.backup_scope import Scope
from opsconsole.operations.plan import Act, RestoreOrder, Step
from opsconsole.operations.restore_state import CLEARED, SETTLED, FilesState, MongoState
from opsconsole.operations.saving import reachable
from opsconsole.operations.steps import step
from opsconsole.sources.connection import Connection

MONGO, REDIS, FILES = "mongo", "redis", "files"
_TARGETS = {MONGO: "mongodb", REDIS: "redis"}


def check(operation: Operation, one: Step) -> Fields:
    """Act.CHECK_BACKUP: every byte of it is read, before anything is touched. What an earlier restore left goes."""
    order = _order(operation)
    found = operation.scope()
    for left in restore_state.uncleared(operation.directory):
        _clear(operation, found, left)
    home = restore_state.home(operation.place)
    backup = chosen(backup_acts.listed(found), order)
    scratch = home / "opened"
    if scratch.is_dir():
        shutil.rmtree(scratch)
    scratch.mkdir(mode=0o700)
    opened = open_backup(backup, scratch, room(scratch), told=in_bytes(operation))
    if opened.identity != order.identity:
        raise SourceError(f"the backup {backup.id} is another one than the plan was made of", "Look at the plan again.")
    restore_state.write(home, "opened.json", opened)
    return {"text": f"{backup.id}: every document, key and file was read"}


def load(operation: Operation, one: Step) -> Fields:
    """Act.LOAD: beside the live data, which is not touched, and compared with what the backup says."""
    home, found = restore_state.home(operation.place), operation.scope()
    kind = one.id.partition(":")[2]
    opened = restore_state.opened(home)
    try:
        text = {MONGO: _load_mongo, REDIS: _load_redis, FILES: _load_files}[kind](operation, home, found, opened)
    except Cancelled:
        raise acts.cancelled(operation, one) from None
    return {"text": text}


def swap(operation: Operation, one: Step) -> Fields:
    """Act.SWAP: what was loaded takes the place of what is live, piece by piece; each is known before it is moved."""
    home, found = restore_state.home(operation.place), operation.scope()
    kind = one.id.partition(":")[2]
    opened = restore_state.opened(home)
    text = {MONGO: _swap_mongo, REDIS: _swap_redis, FILES: _swap_files}[kind](operation, home, found, opened)
    return {"text": text}


def swap_back(operation: Operation, one: Step) -> Fields:
    """Act.SWAP_BACK: what was live is live again. Nothing happens to what was not exchanged."""
    home, found = restore_state.home(operation.place), operation.scope()
    if settled := restore_state.settled(home):
        if settled == "new":
            raise SourceError(
                "the restore was done and what was there before is being removed: it cannot be exchanged back",
                "Finish it; then `opsconsole restore --undo` restores the safety backup.",
            )
        return {"text": "it is as it was before"}
    _files_back(home)
    _redis_back(operation, home, found)
    _mongo_back(home, found)
    return {"text": "every piece of data is the one that was there before"}


def clear_beside(operation: Operation, one: Step) -> Fields:
    """Act.CLEAR_BESIDE: the side that does not stay goes. From here on there is no exchange back."""
    home = restore_state.home(operation.place)
    if not restore_state.settled(home):
        side = "old" if one.id == "clear:old-stays" else "new"
        replace_private(home / SETTLED, side.encode())
    step("R05")
    _clear(operation, operation.scope(), home)
    return {"text": "nothing lies beside the live data any more"}


def users(operation: Operation, one: Step) -> Fields:
    """Act.USERS: users and roles of MongoDB as the backup has them; whoever is logged in here stays as he is."""
    from opsconsole.backups.mongo_dumps import open_dump
    from opsconsole.backups.mongo_users import restore_users
    from opsconsole.backups.reading import Corrupt
    from opsconsole.sources.mongo_bulk import bulk_client

    home, found = restore_state.home(operation.place), operation.scope()
    said = []
    for part, connection in pairs(restore_state.opened(home).parts, found.connections, MONGO):
        try:
            with bulk_client(reachable(connection)) as client, open_dump(Path(part.path)) as dump:
                done = restore_users(client, dump)
        except Corrupt as fault:
            raise SourceError(f"{part.name} {fault.problem}", "The users are as they were.") from None
        said.append(f"{len(done.users)} users and {len(done.roles)} roles")
    return {"text": f"{', '.join(said) or 'none'}"}


ACTS: dict[Act, acts.Act] = {
    Act.CHECK_BACKUP: check,
    Act.LOAD: load,
    Act.SWAP: swap,
    Act.SWAP_BACK: swap_back,
    Act.CLEAR_BESIDE: clear_beside,
    Act.USERS: users,
}


# --- what plans use, too ---------------------------------------------------------------------------


def chosen(backups: Sequence[Backup], order: RestoreOrder) -> Backup:
    """The backup of an order. Raises SourceError when it is gone."""
    for one in backups:
        if one.id == order.backup:
            return one
    raise SourceError(f"the backup {order.backup} is not there any more", "See `opsconsole backup list`.")


def pairs(
    parts: Sequence[OpenPart], connections: Sequence[Connection], kind: str
) -> Iterator[tuple[OpenPart, Connection]]:
    """Each part with the server that it goes to: that of its name, or the only one of its kind. Raises SourceError."""
    servers = [one for one in connections if one.target.kind == _TARGETS[kind]]
    own = [one for one in parts if one.kind == kind]
    for part in own:
        found = [one for one in servers if one.target.name == part.name] or servers
        if len(found) != 1 or (len(own) > 1 and found[0].target.name != part.name):
            names = ", ".join(one.target.name for one in servers) or "none"
            raise SourceError(f"to which server {part.name} goes is not clear", f"This stack has: {names}.")
        yield part, found[0]


def room(place: Path) -> int:
    """Bytes that may be unpacked there, so that the disk does not fill up."""
    return max(0, shutil.disk_usage(place).free - (256 << 20))


# --- MongoDB ---------------------------------------------------------------------------------------


def _load_mongo(operation: Operation, home: Path, found: Scope, opened: Opened) -> str:
    from opsconsole.backups.mongo_catalog import collection_infos
    from opsconsole.backups.mongo_choosing import choose
    from opsconsole.backups.mongo_dumps import open_dump
    from opsconsole.backups.mongo_live import names
    from opsconsole.backups.mongo_loading import load_mongo
    from opsconsole.backups.progress import Watch
    from opsconsole.backups.reading import Corrupt
    from opsconsole.sources.mongo_bulk import bulk_client

    order = _order(operation)
    said = []
    for part, connection in pairs(opened.parts, found.connections, MONGO):
        with bulk_client(reachable(connection), answer_seconds=None) as client:
            databases = names(client, (), connection.target.database)
            live = {one: [str(info["name"]) for info in collection_infos(client[one])] for one in databases}
            choice = choose(
                part.collections,
                live,
                databases=order.databases,
                collections=order.collections,
                to=dict(order.to),
                undoing=bool(order.undoes),
            )
            taken = choice.taken(part.collections)
            targets = sorted({choice.target(one.database) for one in taken} | {name for name, _ in choice.aside})
            state = MongoState(databases=tuple(targets), aside=choice.aside)
            restore_state.write(home, f"mongo-{connection.target.name}.json", state)
            step("R01")
            watch = Watch(_in_documents(operation), lambda: bool(operation.cancel()))
            watch.begin(sum(one.documents for one in taken), sum(one.size for one in taken))
            try:
                with open_dump(Path(part.path)) as dump:
                    staged = load_mongo(
                        client,
                        dump,
                        watch=watch,
                        selection=choice.selection,
                        renamed=choice.renamed,
                        expected=part.expected,
                    )
            except Corrupt as fault:
                raise SourceError(f"{Path(part.path).name} {fault.problem}", "The live data was not touched.") from None
        state = msgspec.structs.replace(state, staged=staged, loaded=True)
        restore_state.write(home, f"mongo-{connection.target.name}.json", state)
        documents = sum(one.documents for one in staged)
        said.append(f"{len(staged)} collections, {documents:,} documents, compared")
    return "; ".join(said)


def _swap_mongo(operation: Operation, home: Path, found: Scope, opened: Opened) -> str:
    from opsconsole.backups.mongo_swapping import plan_swaps, put_in_place
    from opsconsole.sources.mongo_bulk import bulk_client

    count = 0
    for server, connection in _kept(home, found, MONGO):
        state = restore_state.mongo(home, server)
        if state is None or not state.loaded:
            raise SourceError("the backup is not loaded beside the live data", "Finish the restore from its beginning.")
        with bulk_client(connection, answer_seconds=None) as client:
            if not state.swaps:
                state = msgspec.structs.replace(state, swaps=plan_swaps(client, state.staged, state.aside))
                restore_state.write(home, f"mongo-{server}.json", state)
            for one in state.swaps:
                put_in_place(client, one)
                step("R02")
            count += len(state.swaps)
    return f"{count} collections exchanged"


def _mongo_back(home: Path, found: Scope) -> None:
    from opsconsole.backups.mongo_swapping import take_back
    from opsconsole.sources.mongo_bulk import bulk_client

    for server, connection in _kept(home, found, MONGO):
        state = restore_state.mongo(home, server)
        if state is None or not state.swaps:
            continue
        with bulk_client(connection, answer_seconds=None) as client:
            for one in reversed(state.swaps):
                take_back(client, one)
                step("R03")


def _clear_mongo(home: Path, found: Scope) -> None:
    from opsconsole.backups.mongo_loading import drop
    from opsconsole.backups.mongo_names import STAGED
    from opsconsole.backups.mongo_swapping import leftovers, remove_beside
    from opsconsole.sources.mongo_bulk import bulk_client

    for server, connection in _kept(home, found, MONGO):
        state = restore_state.mongo(home, server)
        if state is None:
            continue
        with bulk_client(connection, answer_seconds=None) as client:
            for one in state.swaps:
                remove_beside(client, one)
            # What a load that was cut off has left, too.
            for database, name in leftovers(client, state.databases):
                if name.endswith(STAGED):
                    drop(client[database], name)


# --- Redis -----------------------------------------------------------------------------------------


def _selective(order: RestoreOrder) -> bool:
    return bool(order.redis_databases or order.redis_keys)


def _load_redis(operation: Operation, home: Path, found: Scope, opened: Opened) -> str:
    from opsconsole.backups import redis_loading

    if _selective(_order(operation)):
        return "single keys are given back in place"
    said = []
    for part, connection in pairs(opened.parts, found.connections, REDIS):
        uri, path = reachable(connection).uri, Path(part.path)
        beside = restore_state.redis(home, connection.target.name)
        if beside is None:
            beside = redis_loading.look(uri, path, home.name)
            restore_state.write(home, f"redis-{connection.target.name}.json", beside)
        loaded = redis_loading.load(uri, path, beside, told=_in_keys(operation))
        said.append(f"{sum(loaded.restored.values()):,} keys, {sum(loaded.expired.values()):,} had expired")
    return "; ".join(said)


def _swap_redis(operation: Operation, home: Path, found: Scope, opened: Opened) -> str:
    from opsconsole.backups import redis_loading
    from opsconsole.backups.redis_giving import restore_keys
    from opsconsole.backups.redis_patterns import selected

    order = _order(operation)
    said = []
    for part, connection in pairs(opened.parts, found.connections, REDIS):
        uri, path = reachable(connection).uri, Path(part.path)
        if _selective(order):
            wanted = selected(order.redis_databases, order.redis_keys)
            if order.undoes:
                _remove_given(operation.place.parent / order.undoes, part, uri, wanted)
            loaded = restore_keys(uri, path, wanted, replace=True, told=_in_keys(operation))
            said.append(f"{sum(loaded.restored.values()):,} keys given back")
            continue
        beside = restore_state.redis(home, connection.target.name)
        if beside is None:
            raise SourceError("the backup is not loaded beside the live data", "Finish the restore from its beginning.")
        redis_loading.swap(uri, path, beside)
        said.append(f"{len(beside.pairs)} databases exchanged")
    step("R02")
    return "; ".join(said)


def _remove_given(undone: Path, part: OpenPart, uri: str, wanted: Wanted) -> None:
    """What the restore that is undone had given back, and was not there before."""
    from opsconsole.backups.redis_giving import remove_keys

    for given in restore_state.opened(restore_state.home(undone)).parts:
        if given.kind == REDIS and given.name == part.name:
            remove_keys(uri, Path(given.path), wanted)


def _redis_back(operation: Operation, home: Path, found: Scope) -> None:
    from opsconsole.backups import redis_loading

    for server, connection in _kept(home, found, REDIS):
        beside = restore_state.redis(home, server)
        if beside is not None:
            redis_loading.undo(connection.uri, beside)
            step("R03")
    if _selective(_order(operation)):
        _keys_back(operation, home, found)


def _keys_back(operation: Operation, home: Path, found: Scope) -> None:
    """Keys that were given back go, and those that were there come from the safety backup."""
    from opsconsole.backups.redis_giving import remove_keys, restore_keys
    from opsconsole.backups.redis_patterns import selected

    order = _order(operation)
    safety = safety_backup_of(operation.place)
    opened = restore_state.read(home, "opened.json", Opened)
    if not safety or opened is None:
        return  # nothing was given back before both were there
    backup = chosen(backup_acts.listed(found), RestoreOrder(backup=safety))
    before = open_backup(backup, home, 0, check=False)
    wanted = selected(order.redis_databases, order.redis_keys)
    for part, connection in pairs(opened.parts, found.connections, REDIS):
        uri = reachable(connection).uri
        remove_keys(uri, Path(part.path), wanted)
        for old, _ in pairs(before.parts, [connection], REDIS):
            restore_keys(uri, Path(old.path), wanted, replace=True)


def safety_backup_of(place: Path) -> str:
    """Id of the safety backup that a restore took, or the one that it finishes; "" before it did."""
    if found := next((entry.backup for entry in reversed(journal.read(place)) if entry.backup), ""):
        return found
    resolves = journal.read_plan(place).resolves
    return safety_backup_of(place.parent / resolves) if resolves else ""


# --- files -----------------------------------------------------------------------------------------


def _load_files(operation: Operation, home: Path, found: Scope, opened: Opened) -> str:
    from opsconsole.backups.files_loading import extract
    from opsconsole.backups.files_part import FilesSaver
    from opsconsole.backups.packed_files import Packing
    from opsconsole.backups.swapping import beside

    targets = file_targets(opened, found, _order(operation))
    restore_state.write(home, "files.json", FilesState(targets=targets))
    step("R01")
    foreign = {one.name: one.foreign for one in opened.parts}
    members = 0
    for one in targets:
        live, archive = Path(one.live), Path(one.path)
        new, _ = beside(live, _tag(home))
        new.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        if archive.is_dir():
            # Through a tar of our own: owners, links and holes come along.
            packed = home / "repacked"
            packed.mkdir(mode=0o700, exist_ok=True)
            saved = FilesSaver(one.part, archive, packing=Packing.NONE).save(packed)
            archive = packed / saved.files[0].path
        made = extract(
            archive,
            new,
            limit=room(new.parent),
            foreign=foreign.get(one.part, True),
            told=_in_files(operation, one.part),
        )
        members += made.members
        shutil.rmtree(home / "repacked", ignore_errors=True)
    return f"{members:,} files and directories"


def _swap_files(operation: Operation, home: Path, found: Scope, opened: Opened) -> str:
    from opsconsole.backups.swapping import exchanges, forward

    state = restore_state.files(home)
    if state is None:
        raise SourceError("the files are not unpacked beside the live ones", "Finish the restore from its beginning.")
    if state.exchanges is None:
        wanted = [one for target in state.targets for one in exchanges(Path(target.live), _tag(home))]
        state = msgspec.structs.replace(state, exchanges=tuple(wanted))
        restore_state.write(home, "files.json", state)
    for exchange in state.exchanges or ():
        forward([exchange])
        step("R02")
    return ", ".join(one.live for one in state.targets)


def _files_back(home: Path) -> None:
    from opsconsole.backups.swapping import back

    state = restore_state.files(home)
    for exchange in reversed((state.exchanges if state is not None else None) or ()):
        back([exchange])
        step("R03")


def _clear_files(home: Path) -> None:
    from opsconsole.backups.swapping import clear

    state = restore_state.files(home)
    for target in state.targets if state is not None else ():
        clear(Path(target.live), _tag(home))


def file_targets(opened: Opened, found: Scope, order: RestoreOrder) -> tuple[Target, ...]:
    """Which directories are replaced by what. Raises SourceError for a part that has no place any more."""
    from opsconsole.backups.files_placing import targets

    stack = Path(found.look.directory)
    lives = [(place.name, place.path) for place in found.places]
    lives += [(Path(path).name, Path(path)) for path in found.stack.data_directories if not Path(path).is_dir()]
    parts = [one for one in opened.parts if not order.files or one.name in order.files]
    wanted, homeless = targets(parts, lives, stack)
    if homeless:
        known = ", ".join(name for name, _ in lives) or "none"
        raise SourceError(
            f"no directory of this stack is the place of {', '.join(homeless)}",
            f"There are: {known}. Unpack it by hand, or name it in [data] directories.",
        )
    return tuple(wanted)


def _tag(home: Path) -> str:
    return home.name.rpartition("-")[2]


# --- parts -----------------------------------------------------------------------------------------


def _clear(operation: Operation, found: Scope, home: Path) -> None:
    from opsconsole.backups import redis_loading

    _clear_files(home)
    for server, connection in _kept(home, found, REDIS):
        beside = restore_state.redis(home, server)
        if beside is not None:
            redis_loading.drop(connection.uri, beside)
    _clear_mongo(home, found)
    shutil.rmtree(home / "opened", ignore_errors=True)
    replace_private(home / CLEARED, b"")


def _kept(home: Path, found: Scope, kind: str) -> Iterator[tuple[str, Connection]]:
    """The servers that something is kept of, with the way to them. Raises SourceError for one that is gone."""
    names = {one.target.name: one for one in found.connections if one.target.kind == _TARGETS[kind]}
    for server in restore_state.servers(home, kind):
        if server not in names:
            raise SourceError(f"the server {server} is not among those of the stack any more", "Bring it back first.")
        yield server, reachable(names[server])


def _order(operation: Operation) -> RestoreOrder:
    order = operation.plan.restore
    assert order is not None  # every plan with these acts has one
    return order


def _in_documents(operation: Operation) -> Callable[[Progress], None]:
    told = in_bytes(operation)
    return lambda now: told(now.collection, now.bytes, now.total_bytes)


def _in_keys(operation: Operation) -> Callable[[int], None]:
    told = in_bytes(operation)

    def hear(keys: int) -> None:
        if operation.cancel():
            raise Cancelled
        told(f"{keys:,} keys", 0, 0)

    return hear


def _in_files(operation: Operation, name: str) -> Callable[[str, int, int], None]:
    told = in_bytes(operation)

    def hear(path: str, members: int, size: int) -> None:
        if operation.cancel():
            raise Cancelled
        told(f"{name}/{path}", size, 0)

    return hear
