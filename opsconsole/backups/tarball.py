"""The member list of a tar stream, read forwards once and never written anywhere.

Own code in place of the standard library's: that one reads headers of any length into memory, and the
releases before 3.11.10 take quadratic time on hostile ones. Here a header is 512 bytes, a long name is
bounded, and links are only counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from opsconsole.backups.reading import Corrupt, Reader, Window, drain, exactly, up_to

BLOCK = 512
_MEMBERS = 10_000
_LONG_NAME = 1 << 16
_LARGEST = 1 << 50


@dataclass(slots=True)
class Member:
    path: str  # as an operator would say it: no leading "./" or "/", no ".." ever used for anything
    size: int
    is_file: bool
    content: Window


class TooManyMembers(Exception):
    """The list is longer than anyone needs; what came before it is known."""


def looks_like_tar(head: bytes, *, empty: bool = True) -> bool:
    """Whether a block is a tar header: its checksum is right. With `empty` a block of zeros is the end of a tar
    file that holds nothing."""
    return len(head) >= BLOCK and (checksum_holds(head[:BLOCK]) or (empty and not any(head[:BLOCK])))


def members(reader: Reader) -> Iterator[Member]:
    """Each member once, with its content readable until the next one is asked for.

    Raises Corrupt, LimitReached or TooManyMembers.
    """
    name, size_override = "", None
    for _ in range(_MEMBERS):
        header = up_to(reader, BLOCK)
        if not header or (len(header) == BLOCK and not any(header)):
            if not header:
                raise Corrupt("is cut short: the end of the tar file is missing", cut=True)
            drain(reader)
            return
        if len(header) < BLOCK:
            raise Corrupt("is cut short", cut=True)
        if not checksum_holds(header):
            raise Corrupt("has a broken tar header")
        kind = header[156:157]
        size = number_in(header[124:136])
        if kind in (b"L", b"x", b"g", b"K"):
            data = small_content(reader, size)
            if kind == b"L":
                name = _text(data)
            elif kind == b"x":
                name, size_override = _pax(data, name)
            continue
        content = Window(reader, size if size_override is None else size_override)
        size = size if size_override is None else size_override
        is_file = kind in (b"0", b"\0", b"7", b"S")
        if not is_file:
            content, size = Window(reader, 0), 0
        yield Member(_plain(name or _header_name(header)), size, is_file, content)
        drain(content)
        exactly(reader, -size % BLOCK)
        name, size_override = "", None
    raise TooManyMembers


def small_content(reader: Reader, size: int) -> bytes:
    """The content of a header that tells of the next member. Raises Corrupt."""
    if size > _LONG_NAME:
        raise Corrupt("has a broken tar header")
    data = exactly(reader, size)
    exactly(reader, -size % BLOCK)
    return data


def checksum_holds(header: bytes) -> bool:
    """Whether a block is a tar header."""
    try:
        told = number_in(header[148:156])
    except Corrupt:
        return False
    return told == sum(header[:148]) + sum(header[156:BLOCK]) + 8 * 32


def number_in(field: bytes) -> int:
    """The number in a field of a header. Raises Corrupt."""
    if field[0] in (0x80, 0xFF):  # base 256, for sizes from 8 GiB on
        number = int.from_bytes(field[1:], "big")
        if field[0] == 0xFF or number > _LARGEST:
            raise Corrupt("has a broken tar header")
        return number
    digits = field.split(b"\0", 1)[0].strip()
    if not digits:
        return 0
    if not digits.isdigit():
        raise Corrupt("has a broken tar header")
    try:
        return int(digits, 8)
    except ValueError:
        raise Corrupt("has a broken tar header") from None


def _header_name(header: bytes) -> str:
    name = _text(header[:100])
    prefix = _text(header[345:500]) if header[257:262] == b"ustar" else ""
    return f"{prefix}/{name}" if prefix and header[257:263] == b"ustar\0" else name


def _pax(data: bytes, name: str) -> tuple[str, int | None]:
    """The path and size records of a pax header: `<length> <key>=<value>\\n`, over and over."""
    size = None
    while data:
        length_text, space, _ = data.partition(b" ")
        if not space or not length_text.isdigit() or len(length_text) > 6:
            raise Corrupt("has a broken tar header")
        length = int(length_text)
        if not len(length_text) + 1 < length <= len(data):
            raise Corrupt("has a broken tar header")
        key, _, value = data[len(length_text) + 1 : length - 1].partition(b"=")
        if key == b"path":
            name = _text(value)
        elif key == b"size" and value.isdigit() and len(value) <= 15:
            size = int(value)
        data = data[length:]
    return name, size


def _text(data: bytes) -> str:
    return data.split(b"\0", 1)[0].decode("utf-8", "replace")


def _plain(path: str) -> str:
    return "/".join(step for step in path.split("/") if step not in ("", "."))
