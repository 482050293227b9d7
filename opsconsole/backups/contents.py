"""What lies in one file of a backup: told by its bytes, with its name only saying what it should be."""

from __future__ import annotations

import re
from dataclasses import replace

from opsconsole.backups import tarball
from opsconsole.backups.encryption import MAGIC, SUFFIX
from opsconsole.backups.findings import Contents, Finding, Verdict, counted
from opsconsole.backups.moments import moment_in
from opsconsole.backups.mongo_dump import (
    ARCHIVE_MAGIC,
    ARCHIVE_TAIL,
    DumpTally,
    check_bson,
    is_dump_file,
    read_archive,
)
from opsconsole.backups.packed_files import GZIP_MAGIC, ZSTD_MAGIC, ZstdReader
from opsconsole.backups.reading import (
    Corrupt,
    FileReader,
    GzipReader,
    LimitReached,
    Meter,
    Peeked,
    Reader,
    drain,
    up_to,
)
from opsconsole.backups.redis_dump import RDB_MAGIC, RDB_TAIL, read_rdb

_DEEPEST = 4  # a packed tar file in a packed tar file; anything deeper is somebody's joke
_BSON_HEAD = 1 << 16

_PACKED_NAME = r"(?:\.(?:archive|dump|tar|tgz|rdb|aof|bson))?(?:\.(?:gz|zst))?$"
_ENVIRONMENT = re.compile(r"^(?:\.?env(?:[._-].*)?|.*\.env(?:\..*)?)$", re.IGNORECASE)
_MANIFEST = re.compile(r"^(?:manifest\.(?:txt|json)|backup_metadata\.txt)$", re.IGNORECASE)
_REDIS = re.compile(r"\.(?:rdb|aof)(?:\.(?:gz|zst))?$|^redis[^.]*" + _PACKED_NAME, re.IGNORECASE)
_MONGO = re.compile(r"\.archive(?:\.(?:gz|zst))?$|mongo[^.]*" + _PACKED_NAME, re.IGNORECASE)
_FILES = re.compile(r"^(?:uploads?|files|media|assets|static|public|storage)(?:[^a-z]|$)", re.IGNORECASE)
_PACKED = re.compile(r"\.(?:tar|tgz|gz|zst)$", re.IGNORECASE)


def is_litter(name: str) -> bool:
    """What an operating system leaves beside real files."""
    return name.startswith("._") or name in (".DS_Store", "Thumbs.db", "__MACOSX")


def kind_by_name(name: str) -> str:
    """Which kind of part a file name promises, encrypted or not; "" for one that promises nothing."""
    name = name.removesuffix(SUFFIX)
    if _FILES.match(name):
        return "files"
    if _MANIFEST.match(name):
        return "manifest"
    if _ENVIRONMENT.match(name):
        return "config"
    if _REDIS.search(name):
        return "redis"
    if is_dump_file(name) or _MONGO.search(name):
        return "mongo"
    return "files" if _PACKED.search(name) else ""


def read_file(path: str, name: str, allowance: int) -> tuple[Contents, int]:
    """The contents of one file and how many bytes were read for it, at most about `allowance`.

    Raises OSError when the file system does not let us.
    """
    meter = Meter(allowance)
    with FileReader(path, meter) as reader:
        if is_dump_file(name):
            return Contents([_bson_file(reader, name)]), meter.spent
        contents = read_stream(reader, name, reader.size, meter, reader)
    return contents, meter.spent


def read_stream(
    reader: Reader, name: str, size: int, meter: Meter, file: FileReader | None = None, depth: int = 0
) -> Contents:
    """Look into a stream of bytes called `name`. `file` is given when it is a whole file whose end can be seen."""
    promised = kind_by_name(name)
    try:
        peeked = Peeked(reader, tarball.BLOCK)
    except LimitReached:
        return Contents([Finding(promised, "", size, whole=False)], whole=False)
    except Corrupt as fault:
        return _faulty(promised, size, fault)
    head = peeked.head
    if not head:
        return Contents([Finding(promised, "", size, Verdict.EMPTY, "is empty (0 bytes)")])
    if name.endswith(SUFFIX):
        return Contents([_encrypted(promised, size, head)])
    if head.startswith((GZIP_MAGIC, ZSTD_MAGIC)) and depth < _DEEPEST:
        return _unpacked(peeked, name, size, meter, depth)
    if head.startswith(ARCHIVE_MAGIC):
        return _single(read_archive(peeked, "", size, file.tail(ARCHIVE_TAIL) if file else b""))
    if head.startswith(RDB_MAGIC):
        return _single(read_rdb(peeked, "", size, file.tail(RDB_TAIL) if file else b""))
    if tarball.looks_like_tar(head, empty=promised in ("files", "")):
        # what people uploaded may be called anything: a picture named mongo.gz is no database
        return _tar(peeked, meter, depth, only_files=bool(_FILES.match(name)))
    return _unrecognised(name, promised, size, head)


def _single(finding: Finding) -> Contents:
    return Contents([finding], whole=finding.whole)


def _faulty(kind: str, size: int, fault: Corrupt) -> Contents:
    verdict = Verdict.CUT if fault.cut else Verdict.WRONG
    return Contents([Finding(kind, "", size, verdict, fault.problem)])


def _encrypted(kind: str, size: int, head: bytes) -> Finding:
    """Nobody can look inside without the key: that is no damage."""
    if head.startswith(MAGIC):
        return Finding(kind, "", size, note="encrypted", whole=False)
    cut = MAGIC.startswith(head)
    return Finding(
        kind,
        "",
        size,
        Verdict.CUT if cut else Verdict.WRONG,
        "is cut short" if cut else "is not what age writes",
        whole=False,
    )


def _unrecognised(name: str, promised: str, size: int, head: bytes) -> Contents:
    if promised in ("config", "manifest"):
        return Contents([Finding(promised, "", size)])
    if promised == "redis" and name.endswith(".aof"):
        return Contents([Finding("redis", "", size, note="append-only file")])
    if promised:
        what = {"mongo": "a mongodump archive", "redis": "a Redis dump"}.get(promised, "an archive")
        short = len(head) < tarball.BLOCK and (ARCHIVE_MAGIC.startswith(head) or RDB_MAGIC.startswith(head))
        verdict = Verdict.CUT if short else Verdict.WRONG
        return Contents([Finding(promised, "", size, verdict, "is cut short" if short else f"is not {what}")])
    return Contents(unknown=True)


def _unpacked(source: Peeked, name: str, size: int, meter: Meter, depth: int) -> Contents:
    inner = ZstdReader(source, meter) if source.head.startswith(ZSTD_MAGIC) else GzipReader(source, meter)
    plain = re.sub(r"\.tgz$", ".tar", re.sub(r"\.(?:gz|zst)$", "", name, flags=re.IGNORECASE), flags=re.IGNORECASE)
    contents = read_stream(inner, plain, size, meter, depth=depth + 1)
    try:
        drain(inner)
    except LimitReached:
        contents.whole = False
    except Corrupt as fault:
        if all(found.ok or found.verdict is Verdict.EMPTY for found in contents.findings):
            contents.verdict = Verdict.CUT if fault.cut else Verdict.WRONG
            contents.flaw = fault.problem
    return contents


# --- tar files -------------------------------------------------------------------------------------


class _TarReading:
    """Sorts the members of one tar file into parts."""

    def __init__(self, meter: Meter, depth: int, only_files: bool) -> None:
        self.contents = Contents(tar=True)
        self.dump = DumpTally()
        self._meter = meter
        self._depth = depth
        self._only_files = only_files
        self._below: dict[str, list[int]] = {}  # directory: number of files, bytes

    def add(self, member: tarball.Member) -> None:
        directory, _, name = member.path.rpartition("/")
        if not member.is_file or is_litter(name):
            return
        kind = "" if self._only_files or directory.count("/") > 1 or _FILES.search(directory) else kind_by_name(name)
        if not self._only_files and is_dump_file(name):
            plain = name.endswith(".bson")
            head = up_to(member.content, _BSON_HEAD) if plain else b""
            self.dump.add(member.path, member.size, check_bson(head, member.size) if plain else Verdict.PLAUSIBLE)
        elif kind:
            self._look_inside(member, directory, name)
        else:
            self._count(member, directory)

    def _count(self, member: tarball.Member, directory: str) -> None:
        self.contents.members += 1
        count = self._below.setdefault(directory, [0, 0])
        count[0] += 1
        count[1] += member.size

    def _look_inside(self, member: tarball.Member, directory: str, name: str) -> None:
        inner = read_stream(member.content, name, member.size, self._meter, depth=self._depth + 1)
        if inner.unknown and not inner.flaw:
            self._count(member, directory)
            return
        if not inner.findings:
            inner.findings = [files_part(inner, "", member.size)]
        elif inner.flaw:
            inner.findings = [replace(found, verdict=inner.verdict, note=inner.flaw) for found in inner.findings]
        self.contents.findings += inner.under(member.path)
        if self._meter.left < 0:
            raise LimitReached

    def finished(self) -> Contents:
        contents = self.contents
        dump = self.dump.finding(whole=contents.whole)
        if dump is not None:
            contents.findings.append(dump)
        if contents.findings and not self._only_files:
            # loose files beside the parts (a log, a note) are not the stack's data; directories of files are
            below = {path: count for path, count in self._below.items() if path and not moment_in(path)}
            if below:
                number, size = (sum(count[index] for count in below.values()) for index in (0, 1))
                note = ("" if contents.whole else "at least ") + counted(number, "file")
                contents.findings.append(Finding("files", min(below), size, note=note, whole=contents.whole))
        return contents


def _tar(reader: Reader, meter: Meter, depth: int, *, only_files: bool) -> Contents:
    reading = _TarReading(meter, depth, only_files)
    contents = reading.contents
    try:
        for member in tarball.members(reader):
            reading.add(member)
    except (LimitReached, tarball.TooManyMembers):
        contents.whole = False
    except Corrupt as fault:
        contents.verdict = Verdict.CUT if fault.cut else Verdict.WRONG
        contents.flaw = fault.problem
    return reading.finished()


def files_part(contents: Contents, path: str, size: int) -> Finding:
    """A tar file that holds no database is a part of kind files: how many of them there are."""
    if contents.flaw:
        return Finding("files", path, size, contents.verdict, contents.flaw, whole=contents.whole)
    if not contents.members and contents.whole:
        return Finding("files", path, size, Verdict.EMPTY, "holds no files")
    note = ("" if contents.whole else "at least ") + counted(contents.members, "file")
    return Finding("files", path, size, note=note, whole=contents.whole)


# --- one file of a mongodump directory -------------------------------------------------------------


def _bson_file(reader: FileReader, name: str) -> Finding:
    """A file of a mongodump directory by itself: whether its documents can be what they are."""
    found = Finding("mongo", "", reader.size)
    if name.endswith(".gz"):
        return replace(found, verdict=_packed_bson(reader, name))
    if not name.endswith(".bson"):
        return replace(found, verdict=Verdict.PLAUSIBLE if reader.size else Verdict.WRONG)
    head = up_to(reader, _BSON_HEAD)
    if head.startswith(GZIP_MAGIC) and name == "oplog.bson":
        return found  # mongodump --gzip packs the oplog without saying so in its name
    return replace(found, verdict=check_bson(head, reader.size, reader.tail(1) or b"\0"))


def _packed_bson(reader: FileReader, name: str) -> Verdict:
    unpacked = GzipReader(reader, Meter(_BSON_HEAD * 2))
    try:
        head = up_to(unpacked, _BSON_HEAD)
        if name.endswith(".bson.gz"):
            whole = len(head) < _BSON_HEAD
            return check_bson(head, len(head) if whole else 1 << 62)
    except LimitReached:
        return Verdict.PLAUSIBLE
    except Corrupt as fault:
        return Verdict.CUT if fault.cut else Verdict.WRONG
    return Verdict.PLAUSIBLE
