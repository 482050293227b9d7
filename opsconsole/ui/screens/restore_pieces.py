"""What of a backup is restored: its pieces with boxes before them, and the order that comes of the boxes. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from opsconsole.backups.opening import Opened, OpenPart
from opsconsole.model import DatabaseStatus
from opsconsole.operations.orders import RestoreOrder
from opsconsole.ui.panes.backup_lines import live_documents, live_keys
from opsconsole.ui.panes.backup_rows import part_name
from opsconsole.ui.wording import UNKNOWN, count, plural, size

DATA = ("mongo", "redis", "files")
FOLDED_FROM = 24
"""So many pieces and more are shown without their collections at first."""

_USERS, _VIEW = "users", "view"
_FEW = 4  # names in a sentence


@dataclass(frozen=True, slots=True)
class Piece:
    """One line. `leaves` are the keys of the smallest pieces that it stands for; its own when it is one of them."""

    key: str
    kind: str  # mongo, database, collection, redis, keys, files, config, users
    part: str  # the kind of part that it belongs to
    name: str  # "thynk", "thynk.users", "0", "uploads"
    title: str
    depth: int = 0
    held: str = ""
    now: str = ""
    leaves: frozenset[str] = frozenset()
    servers: tuple[str, ...] = ()  # of several that it belongs to; () where there is one of MongoDB

    @property
    def database(self) -> str:
        """Of MongoDB, that it is or lies in."""
        return self.name.partition(".")[0] if self.kind in ("database", "collection") else ""


@dataclass(frozen=True, slots=True)
class Choice:
    leaves: frozenset[str] = frozenset()
    into: tuple[tuple[str, str], ...] = ()  # database of the backup, and the name that it gets
    patterns: tuple[str, ...] = ()  # of Redis keys

    def box(self, piece: Piece) -> str:
        on = piece.leaves & self.leaves
        return "[x]" if on == piece.leaves else "[-]" if on else "[ ]"

    def switched(self, piece: Piece) -> Choice:
        """With the piece, or without it when all of it was chosen."""
        all_on = piece.leaves <= self.leaves
        return replace(self, leaves=self.leaves - piece.leaves if all_on else self.leaves | piece.leaves)

    def named(self, database: str, new: str) -> Choice:
        """With this database restored into `new`; "" or its own name: where it was."""
        others = tuple(one for one in self.into if one[0] != database)
        return replace(self, into=others if new in ("", database) else (*others, (database, new)))

    def target(self, database: str) -> str:
        return dict(self.into).get(database, database)


def everything(pieces: Sequence[Piece]) -> Choice:
    """All that holds data; neither the configuration nor users."""
    return Choice(leaves=frozenset().union(*(piece.leaves for piece in pieces if piece.kind in DATA)))


def order(backup: str, pieces: Sequence[Piece], choice: Choice) -> RestoreOrder | None:
    """What the boxes say; None when nothing is chosen, or what no order can say (`problem`). Users alone are nothing:
    they come with data of MongoDB."""
    on = choice.leaves
    if problem(pieces, choice):
        return None
    kinds = tuple(
        kind
        for kind in ("mongo", "redis", "files", "config")
        if any(piece.leaves & on for piece in pieces if piece.kind == kind)
    )
    if not kinds:
        return None
    users = "mongo" in kinds and _USERS in on
    wanted = RestoreOrder(
        backup=backup,
        parts=() if on == everything(pieces).leaves else kinds,
        users=users,
        redis_keys=choice.patterns if "redis" in kinds else (),
    )
    return _parts(wanted, pieces, choice)


def problem(pieces: Sequence[Piece], choice: Choice) -> str:
    """Why what is chosen has to be chosen one after the other; "" when it has not."""
    touched = _touched(pieces, choice)
    if len(touched) < 2 or (all(one.leaves <= choice.leaves for one in touched) and not choice.into):
        return ""
    names = ", ".join(one.name for one in touched)
    return f"Of {names} only one can be restored in part, or to another name, at a time: leave the others out."


def _touched(pieces: Sequence[Piece], choice: Choice) -> list[Piece]:
    """The servers of MongoDB that something is chosen of."""
    return [one for one in pieces if one.kind == "mongo" and one.leaves & choice.leaves]


def _servers(pieces: Sequence[Piece], choice: Choice) -> tuple[str, ...]:
    """Those that have to be named, with those of Redis beside them; () where all are meant."""
    touched = _touched(pieces, choice)
    if len(touched) == len([one for one in pieces if one.kind == "mongo"]):
        return ()
    redis = [one for one in pieces if one.kind == "redis" and one.leaves & choice.leaves]
    return tuple(name for one in (*touched, *redis) for name in one.servers) if touched else ()


def _parts(wanted: RestoreOrder, pieces: Sequence[Piece], choice: Choice) -> RestoreOrder:
    import msgspec

    databases: list[str] = []
    collections: list[str] = []
    on = choice.leaves
    touched = _touched(pieces, choice)
    if any(not one.leaves <= on for one in touched):
        for one in (piece for piece in pieces if piece.kind == "database" and piece.leaves & on):
            if one.leaves <= on:
                databases.append(one.name)
            else:
                collections += [
                    each.name for each in pieces if each.kind == "collection" and each.key in one.leaves & on
                ]
    there = {piece.name for piece in pieces if piece.kind == "database" and piece.leaves & on}
    numbers = [int(one.name) for one in pieces if one.kind == "keys" and one.leaves & on]
    files = [one.name for one in pieces if one.kind == "files" and one.leaves & on]
    return msgspec.structs.replace(
        wanted,
        servers=_servers(pieces, choice),
        databases=tuple(databases),
        collections=tuple(collections),
        to=tuple((old, new) for old, new in choice.into if old in there),
        redis_databases=tuple(numbers) if _is_partial("redis", pieces, on) else (),
        files=tuple(files) if _is_partial("files", pieces, on) else (),
    )


def collections(pieces: Sequence[Piece], choice: Choice) -> dict[str, tuple[str, ...]]:
    """Those that are ticked and hold documents, as "database.collection", by the server that they are of ("" where
    there is one)."""
    found: dict[str, tuple[str, ...]] = {}
    for one in pieces:
        if one.kind == "collection" and one.key in choice.leaves and one.held != _VIEW:
            server = one.servers[0] if one.servers else ""
            found[server] = (*found.get(server, ()), one.name)
    return found


def _is_partial(kind: str, pieces: Sequence[Piece], on: frozenset[str]) -> bool:
    """Whether some of it is chosen, and not all."""
    leaves = frozenset[str]().union(*(piece.leaves for piece in pieces if piece.kind == kind))
    return bool(leaves & on) and not leaves <= on


# --- the pieces of a backup ------------------------------------------------------------------------


def pieces(opened: Opened, databases: Sequence[DatabaseStatus] = ()) -> tuple[Piece, ...]:
    """In the order of the screen: each part, under it what it holds."""
    found: list[Piece] = []
    by_kind: dict[str, list[OpenPart]] = {}
    for part in opened.parts:
        by_kind.setdefault(part.kind, []).append(part)
    servers = by_kind.get("mongo", [])
    for one in servers:
        found += _mongo(one, databases, several=len(servers) > 1)
    if of_redis := by_kind.get("redis"):
        found += _redis(of_redis, databases)
    found += [_files(part) for part in by_kind.get("files", ())]
    if by_kind.get("config"):
        found.append(_leaf("config", "config", "config", "config", "Configuration", held="compose, env"))
    if any(one.users for one in servers):
        found.append(_leaf(_USERS, "users", "mongo", "users", "Users and roles of MongoDB", held="others stay"))
    return tuple(found)


def _mongo(part: OpenPart, databases: Sequence[DatabaseStatus], *, several: bool) -> list[Piece]:
    """Of one server: all of it, its databases, their collections."""
    live = live_documents(databases, part.name)
    root, servers = (f"mongo {part.name}", (part.name,)) if several else ("mongo", ())
    below: list[Piece] = []
    for database in sorted({one.database for one in part.collections}):
        there = sorted((one for one in part.collections if one.database == database), key=lambda one: one.name)
        leaves = [
            Piece(
                key=f"{root}/{one.database}.{one.name}",
                kind="collection",
                part="mongo",
                name=f"{one.database}.{one.name}",
                title=one.name,
                depth=2,
                held=_VIEW if one.kind == "view" else plural(one.documents, "document"),
                now=_documents_now(live, f"{one.database}.{one.name}", one.kind),
                leaves=frozenset({f"{root}/{one.database}.{one.name}"}),
                servers=servers,
            )
            for one in there
        ]
        below.append(
            Piece(
                key=f"{root}/{database}",
                kind="database",
                part="mongo",
                name=database,
                title=database,
                depth=1,
                held=plural(sum(one.documents for one in there), "document"),
                now=_sum_now(live, database),
                leaves=frozenset(one.key for one in leaves),
                servers=servers,
            )
        )
        below += leaves
    own = frozenset(one.key for one in below if one.kind == "collection") or frozenset({root})
    held_all = plural(len(part.collections), "collection")
    title = f"MongoDB {part.name}" if several else f"MongoDB{_of(part, 'mongodb')}"
    return [Piece(root, "mongo", "mongo", part.name, title, held=held_all, leaves=own, servers=servers), *below]


def _documents_now(live: dict[str, int | None] | None, path: str, kind: str) -> str:
    if live is None:
        return UNKNOWN
    if path not in live:
        return "not there"
    return "view" if kind == "view" else count(live[path])


def _sum_now(live: dict[str, int | None] | None, database: str) -> str:
    if live is None:
        return UNKNOWN
    found = [documents for path, documents in live.items() if path.startswith(f"{database}.")]
    return count(sum(one or 0 for one in found)) if found else "not there"


def _redis(parts: Sequence[OpenPart], databases: Sequence[DatabaseStatus]) -> list[Piece]:
    held: dict[int, int] = {}
    now: dict[int, int] | None = {}
    for part in parts:
        for one in part.keys:
            held[one.database] = held.get(one.database, 0) + one.keys
        live = live_keys(databases, part.name)
        if live is None or now is None:
            now = None
            continue
        for number, keys in live.items():
            now[number] = now.get(number, 0) + keys
    below = [
        _leaf(
            f"redis/{number}",
            "keys",
            "redis",
            str(number),
            f"database {number}",
            depth=1,
            held=plural(keys, "key"),
            now=UNKNOWN if now is None else count(now.get(number, 0)),
        )
        for number, keys in sorted(held.items())
    ]
    names = f": {', '.join(part.name for part in parts)}" if len(parts) > 1 else _of(parts[0], "redis")
    leaves = frozenset(one.key for one in below) or frozenset({"redis"})
    live_all = UNKNOWN if now is None else count(sum(now.values()))
    total = plural(sum(held.values()), "key")
    own = tuple(part.name for part in parts)
    top = Piece("redis", "redis", "redis", "redis", f"Redis{names}", 0, total, live_all, leaves, own)
    return [top, *below]


def _files(part: OpenPart) -> Piece:
    held = f"{plural(part.members, 'entry', 'entries')}, {size(part.size)}"
    return _leaf(f"files/{part.name}", "files", "files", part.name, f"{part_name('files').capitalize()} {part.name}",
                 held=held)  # fmt: skip


def _of(part: OpenPart, usual: str) -> str:
    return f" {part.name}" if part.name not in (usual, part.kind) and not part.foreign else ""


def _leaf(
    key: str, kind: str, part: str, name: str, title: str, *, depth: int = 0, held: str = "", now: str = ""
) -> Piece:
    return Piece(key, kind, part, name, title, depth, held, now, frozenset({key}))


# --- in words --------------------------------------------------------------------------------------


def said(chosen: Sequence[Piece], choice: Choice) -> Iterator[str]:
    """What will be restored, one sentence for each kind of part."""
    if choice.leaves == everything(chosen).leaves and not choice.into and not choice.patterns:
        kinds = dict.fromkeys(part_name(piece.kind) for piece in chosen if piece.kind in DATA)
        yield f"Everything that holds data: {', '.join(kinds)}"
        return
    for top in (piece for piece in chosen if piece.depth == 0):
        on = top.leaves & choice.leaves
        if not on or (top.kind == "users" and not any(key.startswith("mongo") for key in choice.leaves)):
            continue
        if on == top.leaves or top.kind not in ("mongo", "redis"):
            yield f"{top.title} whole" if top.kind in DATA else top.title
            continue
        off = [piece.name for piece in chosen if piece.key in top.leaves - on]
        if len(off) <= _FEW and len(off) < len(on):
            yield f"{top.title} without {'database ' if top.kind == 'redis' else ''}{', '.join(off)}"
            continue
        names = [piece.name for piece in chosen if piece.leaves <= on and piece.leaves and piece.depth == 1]
        whole = frozenset[str]().union(*(piece.leaves for piece in chosen if piece.depth == 1 and piece.name in names))
        names += [piece.name for piece in chosen if piece.depth == 2 and piece.key in on - whole]
        few = ", ".join(names[:_FEW]) + (f" and {len(names) - _FEW} more" if len(names) > _FEW else "")
        yield f"{top.title}: {'database ' if top.kind == 'redis' else ''}{few}"
    for old, new in choice.into:
        yield f"{old} into {new}, so that {old} stays"
    if choice.patterns:
        yield f"only keys {' '.join(choice.patterns)}, others stay"
