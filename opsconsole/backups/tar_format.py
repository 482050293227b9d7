"""Tar files with everything that a directory tree has: written for GNU tar to unpack, read from anywhere in bounds.

Written: POSIX (pax) headers, sparse files as GNU tar's format 1.0. Read: what GNU tar, busybox and Python write. A
header is never believed: numbers and names have limits, and a path leads nowhere but down.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

import msgspec

from opsconsole.backups.reading import Corrupt, Reader, Window, drain, exactly, up_to
from opsconsole.backups.tarball import BLOCK, checksum_holds, number_in, small_content

_LARGEST = 1 << 50
_MOST_PIECES = 1 << 20
_LONGEST_PATH = 4096
_OCTAL_11 = 8**11
_OCTAL_7 = 8**7
_SPARSE_NAME = b"./GNUSparseFile.0/"
END = bytes(2 * BLOCK)
"""What a tar file ends with."""


class Kind(StrEnum):
    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    HARDLINK = "hardlink"
    FIFO = "fifo"


_CODES = {Kind.FILE: b"0", Kind.HARDLINK: b"1", Kind.SYMLINK: b"2", Kind.DIRECTORY: b"5", Kind.FIFO: b"6"}
_KINDS = {code: kind for kind, code in _CODES.items()} | {b"\0": Kind.FILE, b"7": Kind.FILE}

Piece = tuple[int, int]
"""Where in a sparse file there is data: offset and length."""


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One member. Paths are bytes, as the file system has them; b"" is the directory itself."""

    path: bytes
    kind: Kind
    size: int = 0  # of the file, holes included
    mode: int = 0o600
    uid: int = 0
    gid: int = 0
    mtime_ns: int = 0
    link: bytes = b""  # where a symbolic link points, or the path of the member that a hard link is another name of
    pieces: tuple[Piece, ...] | None = None  # of a sparse file

    @property
    def stored(self) -> int:
        """Bytes of content that lie in the tar file."""
        if self.kind is not Kind.FILE:
            return 0
        return self.size if self.pieces is None else sum(length for _, length in self.pieces)


# --- writing ---------------------------------------------------------------------------------------


def header(item: Item) -> bytes:
    """What comes before the content of a member, which the caller writes (`Item.stored` bytes) and pads."""
    records: list[tuple[bytes, bytes]] = []
    name = (item.path or b".") + (b"/" if item.kind is Kind.DIRECTORY else b"")
    table = b""
    if item.pieces is not None:
        table = _sparse_table(item.pieces, item.size)
        records += [
            (b"GNU.sparse.major", b"1"),
            (b"GNU.sparse.minor", b"0"),
            (b"GNU.sparse.name", name),
            (b"GNU.sparse.realsize", b"%d" % item.size),
        ]
        name = _SPARSE_NAME + name
    size = len(table) + item.stored
    if len(name) > 100 or not name.isascii():
        records.append((b"path", name))
    if len(item.link) > 100 or not item.link.isascii():
        records.append((b"linkpath", item.link))
    if size >= _OCTAL_11:
        records.append((b"size", b"%d" % size))
    for field, number in ((b"uid", item.uid), (b"gid", item.gid)):
        if number >= _OCTAL_7:
            records.append((field, b"%d" % number))
    seconds, nanoseconds = divmod(item.mtime_ns, 10**9)
    if nanoseconds or not 0 <= seconds < _OCTAL_11:
        records.append((b"mtime", _decimal(item.mtime_ns)))
    if any(not _is_text(value) for _, value in records):
        records.insert(0, (b"hdrcharset", b"BINARY"))
    data = b"".join(_record(key, value) for key, value in records)
    before = _block(b"PaxHeaders/x", b"x", len(data), 0o600, 0, 0, 0, b"") + padded(data) if records else b""
    numbers = (item.mode & 0o7777, item.uid % _OCTAL_7, item.gid % _OCTAL_7, max(0, seconds) % _OCTAL_11)
    return before + _block(name, _CODES[item.kind], size % _OCTAL_11, *numbers, item.link) + table


def padded(data: bytes) -> bytes:
    """Filled up to a whole block."""
    return data + bytes(-len(data) % BLOCK)


def _block(name: bytes, code: bytes, size: int, mode: int, uid: int, gid: int, seconds: int, link: bytes) -> bytes:
    start = b"%b%07o\0%07o\0%07o\0%011o\0%011o\0" % (name[:100].ljust(100, b"\0"), mode, uid, gid, size, seconds)
    rest = code + link[:100].ljust(100, b"\0") + b"ustar\x0000"
    text = (start + b" " * 8 + rest).ljust(BLOCK, b"\0")
    return text[:148] + b"%06o\0 " % sum(text) + text[156:]


def _record(key: bytes, value: bytes) -> bytes:
    """`<length> <key>=<value>\\n`, where the length counts itself."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %b=%b\n" % (length, key, value)


def _sparse_table(pieces: tuple[Piece, ...], size: int) -> bytes:
    """GNU tar makes a hole at the end only when an empty piece stands there."""
    if not pieces or sum(pieces[-1]) < size:
        pieces = (*pieces, (size, 0))
    numbers = [len(pieces), *(number for piece in pieces for number in piece)]
    return padded(b"".join(b"%d\n" % number for number in numbers))


def _decimal(nanoseconds: int) -> bytes:
    sign = b"-" if nanoseconds < 0 else b""
    return sign + b"%d.%09d" % divmod(abs(nanoseconds), 10**9)


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


# --- reading ---------------------------------------------------------------------------------------


def items(reader: Reader) -> Iterator[tuple[Item, Reader]]:
    """Each member with its content, readable until the next one is asked for. Raises Corrupt."""
    extended: dict[bytes, bytes] = {}
    while True:
        block = up_to(reader, BLOCK)
        if len(block) < BLOCK:
            raise Corrupt("is cut short: the end of the tar file is missing", cut=True)
        if not any(block):
            drain(reader)
            return
        if not checksum_holds(block):
            raise Corrupt("has a broken tar header")
        code = block[156:157]
        if code in (b"x", b"L", b"K", b"g"):
            data = small_content(reader, number_in(block[124:136]))
            if code == b"x":
                extended |= _records(data)
            elif code != b"g":  # GNU tar's long names; what holds for all members is of no use here
                extended[b"path" if code == b"L" else b"linkpath"] = data.rstrip(b"\0")
            continue
        item, size, content = _item(block, extended, reader)
        yield item, content
        drain(content)
        exactly(reader, -size % BLOCK)
        extended = {}


def _item(block: bytes, extended: dict[bytes, bytes], reader: Reader) -> tuple[Item, int, Window]:
    code = block[156:157]
    kind = _KINDS.get(code)
    path = extended.get(b"path", _name(block))
    if kind is None:
        raise Corrupt(f"holds {_shown(path)}, which is a device or of an unknown kind")
    if kind is Kind.FILE and path.endswith(b"/"):
        kind = Kind.DIRECTORY  # as tars before 1988 say it
    size = _whole(extended[b"size"]) if b"size" in extended else number_in(block[124:136])
    if kind is not Kind.FILE:
        size = 0
    content = Window(reader, size)
    real, pieces = size, None
    if extended.get(b"GNU.sparse.major") == b"1" and kind is Kind.FILE:
        path = extended.get(b"GNU.sparse.name", path)
        real = _whole(extended.get(b"GNU.sparse.realsize", b""))
        pieces = _read_sparse_table(content, real)
        if sum(length for _, length in pieces) != content.left:
            raise Corrupt(f"has a broken sparse file {_shown(path)}")
    elif any(key.startswith(b"GNU.sparse.") for key in extended):
        raise Corrupt(f"holds {_shown(path)} as a sparse file in an old form: unpack it with GNU tar")
    item = Item(
        path=clean(path),
        kind=kind,
        size=real,
        mode=number_in(block[100:108]) & 0o7777,
        uid=_whole(extended[b"uid"]) if b"uid" in extended else number_in(block[108:116]),
        gid=_whole(extended[b"gid"]) if b"gid" in extended else number_in(block[116:124]),
        mtime_ns=_nanoseconds(extended[b"mtime"]) if b"mtime" in extended else _seconds(block[136:148]) * 10**9,
        link=_link(extended.get(b"linkpath", _text(block[157:257])), kind),
        pieces=pieces,
    )
    return item, size, content


def clean(path: bytes) -> bytes:
    """A path that leads down, without `.` and doubled slashes. Raises Corrupt for any other."""
    steps = [step for step in path.split(b"/") if step not in (b"", b".")]
    if path.startswith(b"/") or b".." in steps or b"\0" in path or len(path) > _LONGEST_PATH:
        raise Corrupt(f"holds {_shown(path)}, a path that leads out of its directory")
    return b"/".join(steps)


def _link(target: bytes, kind: Kind) -> bytes:
    if kind is Kind.HARDLINK:
        return clean(target)
    if kind is not Kind.SYMLINK:
        return b""
    if not target or b"\0" in target or len(target) > _LONGEST_PATH:
        raise Corrupt("has a broken symbolic link")
    return target


def _name(block: bytes) -> bytes:
    prefix = _text(block[345:500]) if block[257:263] == b"ustar\0" else b""
    name = _text(block[:100])
    return prefix + b"/" + name if prefix else name


def _text(field: bytes) -> bytes:
    return field.split(b"\0", 1)[0]


def _records(data: bytes) -> dict[bytes, bytes]:
    found = {}
    while data:
        length_text, space, _ = data.partition(b" ")
        if not space or not length_text.isdigit() or len(length_text) > 6:
            raise Corrupt("has a broken tar header")
        length = int(length_text)
        if not len(length_text) + 1 < length <= len(data):
            raise Corrupt("has a broken tar header")
        key, _, value = data[len(length_text) + 1 : length - 1].partition(b"=")
        found[key] = value
        data = data[length:]
    return found


def _whole(text: bytes) -> int:
    if not text.isdigit() or len(text) > 16 or int(text) > _LARGEST:
        raise Corrupt("has a broken tar header")
    return int(text)


def _seconds(field: bytes) -> int:
    """GNU tar writes a time before 1970 as a negative number in base 256."""
    return int.from_bytes(field, "big", signed=True) if field[0] == 0xFF else number_in(field)


def _nanoseconds(text: bytes) -> int:
    sign = -1 if text.startswith(b"-") else 1
    whole, _, rest = text.lstrip(b"-").partition(b".")
    if not whole.isdigit() or len(whole) > 12 or (rest and not rest.isdigit()):
        raise Corrupt("has a broken tar header")
    return sign * (int(whole) * 10**9 + int(rest[:9].ljust(9, b"0")))


def _read_sparse_table(content: Window, real: int) -> tuple[Piece, ...]:
    read = 0

    def numbers() -> Iterator[int]:
        nonlocal read
        held = b""
        while True:
            line, feed, rest = held.partition(b"\n")
            if feed:
                held = rest
                yield _whole(line)
            else:
                held += exactly(content, BLOCK)
                read += BLOCK

    each = numbers()
    count = next(each)
    if count > _MOST_PIECES:
        raise Corrupt("has a broken sparse file")
    pieces = []
    end = 0
    for _ in range(count):
        offset, length = next(each), next(each)
        if offset < end or offset + length > real:
            raise Corrupt("has a broken sparse file")
        end = offset + length
        if length:
            pieces.append((offset, length))
    return tuple(pieces)


def _shown(path: bytes) -> str:
    return ascii(path[:120].decode("utf-8", "replace"))
