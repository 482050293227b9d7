"""From the bytes of the engine's log stream to lines. Pure: no socket is touched here.

What the engine sends (with `timestamps=1`):
- a container without a TTY: frames of an 8-byte header (stream, three zeros, length) and a payload;
- a container with a TTY: the payloads alone, one after the other;
- a payload is `2023-11-20T21:22:00.123456789Z text\\n`. A line longer than 16 KB comes as several payloads, of
  which only the last one ends with a newline, and each of which has a time in front.
"""

from __future__ import annotations

import re
from calendar import timegm
from dataclasses import dataclass, field
from struct import Struct
from time import strptime

from opsconsole.model import LogLine

LONGEST = 64 * 1024
"""Bytes of a line that are kept. A longer one is cut and says how long it was."""

_HEADER = Struct(">BxxxI")
_LARGEST_FRAME = 16 * 1024 * 1024
_PIECE = 16 * 1024  # the engine splits lines here
_STAMP = re.compile(
    rb"(?P<second>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(?P<fraction>\d{1,9}))?"
    rb"(?:Z|(?P<sign>[+-])(?P<hour>\d\d):?(?P<minute>\d\d)) "
)


class NotALogStream(Exception):
    """The bytes are neither frames nor lines with times: another service answers on this address."""


def parse_stamp(payload: bytes) -> tuple[int, int]:
    """Nanoseconds since 1970 and where the text begins; (0, 0) when no time stands in front."""
    found = _STAMP.match(payload)
    if not found:
        return 0, 0
    try:
        seconds = timegm(strptime(found["second"].decode(), "%Y-%m-%dT%H:%M:%S"))
    except ValueError:
        return 0, 0
    if found["sign"]:
        offset = int(found["hour"]) * 3600 + int(found["minute"]) * 60
        seconds += -offset if found["sign"] == b"+" else offset
    return seconds * 1_000_000_000 + int((found["fraction"] or b"0").ljust(9, b"0")), found.end()


@dataclass(slots=True)
class _Unfinished:
    """The pieces of a line whose end has not come yet."""

    at: int
    pieces: list[bytes] = field(default_factory=list)
    kept: int = 0
    length: int = 0
    last: bytes = b""

    def add(self, piece: bytes) -> None:
        self.length += len(piece)
        self.last = piece[-1:] or self.last
        if self.kept < LONGEST:
            piece = piece[: LONGEST - self.kept]
            self.pieces.append(piece)
            self.kept += len(piece)


class LineReader:
    """Turns the chunks of one container's stream into its lines."""

    def __init__(self, service: str, container: str) -> None:
        self.service = service
        self.container = container
        self._rest = b""
        self._tty: bool | None = None
        self._unfinished: dict[int, _Unfinished] = {}
        self._last_at = 0
        self._seconds: dict[bytes, int] = {}  # times of one second share their first 19 bytes

    def feed(self, data: bytes) -> list[LogLine]:
        """The lines that these bytes complete."""
        data = self._rest + data if self._rest else data
        if self._tty is None and data:
            # With times in front a TTY's stream begins with a digit, and a frame with its stream's number.
            self._tty = data[0] > 2
        return self._split_raw(data) if self._tty else self._split_frames(data)

    def end(self) -> list[LogLine]:
        """What was still waiting for its end when the stream ended."""
        lines = self._split_raw(self._rest + b"\n") if self._tty and self._rest else []
        for kind, unfinished in self._unfinished.items():
            lines.append(self._joined(kind, unfinished))
        self._rest = b""
        self._unfinished = {}
        return lines

    def _split_frames(self, data: bytes) -> list[LogLine]:
        lines: list[LogLine] = []
        append, unpack, seconds = lines.append, _HEADER.unpack_from, self._seconds
        service, container, unfinished = self.service, self.container, self._unfinished
        start, size = 0, len(data)
        while size - start >= 8:
            kind, length = unpack(data, start)
            begin = start + 8
            end = begin + length
            if kind > 3 or length > _LARGEST_FRAME:
                raise NotALogStream
            if end > size:
                break
            start = end
            # Nearly every frame: a whole line with a time in UTC. Everything else goes the long way.
            second = seconds.get(data[begin : begin + 19])
            if (
                second is None
                or data[end - 1] != 10
                or data[begin + 29 : begin + 31] != b"Z "
                or length > _PIECE + 32
                or kind in unfinished
            ):
                if length:
                    self._read_payload(kind, data[begin:end], lines)
                continue
            text_end = end - 2 if data[end - 2] == 13 else end - 1
            append(
                LogLine(
                    second + int(data[begin + 20 : begin + 29]),
                    service,
                    container,
                    data[begin + 31 : text_end].decode("utf-8", "replace"),
                    kind == 2,
                )
            )
        self._rest = data[start:]
        if lines:
            self._last_at = lines[-1].at
        return lines

    def _read_payload(self, kind: int, payload: bytes, lines: list[LogLine]) -> None:
        at, begin = parse_stamp(payload)
        if payload[29:31] == b"Z " and at:
            if len(self._seconds) > 64:
                self._seconds.clear()
            self._seconds[payload[:19]] = at - int(payload[20:29])
        if not at:
            at = lines[-1].at if lines else self._last_at
        unfinished = self._unfinished.get(kind)
        if unfinished is None:
            unfinished = self._unfinished[kind] = _Unfinished(at)
        whole = payload.endswith(b"\n")
        unfinished.add(payload[begin:-1] if whole else payload[begin:])
        if whole:
            lines.append(self._joined(kind, unfinished))
            del self._unfinished[kind]

    def _split_raw(self, data: bytes) -> list[LogLine]:
        lines: list[LogLine] = []
        *whole, rest = data.split(b"\n")
        for payload in whole:
            # What was laid aside of an endless line belongs in front of its last part.
            self._read_raw(payload)
            unfinished = self._unfinished.pop(1)
            lines.append(self._joined(1, unfinished))
        # Bytes are laid aside in whole pieces, so that the next one begins with its time.
        piece = _PIECE + 31
        while len(rest) >= piece + 31:
            self._read_raw(rest[:piece])
            rest = rest[piece:]
        self._rest = rest
        return lines

    def _read_raw(self, payload: bytes) -> None:
        """One line, or whole pieces of one, each piece with a time in front."""
        while True:
            at, begin = parse_stamp(payload)
            unfinished = self._unfinished.get(1)
            if unfinished is None:
                unfinished = self._unfinished[1] = _Unfinished(at or self._last_at)
            end = begin + _PIECE
            if not at or len(payload) <= end or not _STAMP.match(payload, end):
                unfinished.add(payload[begin:])
                return
            unfinished.add(payload[begin:end])
            payload = payload[end:]

    def _joined(self, kind: int, unfinished: _Unfinished) -> LogLine:
        raw = b"".join(unfinished.pieces)
        text = raw.removesuffix(b"\r").decode("utf-8", "replace")
        if unfinished.length > LONGEST:
            length = unfinished.length - (unfinished.last == b"\r")
            text = f"{text} … [cut: this line was {length:,} bytes long]"
        self._last_at = unfinished.at
        return LogLine(unfinished.at, self.service, self.container, text, kind == 2)


class Dechunker:
    """Takes the chunks of `Transfer-Encoding: chunked` apart, for a proxy that answers in HTTP/1.1."""

    def __init__(self) -> None:
        self._buffer = b""
        self._left = 0  # bytes of the current chunk still to come, its line end included
        self.ended = False

    def feed(self, data: bytes) -> bytes:
        self._buffer += data
        out: list[bytes] = []
        while self._buffer and not self.ended:
            if self._left > 2:
                part = self._buffer[: self._left - 2]
                out.append(part)
                self._left -= len(part)
                self._buffer = self._buffer[len(part) :]
            elif self._left:
                taken = min(self._left, len(self._buffer))
                self._left -= taken
                self._buffer = self._buffer[taken:]
            else:
                size, found, rest = self._buffer.partition(b"\r\n")
                if not found:
                    break
                self._buffer = rest
                try:
                    length = int(size.split(b";")[0], 16)
                except ValueError:
                    raise NotALogStream from None
                self.ended = length == 0
                self._left = length + 2
        return b"".join(out)
