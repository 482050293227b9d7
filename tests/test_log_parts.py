"""The pure parts of the logs: levels, filters, the store, rows, the engine's frames, and order in time."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from opsconsole.log_filter import LogFilter, pattern
from opsconsole.log_index import LogIndex
from opsconsole.log_levels import LevelReader, continues, detect, http_status, level_of, of_number
from opsconsole.log_names import labels_of
from opsconsole.log_store import LogStore
from opsconsole.model import Container, LogLevel, LogLine
from opsconsole.sources.log_lines import LONGEST, Dechunker, LineReader, NotALogStream, parse_stamp
from opsconsole.sources.log_order import LineQueue, SeenLines, TimeOrder
from opsconsole.sources.log_wire import AnswerHead
from opsconsole.text import printable
from opsconsole.ui.widgets import log_rows as rows

TRACE, DEBUG, INFO = LogLevel.TRACE, LogLevel.DEBUG, LogLevel.INFO
WARNING, ERROR, FATAL, UNKNOWN = LogLevel.WARNING, LogLevel.ERROR, LogLevel.FATAL, LogLevel.UNKNOWN


def line(text: str, at: int = 0, service: str = "web", **values: object) -> LogLine:
    return LogLine(at, service, service * 3, text, **values)  # type: ignore[arg-type]


# --- levels ----------------------------------------------------------------------------------------

LEVELS = [
    ('{"level":"info","msg":"request done"}', INFO),
    ('{"msg":"the \\"level\\":\\"error\\" was low","severity":"NOTICE"}', INFO),
    ('{"time":1,"level":50,"msg":"pino"}', ERROR),
    ('{"level":10}', TRACE),
    ('{"level":20}', DEBUG),
    ('{"level":60}', FATAL),
    ('{"level": 4, "version": "1.1"}', WARNING),  # GELF
    ('{"lvl":"eror"}', ERROR),
    ('{"log.level":"WARN","message":"ecs"}', WARNING),
    ('{"levelname":"CRITICAL"}', FATAL),
    ('{"t":{"$date":"2023-11-20T21:22:00.000+00:00"},"s":"E",  "c":"NETWORK",  "id":23015}', ERROR),
    ('{"t":{"$date":"2023-11-20T21:22:00.000+00:00"},"s":"D2", "c":"REPL"}', DEBUG),
    ('{"method":"GET","url":"/x","statusCode":502,"level":"info"}', ERROR),
    ('{"level":30,"req":{"method":"GET","url":"/"},"res":{"statusCode":404}}', WARNING),
    ('{"status":"ok","code":500}', UNKNOWN),
    ("1:M 20 Nov 2023 21:22:00.123 # Can't save in background", WARNING),
    ("1:M 20 Nov 2023 21:22:00.123 * Ready to accept connections", INFO),
    ("1:C 20 Nov 2023 21:22:00.123 - DB 0: 1 keys", DEBUG),
    ("2023-11-20T21:22:00.123+0000 E STORAGE  [initandlisten] exception", ERROR),
    ("E1120 21:22:00.123456       1 leader.go:12] lost", ERROR),
    ('10.0.0.1 - frank [20/Nov/2023:21:22:00 +0000] "GET /api?x=[1] HTTP/1.1" 500 43 "-" "curl"', ERROR),
    ('10.0.0.1 - - [20/Nov/2023:21:22:00 +0000] "GET /ERROR HTTP/1.1" 404 43', WARNING),
    ('10.0.0.1 - - [20/Nov/2023:21:22:00 +0000] "GET / HTTP/1.1" 200 43', INFO),
    ("GET /api/items 503 12.345 ms - 33", ERROR),
    ('INFO:     172.18.0.1:5 - "POST /login HTTP/1.1" 500 Internal Server Error', ERROR),
    ("2023/11/20 21:22:00 [error] 29#29: *1 open() failed (2: No such file)", ERROR),
    ("2023/11/20 21:22:00 [notice] 1#1: start worker processes", INFO),
    ("2023-11-20T21:22:00Z INFO  job started", INFO),
    ("2023-11-20 21:22:00,123 - app.db - WARNING - slow query", WARNING),
    ("[ERROR] job 1: timeout after 30 s", ERROR),
    ("[2023-11-20 21:22:00 +0000] [7] [INFO] Booting worker", INFO),
    ("2023-11-20 21:22:00.000  WARN 1 --- [main] o.s.Boot", WARNING),
    ('time="2023-11-20T21:22:00Z" level=warning msg="retrying"', WARNING),
    ("ts=1 lvl=eror msg=x", ERROR),
    ("Error: Cannot find module 'express'", ERROR),
    ("TypeError: x is not a function", ERROR),
    ("Traceback (most recent call last):", ERROR),
    ("java.lang.IllegalStateException: no", ERROR),
    ("panic: runtime error: index out of range", FATAL),
    ("npm ERR! code ELIFECYCLE", ERROR),
    ("2023-11-20 21:22:00.000 UTC [1] LOG:  database system is ready", INFO),
    ("2023-11-20 21:22:00.000 UTC [1] FATAL:  password authentication failed", FATAL),
    ("2023-11-20T21:22:00.000000Z 0 [Warning] [MY-010068] [Server] CA certificate", WARNING),
    ("\x1b[32m[Nest] 1  - \x1b[39m 11/20/2023, 9:22:00 PM \x1b[33m   WARN\x1b[39m x", WARNING),
    ("\x1b[31merror\x1b[39m: it broke", ERROR),
    ("DEBUG cache hit ratio 0.9", DEBUG),
    ("Handled 0 errors, no warnings", UNKNOWN),
    ("Server listening on port 3000", UNKNOWN),
    ("    at handler (/app/index.js:3:7)", UNKNOWN),
    ("", UNKNOWN),
]


@pytest.mark.parametrize(("text", "level"), LEVELS, ids=[text[:40] or "empty" for text, _ in LEVELS])
def test_levels(text: str, level: LogLevel) -> None:
    assert detect(text) is level


def test_numbers_of_pino_and_of_syslog() -> None:
    assert [of_number(number) for number in (10, 20, 30, 40, 50, 60, 99)] == [
        TRACE, DEBUG, INFO, WARNING, ERROR, FATAL, FATAL,
    ]  # fmt: skip
    assert [of_number(number) for number in range(8)] == [FATAL, FATAL, FATAL, ERROR, WARNING, INFO, INFO, DEBUG]


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ('10.0.0.1 - - [20/Nov/2023:21:22:00 +0000] "GET / HTTP/1.1" 301 43', 301),
        ('::1 - - [20/Nov/2023:21:22:00 +0000] "\\x16\\x03" 400 157 "-" "-"', 400),
        ("DELETE /items/7 204 3 ms", 204),
        ('{"method":"GET","path":"/","status":"503"}', 503),
        ('{"request":{"uri":"/"},"status_code":200}', 200),
        ('{"status":500,"service":"db"}', None),  # a health report is no request
        ('{"status":12345,"method":"GET"}', None),
        ("GET / took 500 ms", None),
        ("200 OK", None),
    ],
)
def test_http_status(text: str, status: int | None) -> None:
    assert http_status(text) == status


def test_a_stack_trace_has_the_level_of_its_error() -> None:
    lines = [
        line("[ERROR] it broke"),
        line("    at main (/app/x.js:1)"),
        line("INFO fine", service="api"),  # another container in between
        line("Caused by: java.io.IOException: x"),
        line("\tat a.b.c(D.java:1)"),
        line("... 14 more"),
        line("plain text that starts anew"),
        line("    indented text of it"),
    ]
    expected = [ERROR, ERROR, INFO, ERROR, ERROR, ERROR, UNKNOWN, UNKNOWN]
    reader = LevelReader()
    assert [reader.read(each) for each in lines] == expected
    # The same for one line somewhere in the middle.
    for number, level in enumerate(expected):
        above = reversed(lines[:number])
        assert level_of(lines[number], lambda above=above: next(above, None)) is level  # type: ignore[misc]


def test_a_level_that_came_with_the_line_counts() -> None:
    assert LevelReader().read(line("ERROR", level=DEBUG)) is DEBUG


@given(st.text(max_size=3000))
@settings(deadline=None, max_examples=400)
def test_no_text_is_too_odd_for_the_readers(text: str) -> None:
    assert detect(text) in LogLevel
    status = http_status(text)
    assert status is None or 100 <= status <= 599
    continues(text)
    shown = rows.shown_text(line(text))
    assert not any(ord(letter) < 32 or 0x7F <= ord(letter) < 0xA0 for letter in shown)


@given(st.dictionaries(st.text(max_size=8), st.one_of(st.integers(), st.text(max_size=8), st.none()), max_size=6))
def test_json_of_any_kind_has_a_level_or_none(fields: dict[str, object]) -> None:
    assert detect(json.dumps({**fields, "level": "warn"})) in (WARNING, ERROR)
    detect(json.dumps(fields))


@pytest.mark.parametrize(
    "text",
    [
        "GET /" * 400,
        'GET /a" ' * 250,
        '[20/Nov/2023:21:22:00 +0000] "' * 66,
        '{"method":1,' + '"status":' * 220,
        '{"level"' + " " * 1990,
        "2023-11-20 21:22:00 " + "-" * 1900,
        "[" * 2000,
        "=" * 2000 + "level",
        " level=" * 280,
        "A" * 2000 + "Error",
    ],
)
def test_no_line_takes_long_to_read(text: str) -> None:
    started = time.thread_time()
    for _ in range(10):
        detect(text)
    assert time.thread_time() - started < 0.5  # 50 ms a line would be quadratic; they take less than 2


# --- filter ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "text", "shown"),
    [
        ("error", "an ERROR here", True),  # small letters match both
        ("Error", "an error here", False),  # a capital makes it exact
        (r"\S+Error", "typeerror", False),
        (r"job \d+", "job 17 done", True),
        (r"\Stimeout", "xTIMEOUT", True),  # the class is no capital of the operator's
        ("!health", "GET /health", False),
        ("!health", "GET /api", True),
        ("", "anything", True),
        ("!", "anything", True),
        ("a[b", "see a[b here", True),  # no valid expression: as it stands
        ("(x+)+y", "see (x+)+y", True),
        ("(x+)+y", "xxy", False),
        ("*", "2 * 3", True),
    ],
)
def test_what_is_typed_is_matched(typed: str, text: str, shown: bool) -> None:
    assert pattern(typed).matches(text) is shown


def test_a_pattern_says_how_it_was_understood() -> None:
    assert (
        pattern("a[b").note
        == "no valid expression (unterminated character set at position 1): looked for as plain text"
    )
    assert "repeat inside a repeat" in pattern("(a+)+$").note
    assert pattern("error").note == ""
    assert not pattern("") and pattern("x")
    assert pattern("!x", may_invert=False).matches("a!x")


@given(st.text(max_size=40), st.text(max_size=60))
def test_anything_can_be_typed(typed: str, text: str) -> None:
    pattern(typed).matches(text)


def test_a_filter_keeps_stack_traces_together_and_marks_in_sight() -> None:
    lines = [
        line("INFO start"),
        line("[ERROR] it broke"),
        line("    at main"),
        LogLine(0, "", "", "", skipped=3),
        line("WARN slow"),
        line("    detail"),
    ]
    shows = LogFilter(level=ERROR).reader()
    assert [shows(each) for each in lines] == [False, True, True, True, False, False]
    shows = LogFilter(pattern("!broke"), WARNING).reader()
    assert [shows(each) for each in lines] == [False, False, True, True, True, True]
    assert not LogFilter() and LogFilter(level=DEBUG)


def test_a_filter_sees_what_is_printed() -> None:
    shows = LogFilter(pattern("^red alert$")).reader()
    assert shows(line("\x1b[31mred\x1b[0m alert"))


# --- store and index -------------------------------------------------------------------------------


def numbered(count: int, start: int = 0) -> list[LogLine]:
    return [line(f"line {number}", at=number) for number in range(start, start + count)]


def test_the_store_is_bounded_by_lines_and_by_bytes() -> None:
    store = LogStore(max_lines=10)
    store.append(numbered(25))
    assert (len(store), store.first, store.end, store.forgotten) == (10, 15, 25, 15)
    assert store[15].text == "line 15" and store[24].text == "line 24"
    with pytest.raises(IndexError):
        store[14]
    with pytest.raises(IndexError):
        store[25]
    assert [each.at for each in store.above(17)] == [16, 15]
    assert [each.at for each in store.between(10, 17)] == [15, 16]
    store.clear()
    assert (len(store), store.first, store.end, store.size_bytes) == (0, 25, 25, 0)

    store = LogStore(max_bytes=10_000)
    for _ in range(50):
        store.append([line("x" * 1000)])
        assert store.size_bytes <= 10_000
    assert 5 <= len(store) <= 9
    store.append([line("x" * 20_000)])
    assert len(store) == 1  # the newest is kept, whatever it takes


def check(index: LogIndex, shown: Sequence[int], heights: Sequence[int] | None) -> None:
    """The index against the plain truth: numbers of the shown lines, and their heights."""
    expected = [
        (number, part) for number, high in zip(shown, heights or [1] * len(shown), strict=True) for part in range(high)
    ]
    assert index.lines == len(shown) and index.height == len(expected)
    assert [index.at(row) for row in range(index.height)] == expected
    for position, number in enumerate(shown):
        assert index.number_at(position) == number and index.position_of(number) == position
        assert index.at(index.row_of(number)) == (number, 0)
    for row in (-1, len(expected)):
        with pytest.raises(IndexError):
            index.at(row)


@given(
    st.lists(st.integers(0, 30), max_size=12),
    st.booleans(),
    st.booleans(),
    st.integers(1, 40),
)
@settings(deadline=None)
def test_the_index_is_right_at_every_moment(batches: list[int], filtered: bool, wrapped: bool, keep: int) -> None:
    """Lines arrive in batches and fall out at the top; filtered or not, wrapped or not."""
    store = LogStore(max_lines=keep)
    shown = LogFilter(pattern("[02468]$")) if filtered else None
    index = LogIndex(store, shown, (lambda each: 1 + each.at % 3) if wrapped else None)
    gone, places = 0, dict[int, int]()
    for batch in batches:
        store.append(numbered(batch, store.end))
        assert index.advance(10)
        gone += index.forget()
        numbers = [number for number in range(store.first, store.end) if not filtered or number % 2 == 0]
        check(index, numbers, [1 + number % 3 for number in numbers] if wrapped else None)
        # However many rows left at the top, a line stays on its row when these are counted.
        before, places = places, {number: gone + index.row_of(number) for number in numbers}
        assert all(places[number] == row for number, row in before.items() if number in places)


def test_an_index_is_built_in_slices() -> None:
    store = LogStore()
    store.append(numbered(100_000))
    index = LogIndex(store, LogFilter(pattern("7$")))
    slices, longest = 0, 0.0
    while True:
        started = time.perf_counter()
        complete = index.advance(0.005)
        longest = max(longest, time.perf_counter() - started)
        slices += 1
        if complete:
            break
        store.append(numbered(1, store.end))  # lines go on coming, and some fall out
        index.forget()
    assert slices > 1 and index.lines in range(9_990, 10_010)


# --- rows ------------------------------------------------------------------------------------------


@given(st.text(max_size=300), st.integers(1, 40))
def test_wrapping_loses_nothing_and_fits(text: str, width: int) -> None:
    shown = printable(text)
    parts = rows.parts_of(shown, width)
    assert "".join(parts) == shown
    assert rows.height_of(line(text), width) == len(parts)
    if width >= 2:
        assert all(cell_len(part) <= width for part in parts)


@given(st.text(max_size=200), st.integers(0, 100), st.integers(1, 60))
def test_the_window_never_fails(text: str, left: int, width: int) -> None:
    shown = printable(text)
    start, seen = rows.window(shown, left, width)
    assert shown[start:].startswith(seen)
    if shown.isascii():
        assert (start, seen) == (left, shown[left : left + width])


def test_service_colours_are_stable_and_apart() -> None:
    colours = rows.ServiceColours(8)
    first = {name: colours.number(name) for name in ("web", "api", "mongodb", "redis", "worker")}
    assert len(set(first.values())) == 5
    assert {name: colours.number(name) for name in reversed(first)} == first
    assert all(colours.number(f"s{number}") in range(8) for number in range(50))


def test_names_of_containers() -> None:
    containers = [
        Container(id="1", name="shop-web-1", service="web", number=1),
        Container(id="2", name="shop-web-2", service="web", number=2),
        Container(id="3", name="shop-db-1", service="db", number=1),
        Container(id="4", name="shop-db-1", service="db", number=1),  # recreated: still one
        Container(id="5", name="alone"),
    ]
    assert labels_of(containers) == {"1": "web-1", "2": "web-2", "3": "db", "4": "db", "5": "alone"}


# --- the engine's bytes ----------------------------------------------------------------------------

STAMP = b"2023-11-20T21:22:00.%09dZ "


def frame(payload: bytes, kind: int = 1) -> bytes:
    return struct.pack(">BxxxI", kind, len(payload)) + payload


def fed(data: bytes, step: int) -> list[LogLine]:
    reader = LineReader("web", "c")
    lines: list[LogLine] = []
    for start in range(0, len(data), step):
        lines += reader.feed(data[start : start + step])
    return lines + reader.end()


@given(
    st.lists(st.tuples(st.binary(max_size=200), st.integers(1, 2)), max_size=20),
    st.integers(1, 500),
)
def test_frames_cut_anywhere_give_the_same_lines(payloads: list[tuple[bytes, int]], step: int) -> None:
    payloads = [(text.replace(b"\n", b" ").rstrip(b"\r"), kind) for text, kind in payloads]
    data = b"".join(frame(STAMP % number + text + b"\n", kind) for number, (text, kind) in enumerate(payloads))
    lines = fed(data, step)
    assert [each.text for each in lines] == [text.decode("utf-8", "replace") for text, _ in payloads]
    assert [each.stderr for each in lines] == [kind == 2 for _, kind in payloads]
    assert [each.at % 1_000_000_000 for each in lines] == list(range(len(payloads)))


@given(st.lists(st.binary(max_size=200), max_size=20), st.integers(1, 500))
def test_a_tty_cut_anywhere_gives_the_same_lines(texts: list[bytes], step: int) -> None:
    texts = [text.replace(b"\n", b" ").rstrip(b"\r") for text in texts]
    lines = fed(b"".join(STAMP % number + text + b"\r\n" for number, text in enumerate(texts)), step)
    assert [each.text for each in lines] == [text.decode("utf-8", "replace") for text in texts]
    assert [each.at % 1_000_000_000 for each in lines] == list(range(len(texts)))


@pytest.mark.parametrize("tty", [False, True])
@pytest.mark.parametrize("length", [16_383, 16_384, 16_385, 50_000, LONGEST, LONGEST + 1, 3_000_000])
def test_long_lines_are_joined_and_cut(length: int, tty: bool) -> None:
    pieces = [b"x" * min(16_384, length - start) for start in range(0, length, 16_384)]
    payloads = [STAMP % number + piece for number, piece in enumerate(pieces)]
    payloads[-1] += b"\n"
    data = b"".join(payloads) if tty else b"".join(map(frame, payloads))
    (only,) = fed(data, 70_000)
    assert only.at % 1_000_000_000 == 0  # the time of its beginning
    if length <= LONGEST:
        assert only.text == "x" * length
    else:
        assert only.text == "x" * LONGEST + f" … [cut: this line was {length:,} bytes long]"


def test_two_streams_in_the_middle_of_their_lines() -> None:
    data = frame(STAMP % 1 + b"out ") + frame(STAMP % 2 + b"err ", 2)
    data += frame(STAMP % 3 + b"more\n") + frame(STAMP % 4 + b"end", 2)
    assert [(each.text, each.stderr, each.at % 10) for each in fed(data, 1000)] == [
        ("out more", False, 1),
        ("err end", True, 2),
    ]


def test_odd_times_and_no_times() -> None:
    at, _ = parse_stamp(b"2023-11-20T21:22:00.500000000Z x")
    assert parse_stamp(b"2023-11-20T22:22:00.5+01:00 x") == (at, 28)
    assert parse_stamp(b"no time") == (0, 0)
    assert parse_stamp(b"2023-99-20T21:22:00Z x") == (0, 0)
    lines = fed(frame(STAMP % 7 + b"first\n") + frame(b"Error grabbing logs: unexpected EOF\n"), 1000)
    assert [each.text for each in lines] == ["first", "Error grabbing logs: unexpected EOF"]
    assert lines[1].at == lines[0].at


def test_bytes_of_another_service_are_no_log() -> None:
    with pytest.raises(NotALogStream):
        LineReader("web", "c").feed(b"\x01\x00\x00\x00\xff\xff\xff\xff and so on")
    with pytest.raises(ValueError, match="no HTTP"):
        AnswerHead().feed(b"-ERR unknown command\r\n")
    head = AnswerHead()
    assert head.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encod") == b"" and head.status == 0
    assert head.feed(b"ing: chunked\r\n\r\nbody") == b"body"
    assert (head.status, head.chunked) == (200, True)


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=8), st.integers(1, 20))
def test_chunks_cut_anywhere(chunks: list[bytes], step: int) -> None:
    data = b"".join(b"%x;note=1\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    dechunker = Dechunker()
    got = b"".join(dechunker.feed(data[start : start + step]) for start in range(0, len(data), step))
    assert got == b"".join(chunks) and dechunker.ended


# --- order -----------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 200_000_000), min_size=1, max_size=60), st.integers(0, 60))
def test_reading_on_brings_every_line_once(steps: list[int], cut: int) -> None:
    """Wherever a stream broke off: what is asked again, without what was seen, is exactly the rest."""
    times = [1_000_000_000 + sum(steps[: place + 1]) for place in range(len(steps))]
    lines = [line(str(number), at=at) for number, at in enumerate(times)]
    cut = min(cut, len(lines))
    seen = SeenLines()
    for start in range(0, cut, 7):
        seen.note(lines[start : min(cut, start + 7)])
    again = [each for each in lines if each.at >= seen.since]
    unseen = seen.unseen()
    fresh = unseen.sort_out(again)
    assert fresh == lines[cut:]
    if cut:
        assert unseen.overlaps


def test_a_gap_is_noticed() -> None:
    seen = SeenLines()
    seen.note([line("old", at=5)])
    unseen = seen.unseen()
    assert unseen.sort_out([line("new", at=900_000_000)]) and unseen.overlaps is False


def test_floods_are_remembered_by_their_end_only() -> None:
    seen = SeenLines()
    flood = [line("x", at=1000 + number) for number in range(50_000)]
    seen.note(flood)
    assert seen.since >= 1000 + 48_000
    assert seen.unseen().sort_out([each for each in flood if each.at >= seen.since]) == []


@given(st.lists(st.lists(st.integers(1, 1000), max_size=30), min_size=1, max_size=5), st.data())
def test_the_backlog_of_all_comes_out_sorted(backlogs: list[list[int]], data: st.DataObject) -> None:
    """Whatever the turns in which the containers deliver."""
    left = {key: [line("x", at=at, service=str(key)) for at in sorted(times)] for key, times in enumerate(backlogs)}
    order = TimeOrder()
    for key in left:
        order.catch_up(key)
    out: list[LogLine] = []
    while left:
        key = data.draw(st.sampled_from(sorted(left)))
        amount = data.draw(st.integers(1, 10))
        batch, left[key] = left[key][:amount], left[key][amount:]
        order.add(key, batch, 100.0)
        if not left[key]:
            order.live(key)
            del left[key]
        out += order.release(100.0)
    assert not order.catching_up and order.held == 0
    times = [each.at for each in out]
    assert times == sorted(times) and len(times) == sum(map(len, backlogs))


def test_a_live_line_waits_for_an_older_one() -> None:
    order = TimeOrder(window=0.15)
    order.add("a", [line("second", at=20)], 1.00)
    assert order.release(1.10) == []
    order.add("b", [line("first", at=10)], 1.12)
    assert [each.text for each in order.release(1.16)] == ["first", "second"]
    assert order.release(1.29) == []
    order.add("b", [line("late", at=5)], 1.3)
    assert [each.text for each in order.release(1.5)] == ["late"]  # too late, and still delivered


def test_who_is_ahead_waits() -> None:
    order = TimeOrder()
    order.catch_up("slow")
    order.catch_up("quick")
    order.add("quick", [line("x", at=50)], 1.0)
    assert order.is_ahead("quick") and not order.is_ahead("slow")
    assert order.waits_for() == {"slow"} and order.release(9.0) == []
    order.add("slow", [line("x", at=60)], 1.0)
    assert order.is_ahead("slow") and not order.is_ahead("quick")
    assert [each.at for each in order.release(1.0)] == [50]


def test_the_queue_says_what_it_dropped_and_where() -> None:
    queue = LineQueue(max_lines=5000)
    for start in range(0, 12_000, 500):
        queue.put(numbered(500, start))
    first = queue.take(2001)
    assert first[0].skipped == 7000 and [each.at for each in first[1:]] == list(range(7000, 9000))
    for start in range(12_000, 16_000, 500):
        queue.put(numbered(500, start))
    rest = queue.take()
    # Dropped between what was taken and what is left: the mark stands exactly there.
    assert rest[0].skipped == 2000 and [each.at for each in rest[1:]] == list(range(11_000, 16_000))
    assert queue.take() == [] and queue.taken_count == queue.put_count == 16_000

    queue.put(numbered(6000), drop=False)
    assert queue.full and sum(not each.skipped for each in queue.take()) == 6000


def test_the_queue_is_bounded_in_bytes() -> None:
    queue = LineQueue(max_bytes=1_000_000)
    for _ in range(100):
        queue.put([line("x" * 60_000)])
    taken = queue.take()
    assert sum(len(each.text) for each in taken) <= 1_000_000
    assert taken[0].skipped + len(taken) - 1 == 100
