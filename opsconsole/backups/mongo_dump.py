"""What mongodump leaves behind: one archive, or a directory of BSON files. Read as far as it is cheap."""

from __future__ import annotations

from opsconsole.backups.findings import Finding, Verdict, counted, some_of
from opsconsole.backups.reading import Corrupt, LimitReached, Reader, exactly, up_to

ARCHIVE_MAGIC = b"\x6d\xe2\x99\x81"
_TERMINATOR = b"\xff\xff\xff\xff"
_LARGEST = 16 * 1024 * 1024 + 16 * 1024  # a document of 16 MiB, and the margin that the server adds for its own
_WALK = 512 * 1024  # bytes of documents that are stepped over: 2,500 of 200 bytes take 5 ms
_TAIL = 24  # the end of every archive: EOF true, CRC, end of document, terminator


# --- one archive -----------------------------------------------------------------------------------


class _Archive:
    """How far an archive was read."""

    def __init__(self) -> None:
        self.namespaces: list[tuple[str, str]] = []
        self.finished = 0
        self.documents = 0
        self.prelude_read = False
        self.ended = False


def read_archive(reader: Reader, path: str, size: int, tail: bytes = b"") -> Finding:
    """The list of collections at its beginning, and the documents while they are few.

    `tail` is the end of the file where it could be looked at (an archive that is not packed).
    """
    seen = _Archive()
    verdict, note = Verdict.PLAUSIBLE, ""
    try:
        _walk(reader, seen)
    except LimitReached:
        pass
    except Corrupt as fault:
        verdict, note = (Verdict.CUT if fault.cut else Verdict.WRONG), fault.problem
    if verdict is Verdict.PLAUSIBLE and not seen.ended and tail and not _ends_well(tail):
        verdict, note = Verdict.CUT, "is cut short: the end of the archive is missing"
    if verdict is Verdict.PLAUSIBLE:
        verdict, note = _judge(seen)
    databases = tuple(sorted({database for database, _ in seen.namespaces if database})) if seen.prelude_read else ()
    return Finding("mongo", path, size, verdict, note, databases, whole=seen.ended)


def _judge(seen: _Archive) -> tuple[Verdict, str]:
    if seen.prelude_read and not seen.namespaces:
        return Verdict.EMPTY, "holds no collections"
    if seen.ended and seen.finished < len(seen.namespaces):
        return Verdict.CUT, "is cut short: ends before all of its collections"
    if seen.ended and not seen.documents:
        return Verdict.EMPTY, f"{counted(len(seen.namespaces), 'collection')}, no documents"
    if not seen.prelude_read:
        return Verdict.PLAUSIBLE, f"at least {counted(len(seen.namespaces), 'collection')}"
    return Verdict.PLAUSIBLE, _described(seen.namespaces)


def _described(namespaces: list[tuple[str, str]]) -> str:
    databases = sorted({database for database, _ in namespaces if database not in ("", "admin", "config")})
    text = counted(sum(1 for _, name in namespaces if name != "oplog"), "collection")
    return f"{text} of {some_of(databases)}" if databases else text


def _walk(reader: Reader, seen: _Archive) -> None:
    head = up_to(reader, 4)
    if head != ARCHIVE_MAGIC:
        if ARCHIVE_MAGIC.startswith(head):
            raise Corrupt("is cut short", cut=True)
        raise Corrupt("is not a mongodump archive")
    header = _document(reader)
    if header is None or "version" not in _fields(header):
        raise Corrupt("has no archive header")
    while (document := _document(reader)) is not None:
        fields = _fields(document)
        if "collection" not in fields:
            raise Corrupt("has a broken list of collections")
        seen.namespaces.append((str(fields.get("db", "")), str(fields["collection"])))
    seen.prelude_read = True
    _walk_blocks(reader, seen)


def _walk_blocks(reader: Reader, seen: _Archive) -> None:
    walked = 0
    while walked < _WALK:
        head = up_to(reader, 4)
        if not head:
            seen.ended = True
            return
        document = _document(reader, head)
        if document is None:
            raise Corrupt("has a broken block")
        fields = _fields(document)
        if "collection" not in fields:
            raise Corrupt("has a broken block")
        if fields.get("EOF"):
            seen.finished += 1
        while (document := _document(reader)) is not None:
            walked += len(document) + 4
            seen.documents += 1
            if walked >= _WALK:
                return


def _document(reader: Reader, head: bytes = b"") -> bytes | None:
    """The next BSON document without its length; None at a terminator."""
    head = head + exactly(reader, 4 - len(head))
    if head == _TERMINATOR:
        return None
    length = int.from_bytes(head, "little")
    if not 5 <= length <= _LARGEST:
        raise Corrupt("has a broken document")
    body = exactly(reader, length - 4)
    if body[-1]:
        raise Corrupt("has a broken document")
    return body


def _fields(body: bytes) -> dict[str, str | int]:
    """Strings, numbers and booleans at the top of a document; anything else ends the reading of it."""
    fields: dict[str, str | int] = {}
    at = 0
    while at < len(body) - 1:
        kind = body[at]
        end = body.find(b"\0", at + 1)
        if end < 0:
            raise Corrupt("has a broken document")
        name = body[at + 1 : end].decode("utf-8", "replace")
        at = end + 1
        if kind == 0x02:
            size = int.from_bytes(body[at : at + 4], "little")
            if size < 1 or at + 4 + size > len(body):
                raise Corrupt("has a broken document")
            fields[name] = body[at + 4 : at + 3 + size].decode("utf-8", "replace")
            at += 4 + size
        elif kind == 0x08:
            fields[name] = body[at]
            at += 1
        elif kind in (0x10, 0x12):
            width = 4 if kind == 0x10 else 8
            fields[name] = int.from_bytes(body[at : at + width], "little", signed=True)
            at += width
        else:
            break
    return fields


def _ends_well(tail: bytes) -> bool:
    tail = tail[-_TAIL:]
    return tail[-4:] == _TERMINATOR and tail.startswith(b"\x08EOF\x00\x01\x12CRC\x00")


ARCHIVE_TAIL = _TAIL


# --- a directory of BSON files ---------------------------------------------------------------------


def is_dump_file(name: str) -> bool:
    plain = name.removesuffix(".gz")
    return plain.endswith((".bson", ".metadata.json")) or plain == "prelude.json"


_FLAWS = {
    Verdict.CUT: "is cut short",
    Verdict.WRONG: "is no BSON file",
    Verdict.UNREAD: "cannot be read: permission denied",
    Verdict.EMPTY: "is empty",
}


class DumpTally:
    """Adds up the files of a mongodump directory, on disk or in a tar file, into one part."""

    def __init__(self) -> None:
        self._size = 0
        self._documents_size = 0
        self._collections: dict[str, set[str]] = {}  # by directory
        self._flaw = ""
        self._verdict = Verdict.PLAUSIBLE
        self.files = 0

    def add(self, path: str, size: int, verdict: Verdict = Verdict.PLAUSIBLE) -> None:
        """`verdict` is that of `check_bson` for a file that holds documents."""
        self.files += 1
        self._size += size
        directory, _, name = path.rpartition("/")
        plain = name.removesuffix(".gz")
        if plain == "prelude.json":
            return
        if plain == "oplog.bson":
            self._documents_size += size
        else:
            collection = plain.removesuffix(".bson").removesuffix(".metadata.json")
            self._collections.setdefault(directory, set()).add(collection)
            if plain.endswith(".bson"):
                # an empty file that is packed is a gzip header and trailer and the name between them
                self._documents_size += size if plain == name else max(0, size - 64)
        if verdict is not Verdict.PLAUSIBLE and self._verdict is not Verdict.WRONG:
            self._verdict = verdict
            self._flaw = f"{name} {_FLAWS[verdict]}"

    def finding(self, *, whole: bool = True) -> Finding | None:
        if not self.files:
            return None
        namespaces = [
            (directory.rpartition("/")[2], name) for directory, names in self._collections.items() for name in names
        ]
        databases = tuple(sorted({database for database, _ in namespaces if database})) if whole else ()
        verdict, note = self._verdict, self._flaw
        if verdict is Verdict.PLAUSIBLE and not namespaces:
            verdict, note = Verdict.EMPTY, "holds no collections"
        elif verdict is Verdict.PLAUSIBLE and not self._documents_size and whole:
            verdict, note = Verdict.EMPTY, f"{counted(len(namespaces), 'collection')}, no documents"
        elif verdict is Verdict.PLAUSIBLE:
            note = ("" if whole else "at least ") + _described(namespaces)
        return Finding("mongo", self._place(), self._size, verdict, note, databases, whole)

    def _place(self) -> str:
        directories = sorted(self._collections)
        if len(directories) == 1:
            return directories[0] or "."
        parents = {directory.rpartition("/")[0] for directory in directories}
        return (parents.pop() or ".") if len(parents) == 1 else "."


def check_bson(head: bytes, size: int, last: bytes = b"\0") -> Verdict:
    """What the first bytes (and the last one) of a file of BSON documents say. An empty collection is a file of
    no bytes. A `head` that holds the whole file is walked document by document."""
    if not size:
        return Verdict.PLAUSIBLE
    if len(head) < min(5, size):
        return Verdict.WRONG
    at = 0
    while at < len(head):
        if len(head) - at < 4:
            break
        length = int.from_bytes(head[at : at + 4], "little")
        if not 5 <= length <= _LARGEST:
            return Verdict.WRONG
        at += length
        if at <= len(head) and head[at - 1]:
            return Verdict.WRONG
    if len(head) >= size:
        return Verdict.PLAUSIBLE if at == size else Verdict.CUT
    return Verdict.PLAUSIBLE if at <= size and last == b"\0" else Verdict.CUT
