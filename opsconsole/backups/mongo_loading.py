"""Load a dump of MongoDB beside the live data, and compare what was loaded with what was saved.

Nothing live is touched here: every collection gets a shadow in the same database, called like it with `.__stg` at the
end, because only there can it be put in its place by renaming. `mongo_swapping` does that.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

import msgspec
from pymongo.errors import OperationFailure, PyMongoError

from opsconsole.backups.bson_documents import DocumentDigest, DocumentSum
from opsconsole.backups.conveyor import Conveyor
from opsconsole.backups.mongo_archive import BUCKETS, Entry
from opsconsole.backups.mongo_catalog import Document, Metadata, Selection, index_specs, is_kept, metadata_of, to_json
from opsconsole.backups.mongo_dumps import Dump
from opsconsole.backups.mongo_inserting import insert_documents
from opsconsole.backups.mongo_names import STAGED, beside
from opsconsole.backups.mongo_raw import RawDatabase, ask, raw_batches
from opsconsole.backups.progress import Watch
from opsconsole.backups.reading import Corrupt
from opsconsole.sources.mongo_bulk import RawClient
from opsconsole.sources.network import Explained
from opsconsole.text import printable

SURE = {"w": "majority", "j": True}
"""A write is on the disk, and on most members of a set, before the server says yes."""

_NO_SUCH, _UNKNOWN_FIELD, _BAD_INDEX_OPTION = 26, 197, 67

# fmt: off
_INDEX_FIELDS = frozenset((
    "v", "key", "name", "unique", "sparse", "hidden", "expireAfterSeconds", "partialFilterExpression", "collation",
    "storageEngine", "weights", "default_language", "language_override", "textIndexVersion", "2dsphereIndexVersion",
    "bits", "min", "max", "wildcardProjection", "background", "prepareUnique", "bucketSize", "clustered",
))
# fmt: on

_FORGOTTEN = frozenset({"background", "dropDups", "safe"})


class Staged(msgspec.Struct, frozen=True):
    """A collection that was loaded and compared, and waits beside the live one. Views have no documents to load."""

    entry: Entry  # of the dump
    database: str  # where it lies now and will lie
    staging: str  # "" for a view
    documents: int = 0
    bytes: int = 0
    digest: str = ""
    changed_indexes: tuple[str, ...] = ()  # those whose options of old servers had to be left out

    @property
    def live(self) -> str:
        return self.entry.name


Expected = Mapping[str, tuple[int, str]]
"""Number of documents and digest by "database.collection", from a manifest."""


def load_mongo(
    client: RawClient,
    dump: Dump,
    *,
    watch: Watch,
    selection: Selection,
    renamed: Mapping[str, str] | None = None,
    expected: Expected | None = None,
) -> tuple[Staged, ...]:
    """Load what is selected into shadows, databases under their new name when `renamed` has one.

    Users and roles are never loaded. The dump is read to its end, so its checksums hold for what was loaded. After
    any error the shadows are removed as far as the server still lets us.

    Raises Explained, Corrupt, Cancelled, OSError or the driver's errors.
    """
    loading = _Loading(client, dump, watch, selection, renamed or {}, expected)
    try:
        return loading.run()
    except BaseException:
        with contextlib.suppress(PyMongoError):
            loading.remove()
        raise


class _Loading:
    def __init__(
        self,
        client: RawClient,
        dump: Dump,
        watch: Watch,
        selection: Selection,
        renamed: Mapping[str, str],
        expected: Expected | None,
    ) -> None:
        self._client = client
        self._dump = dump
        self._watch = watch
        self._expected = expected
        self._wanted = {
            entry: Staged(
                entry,
                renamed.get(entry.database, entry.database),
                "" if entry.kind == "view" else beside(renamed.get(entry.database, entry.database), entry.name, STAGED),
            )
            for entry in dump.entries
            if selection.takes(entry.database, entry.name) and is_loaded(entry)
        }
        self._digests = {entry: DocumentDigest() for entry in self._wanted}
        self._sums: dict[Entry, DocumentSum] = {}
        self._loaded: dict[Entry, Staged] = {}

    def run(self) -> tuple[Staged, ...]:
        """Three threads: this one reads, the second inserts, the third builds indexes and compares."""
        metadata = {entry: self._metadata(entry) for entry in self._wanted}
        self._sums = {entry: DocumentSum() for entry in self._wanted if _server_orders(entry, metadata[entry])}
        for entry, staged in self._wanted.items():
            if entry.kind != "view":
                drop(self._client[staged.database], staged.staging)
                create(self._client[staged.database], staged.staging, metadata[entry])
        with (
            Conveyor[Entry](lambda entry: self._complete(entry, metadata[entry]), depth=100_000, name="index") as done,
            Conveyor[tuple[Entry, bytes]](lambda piece: self._insert(*piece, done), name="insert") as inserting,
        ):
            for batch in self._dump.batches():
                if batch.entry in self._wanted:
                    if batch.entry.kind == "view" and batch.data:
                        raise Corrupt(f"has documents in the view {batch.entry.path}")
                    self._digests[batch.entry].add(batch.data, batch.documents)
                    if batch.entry in self._sums:
                        self._sums[batch.entry].add(batch.data)
                    inserting.put((batch.entry, b"" if batch.last else batch.data))
                self._watch.went_on(batch.entry.path, batch.documents, len(batch.data))
        return tuple(self._loaded[entry] for entry in self._wanted)

    def remove(self) -> None:
        for staged in self._wanted.values():
            if staged.staging:
                drop(self._client[staged.database], staged.staging)

    def _metadata(self, entry: Entry) -> Metadata:
        try:
            return metadata_of(entry)
        except ValueError as error:
            raise Corrupt(f"has broken metadata of {entry.path}: {error}") from None

    def _insert(self, entry: Entry, data: bytes, done: Conveyor[Entry]) -> None:
        staged = self._wanted[entry]
        if not data:
            done.put(entry)
            return
        stored = BUCKETS + staged.staging if entry.kind == "timeseries" else staged.staging
        insert_documents(self._client[staged.database], stored, data)

    def _complete(self, entry: Entry, metadata: Metadata) -> None:
        """Indexes and comparison; indexes that let documents expire come last, or the comparison would miss some."""
        staged, done = self._wanted[entry], self._digests[entry]
        staged = msgspec.structs.replace(staged, documents=done.documents, bytes=done.bytes, digest=done.digest)
        if entry.kind != "view":
            self._compare_with_manifest(staged)
            database = self._client[staged.database]
            lasting = [spec for spec in metadata.indexes if "expireAfterSeconds" not in spec]
            expiring = [spec for spec in metadata.indexes if "expireAfterSeconds" in spec]
            changed = build_indexes(database, staged.staging, lasting, metadata)
            compare(database, staged, self._sums.get(entry))
            changed |= build_indexes(database, staged.staging, expiring, metadata)
            changed |= compare_indexes(database, staged, metadata, changed)
            staged = msgspec.structs.replace(staged, changed_indexes=tuple(sorted(changed)))
        self._loaded[entry] = staged

    def _compare_with_manifest(self, staged: Staged) -> None:
        if self._expected is None:
            return
        expected = self._expected.get(staged.entry.path)
        if expected != (staged.documents, staged.digest):
            told = f"{expected[0]} documents" if expected is not None else "nothing"
            raise Corrupt(f"holds {staged.documents} documents of {staged.entry.path}, its manifest says {told}")


def is_loaded(entry: Entry) -> bool:
    """Whether a restore puts this collection in place: not users and roles, nor what a server keeps for itself."""
    if entry.database in ("", "config", "local") or not is_kept(entry.database, entry.name):
        return False
    return entry.database != "admin" or not entry.name.startswith("system.")


# --- one collection --------------------------------------------------------------------------------


def create(database: RawDatabase, name: str, metadata: Metadata) -> None:
    """Make an empty collection with these options, apart from those that let its documents expire."""
    left_out = ("autoIndexId", "uuid", "expireAfterSeconds", "create", "idIndex")
    command: Document = {"create": name}
    command |= {key: value for key, value in metadata.options.items() if key not in left_out}
    for spec in metadata.indexes:
        if _is_id_index(spec) and not spec.get("clustered") and "timeseries" not in metadata.options:
            command["idIndex"] = _plain_spec(spec)
    ask(database, {**command, "writeConcern": SURE})


def build_indexes(database: RawDatabase, name: str, specs: list[Document], metadata: Metadata) -> frozenset[str]:
    """Build indexes as a dump describes them; returns the names of those whose options had to be cut down."""
    wanted = []
    for spec in specs:
        if _is_id_index(spec) or spec.get("clustered"):
            continue
        plain = _plain_spec(spec)
        if "collation" in metadata.options and "collation" not in plain:
            plain["collation"] = {"locale": "simple"}  # else it would take over the collection's
        wanted.append(plain)
    if not wanted:
        return frozenset()
    try:
        ask(database, {"createIndexes": name, "indexes": wanted, "writeConcern": SURE})
    except OperationFailure as error:
        if error.code not in (_UNKNOWN_FIELD, _BAD_INDEX_OPTION):
            raise
    else:
        return frozenset()
    known = [{key: value for key, value in spec.items() if key in _INDEX_FIELDS} for spec in wanted]
    ask(database, {"createIndexes": name, "indexes": known, "writeConcern": SURE})
    return frozenset(str(after["name"]) for before, after in zip(wanted, known, strict=True) if before != after)


def compare(database: RawDatabase, staged: Staged, sums: DocumentSum | None) -> None:
    """Read everything back, in the order in which it was inserted; or in any order, when there are `sums` of it.

    Raises Explained when it is not what was loaded.
    """
    stored = BUCKETS + staged.staging if staged.entry.kind == "timeseries" else staged.staging
    digest, found = DocumentDigest(), DocumentSum()
    for data, count in raw_batches(database, {"find": stored}):
        digest.add(data, count)
        if sums is not None:
            found.add(data)
    same = digest.digest == staged.digest if sums is None else found.digest == sums.digest
    if digest.documents != staged.documents or not same:
        raise Explained(
            f"{printable(staged.entry.path)} was loaded and reads back differently: {digest.documents} documents "
            f"where there should be {staged.documents}, or others",
            "does anything write to collections that end in .__stg? The live data was not touched",
        )


def _server_orders(entry: Entry, metadata: Metadata) -> bool:
    """Whether a server keeps such a collection in an order of its own, by _id, and not in that of insertion."""
    return entry.kind == "timeseries" or "clusteredIndex" in metadata.options


def compare_indexes(
    database: RawDatabase, staged: Staged, metadata: Metadata, changed: frozenset[str]
) -> frozenset[str]:
    """Raises Explained when the indexes of a shadow are not those of the dump; returns the names of those that
    differ in nothing but what old servers kept and this one forgets."""
    there = {str(spec["name"]): _plain_spec(spec) for spec in index_specs(database, staged.staging)}
    forgotten = set()
    for spec in metadata.indexes:
        name, wanted = str(spec.get("name")), _plain_spec(spec)
        found = there.get(name, {})
        if name in changed or _same(found, wanted):
            continue
        if not found or not _same(*({k: v for k, v in one.items() if k not in _FORGOTTEN} for one in (found, wanted))):
            raise Explained(
                f"index {printable(name)} of {printable(staged.entry.path)} is not as it was saved",
                "the server may be of another version than the backup's; the live data was not touched",
            )
        forgotten.add(name)
    return frozenset(forgotten)


def drop(database: RawDatabase, name: str) -> None:
    """Drop a collection; nothing happens when there is none."""
    try:
        ask(database, {"drop": name, "writeConcern": SURE})
    except OperationFailure as error:
        if error.code != _NO_SUCH:
            raise


def _is_id_index(spec: Document) -> bool:
    return list(spec.get("key", {})) == ["_id"] and spec.get("name") == "_id_"


def _plain_spec(spec: Document) -> Document:
    """Without the field that says where it belonged; the version as a whole number, which old tools wrote as any."""
    plain = {key: value for key, value in spec.items() if key != "ns"}
    if "v" in plain:
        plain["v"] = int(str(plain["v"]).partition(".")[0])
    return plain


def _same(one: Document, other: Document) -> bool:
    """Whether two descriptions say the same, in whatever order they say it."""
    return to_json(dict(sorted(one.items()))) == to_json(dict(sorted(other.items())))
