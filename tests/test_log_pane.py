"""The Logs pane: keys, ranges, services, saving; and the whole of it on real containers."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from opsconsole.model import Container, LogLevel, LogLine, Snapshot
from opsconsole.sources import LogRange
from opsconsole.sources.logs import DockerLogs
from opsconsole.ui.app import ConsoleApp
from opsconsole.ui.panes.log_status import HEAD, RANGES, LogState, status_lines
from opsconsole.ui.panes.logs import LogsPane, frame_seconds
from opsconsole.ui.widgets.log_rows import Times
from opsconsole.ui.widgets.log_save import default_path, write_lines
from opsconsole.ui.wording import ASCII, UNICODE
from tests import ui_sample
from tests.parts.engine import Engine
from tests.test_log_stream import Shell, shell  # noqa: F401  (a fixture)
from tests.ui_sample import Feed, painted, text_of, until

AT = 1_772_421_255_000_000_000  # 2026-03-02 03:14:15 UTC
SIZES = [(60, 20), (80, 24), (120, 40), (200, 60)]


class Written:
    """A log stream that hands out what a test has written into it."""

    def __init__(self, containers: Sequence[Container], wanted: LogRange) -> None:
        self.containers = tuple(containers)
        self.wanted = wanted
        self.waiting: list[LogLine] = []
        self.problem = ""
        self.caught_up = True
        self.closed = False
        self.told: list[tuple[Container, ...]] = []

    def write(self, *texts: str, service: str = "backend", **values: Any) -> None:
        identity = next(each.id for each in self.containers if each.service == service)
        self.waiting += [LogLine(AT, service, identity, text, **values) for text in texts]

    def read(self) -> list[LogLine]:
        lines, self.waiting = self.waiting, []
        return lines

    def retarget(self, containers: Sequence[Container]) -> None:
        self.told.append(tuple(containers))

    def close(self) -> None:
        self.closed = True


class Book:
    """The log source of these tests: remembers every stream that was opened."""

    def __init__(self) -> None:
        self.streams: list[Written] = []

    def open(self, containers: Sequence[Container], wanted: LogRange) -> Written:
        self.streams.append(Written(containers, wanted))
        return self.streams[-1]

    @property
    def last(self) -> Written:
        return self.streams[-1]


@asynccontextmanager
async def logs(size: tuple[int, int] = (120, 40), snapshot: Snapshot | None = None, **options: Any) -> Any:
    """The console with the Logs pane open: app, pilot, pane and the book of streams."""
    feed = Feed(snapshot or ui_sample.well())
    book = Book()
    feed.sources.logs = book
    app = ConsoleApp(feed, theme="dark", clock=lambda: ui_sample.NOW, **options)  # type: ignore[arg-type]
    async with app.run_test(size=size) as pilot:
        pane = await app.go("logs")
        assert isinstance(pane, LogsPane)
        await pilot.pause()
        yield app, pilot, pane, book, feed


async def shown(app: ConsoleApp, text: str) -> None:
    await until(lambda: text in text_of(app), 5)


# --- streams ---------------------------------------------------------------------------------------


async def test_all_services_are_followed_from_their_tails() -> None:
    async with logs() as (app, _, _, book, _):
        assert [each.service for each in book.last.containers] == list(ui_sample.SERVICES)
        assert (book.last.wanted.tail, book.last.wanted.follow) == (1000, True)
        book.last.write("hello from the backend")
        book.last.write("and from redis", service="redis")
        await shown(app, "and from redis")
        assert any("backend  " in row and "hello from the backend" in row for row in painted(app))
        assert "following" in text_of(app) and "2 lines" in text_of(app)


@pytest.mark.parametrize(
    ("key", "tail", "head", "minutes", "follow"),
    [
        ("0", 1000, None, None, True),
        ("1", None, HEAD, None, False),
        ("2", None, None, 1, True),
        ("3", None, None, 5, True),
        ("4", None, None, 15, True),
        ("5", None, None, 60, True),
        ("6", None, None, None, True),
    ],
)
async def test_the_range_keys(key: str, tail: int | None, head: int | None, minutes: int | None, follow: bool) -> None:
    async with logs() as (app, pilot, _pane, book, _):
        book.last.write("before")
        await shown(app, "before")
        first = book.last
        await pilot.press(key)
        assert first.closed and book.last is not first
        wanted = book.last.wanted
        since = ui_sample.NOW - timedelta(minutes=minutes) if minutes else None
        assert (wanted.tail, wanted.head, wanted.since, wanted.follow) == (tail, head, since, follow)
        await until(lambda: "before" not in text_of(app))
        assert RANGES[int(key)].label in text_of(app)


async def test_first_lines_stay_at_the_top() -> None:
    async with logs() as (app, pilot, _pane, book, _):
        await pilot.press("1")
        book.last.write(*(f"line {number}" for number in range(200)))
        await shown(app, "line 0")
        assert "line 199" not in text_of(app) and "new line" not in text_of(app)
        await pilot.press("0")
        book.last.write(*(f"line {number}" for number in range(200)))
        await shown(app, "line 199")


async def test_a_recreated_container_is_told_to_the_stream() -> None:
    async with logs() as (app, pilot, _, book, feed):
        stream = book.last
        feed.publish(ui_sample.well())
        await pilot.pause(0.2)
        assert stream.told == []  # nothing has changed
        before = ui_sample.well()
        recreated = msgspec.structs.replace(before.containers[0], id="f" * 64)
        feed.publish(msgspec.structs.replace(before, containers=(recreated, *before.containers[1:])))
        await until(lambda: stream.told)
        assert stream.told[0][0].id == "f" * 64
        assert not stream.closed
        stream.containers = stream.told[0]
        stream.write("reborn")
        await shown(app, "reborn")
        assert any("backend  " in row and "reborn" in row for row in painted(app))


async def test_without_containers_it_waits_and_then_reads() -> None:
    empty = msgspec.structs.replace(ui_sample.well(), containers=())
    async with logs(snapshot=empty) as (app, pilot, _, book, feed):
        assert book.streams == [] and "0 services" in text_of(app)
        await pilot.press("0", "slash", "x", "enter", "n", "y", "S", "f", "p", "space", "enter", "a")
        assert app.is_running and app.faults == []
        feed.publish(ui_sample.well())
        await until(lambda: book.streams)


async def test_a_hidden_pane_reads_nothing_and_loses_nothing() -> None:
    async with logs() as (app, pilot, _, book, _):
        await pilot.press("c")
        book.last.write("written meanwhile")
        await pilot.pause(0.2)
        assert book.last.waiting and not book.last.closed
        await pilot.press("l")
        await shown(app, "written meanwhile")
        stream = book.last
    assert stream.closed  # with the console


async def test_what_the_stream_says_is_said() -> None:
    async with logs() as (app, _pilot, _, book, _):
        book.last.problem = "no logs: the engine at unix:///x is not there (is Docker running?); trying again"
        await shown(app, "the engine at unix:///x is not there")
        book.last.problem = ""
        await until(lambda: "is not there" not in text_of(app))
        book.last.waiting.append(LogLine(AT, "", "", "", skipped=12_345))
        await shown(app, "── 12,345 lines skipped ──")
        await shown(app, "12,345 skipped")


# --- filter, search, level -------------------------------------------------------------------------


async def test_the_filter_works_while_it_is_typed() -> None:
    async with logs() as (app, pilot, pane, book, _):
        book.last.write("GET /health 200", "GET /api 500", "POST /api 201")
        await shown(app, "POST /api")
        await pilot.press("slash", *"api")
        await until(lambda: "GET /health" not in text_of(app))
        await pilot.press("home", "exclamation_mark")
        await until(lambda: "GET /health" in text_of(app) and "POST /api" not in text_of(app))
        await pilot.press("enter")
        assert pane.view.has_focus
        assert "filter !api" in text_of(app) and "1 of 3 lines" in text_of(app)
        await pilot.press("slash", "x", "escape")  # not wanted: as it was before
        assert pane.view.shown.pattern.typed == "!api"
        await pilot.press("escape")
        await until(lambda: "POST /api" in text_of(app))
        assert "filter !api" not in text_of(app)


async def test_a_filter_that_is_no_expression_says_so() -> None:
    async with logs() as (app, pilot, _, book, _):
        book.last.write("see a[b here")
        await shown(app, "see a[b")
        await pilot.press("slash", *"a[b", "enter")
        await shown(app, "looked for as plain text")
        assert "see a[b here" in text_of(app)


async def test_search_and_its_keys() -> None:
    async with logs(size=(120, 20)) as (app, pilot, pane, book, _):
        book.last.write(*(f"line {number} {'needle' if number % 100 == 5 else ''}" for number in range(500)))
        await shown(app, "line 499")
        await pilot.press("n")  # nothing searched yet: asks what for
        await pilot.press(*"needle", "enter")
        await shown(app, "line 405 needle")
        await shown(app, "paused")
        await pilot.press("N")
        await shown(app, "line 305 needle")
        await pilot.press("n", "n")
        await shown(app, "no more hits below")
        book.last.write("another line")
        await shown(app, "1 new line below")
        await pilot.press("escape")
        assert not pane.view.search
        await pilot.press("escape")
        assert pane.view.following
        await shown(app, "another line")


async def test_the_level_goes_round() -> None:
    async with logs() as (app, pilot, pane, book, _):
        book.last.write("DEBUG one", "INFO two", "WARN three", "ERROR four", "    at five", "plain six")
        await shown(app, "plain six")
        for level, seen in (("debug", 5), ("info", 4), ("warning", 3), ("error", 2), ("", 6)):
            await pilot.press("L")
            await until(lambda: not pane.view.building)
            await pilot.pause()
            assert pane.view.shown.level == level
            text = text_of(app)
            assert sum(word in text for word in ("one", "two", "three", "four", "five", "six")) == seen
        await pilot.press("L", "escape")
        assert pane.view.shown.level is LogLevel.UNKNOWN


# --- layout and services ---------------------------------------------------------------------------


async def test_wrap_times_and_follow() -> None:
    async with logs(size=(80, 24)) as (app, pilot, pane, book, _):
        book.last.write("x" * 100 + "the end")
        await shown(app, "xxx")
        assert "the end" not in text_of(app)
        await pilot.press("w")
        await shown(app, "the end")
        assert "03:14:15.000" in text_of(app) or os.environ.get("TZ")
        await pilot.press("t")
        assert pane.view.look.times is Times.FULL
        await pilot.press("t")
        await until(lambda: ":15.000" not in text_of(app))
        await pilot.press("f")
        await shown(app, "paused")
        await pilot.press("f")
        await shown(app, "following")


async def test_services_are_picked_from_the_list() -> None:
    async with logs() as (app, pilot, pane, book, _):
        await pilot.press("p")
        assert pane.picker.has_focus and pane.picker.current == "backend"
        await pilot.press("j", "space")
        assert [each.service for each in book.last.containers] == ["frontend"]
        await pilot.press("j", "space")
        assert [each.service for each in book.last.containers] == ["frontend", "mongodb"]
        await until(lambda: "[x] mongodb" in text_of(app) and "[ ] backend" in text_of(app))
        assert "2 of 6 services" in text_of(app)
        await pilot.press("k", "space")
        assert [each.service for each in book.last.containers] == ["mongodb"]
        await pilot.press("G", "enter")
        assert [each.service for each in book.last.containers] == ["worker"]
        assert pane.view.has_focus
        await pilot.press("a")
        assert len(book.last.containers) == 6
        pane.follow_services(["redis"])  # as another pane does it
        assert [each.service for each in book.last.containers] == ["redis"]
        await pilot.pause()
        assert "of redis" in text_of(app)
        streams = len(book.streams)
        pane.follow_services(["redis"])
        assert len(book.streams) == streams  # the same: nothing is read again


async def test_a_service_without_a_container_is_waited_for() -> None:
    async with logs() as (app, pilot, pane, book, feed):
        pane.follow_services(["mailer"])
        await pilot.pause()
        assert book.last.closed and "of mailer" in text_of(app)
        before = ui_sample.well()
        feed.publish(msgspec.structs.replace(before, containers=(*before.containers, ui_sample.container("mailer"))))
        await until(lambda: [each.service for each in book.last.containers] == ["mailer"])


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_every_size(size: tuple[int, int]) -> None:
    async with logs(size=size) as (app, pilot, pane, book, _):
        book.last.write(*(f'{{"level":"info","msg":"request {number}","path":"/"}}' for number in range(300)))
        await shown(app, '{"level":"info"')
        rows = painted(app)
        assert sum('{"level":"info"' in row for row in rows) >= size[1] - 7
        assert pane.picker.display == (size[0] >= 100)
        await pilot.press("p")
        await pilot.pause()
        assert pane.picker.display and "backend" in text_of(app)
        await pilot.press("escape")
        await pilot.press("slash", *"request 29", "enter")
        await shown(app, "request 299" if size[0] > 60 else "filter")
        for other in SIZES:
            await pilot.resize_terminal(*other)
            await pilot.pause()
        assert app.faults == [] and pane.view.following


async def test_hostile_names_and_lines() -> None:
    async with logs(size=(200, 60), snapshot=ui_sample.hostile()) as (app, pilot, _pane, book, _):
        for container in book.last.containers:
            book.last.waiting.append(LogLine(AT, container.service, container.id, f"line of {container.service}"))
        await shown(app, "line of [@click=app.quit]x[/]")
        for strip in app.screen._compositor.render_strips():
            assert strip.cell_length == 200
            assert not any(ord(sign) < 32 or 0x7F <= ord(sign) < 0xA0 or sign == "\u202e" for sign in strip.text)
        await pilot.press("p", "enter", "slash", *"[/]", "enter", "y")
        assert app.is_running and app.faults == []


async def test_ascii_mode_paints_ascii() -> None:
    async with logs(ascii_only=True) as (app, pilot, _, book, _):
        book.last.write("hello")
        book.last.waiting.append(LogLine(AT, "", "", "", skipped=7))
        await shown(app, "-- 7 lines skipped --")
        await pilot.press("p")
        for row in painted(app):
            assert row[:-2].isascii(), row


def test_frames_are_fewer_over_ssh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    assert frame_seconds() == pytest.approx(1 / 30)
    monkeypatch.setenv("SSH_CONNECTION", "10.0.0.2 50000 10.0.0.1 22")
    assert frame_seconds() == pytest.approx(1 / 3)


STATE = LogState(
    range="tail",
    follows=True,
    following=False,
    new_lines=52,
    services=frozenset({"web", "api"}),
    of_services=7,
    filter="[/x] \x1b]52;c;x\x07",
    note="",
    level=LogLevel.WARNING,
    search="needle",
    search_note="no more hits below",
    shown=120,
    total=5000,
    forgotten=17,
    skipped=3000,
    left=16,
    times=Times.FULL,
    problem="",
    waiting=True,
    zone="UTC",
)


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_the_status_line(width: int) -> None:
    for glyphs in (UNICODE, ASCII):
        lines = [line.plain for line in status_lines(STATE, width, glyphs)]
        assert all(len(line) <= width for line in lines)
        text = " ".join(" ".join(lines).split())
        for said in (
            "paused, 52 new lines below f follows",
            "tail",
            "of 2 of 7 services",
            "filter [/x] ␛]52;c;x␇",
            "level warning and worse",
            "search needle (no more hits below)",
            "120 of 5,000 lines",
            "3,000 skipped",
            "17 older ones not kept",
            "from column 17",
        ):
            assert said in text
    assert status_lines(STATE, 200, UNICODE)[-1].plain.endswith("times in UTC")


# --- out of here -----------------------------------------------------------------------------------


async def test_saving_asks_where_to_and_overwrites_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with logs() as (app, pilot, _, book, _):
        book.last.write("first \x1b]52;c;x\x07", "second", "third")
        await shown(app, "third")
        await pilot.press("slash", *"ir", "enter", "S")
        await shown(app, "2 lines as they are shown")
        await pilot.press("enter")
        path = tmp_path / "logs-shop-20260302T031415Z.log"
        await until(path.exists)
        await shown(app, "Saved 2 lines to ./logs-shop-20260302T031415Z.log.")
        assert path.read_text().splitlines() == [
            "2026-03-02T03:14:15.000Z backend stdout first ␛]52;c;x␇",
            "2026-03-02T03:14:15.000Z backend stdout third",
        ]
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        await pilot.press("S", "enter")
        await shown(app, "exists and was left as it is")
        assert len(path.read_text().splitlines()) == 2
        await pilot.press("S", "escape")
        assert os.listdir(tmp_path) == [path.name]


def test_where_a_log_is_saved_by_default() -> None:
    at = datetime(2026, 3, 2, 3, 14, 15, tzinfo=UTC)
    assert default_path("shop", at) == "./logs-shop-20260302T031415Z.log"
    assert default_path("../../etc/passwd", at) == "./logs-etc_passwd-20260302T031415Z.log"
    assert default_path("\x1b[/]", at) == "./logs-stack-20260302T031415Z.log"


def test_a_file_that_cannot_be_written_is_said_and_not_left(tmp_path: Path) -> None:
    def lines() -> Iterator[LogLine]:
        yield LogLine(AT, "web", "x", "one")
        raise OSError(28, "No space left on device")

    path = str(tmp_path / "full.log")
    assert write_lines(path, lines()) == (
        0,
        f"{path} could not be written: No space left on device; the unfinished file was removed.",
    )
    assert list(tmp_path.iterdir()) == []
    assert write_lines(str(tmp_path / "none" / "x.log"), []) == (
        0,
        f"{tmp_path}/none/x.log could not be created: No such file or directory.",
    )
    assert write_lines("a\0b", [])[1].startswith("a\0b could not be created")


async def test_copying_says_what_was_copied() -> None:
    async with logs() as (app, pilot, _, book, _):
        await pilot.press("y")
        await shown(app, "nothing on screen to copy")
        book.last.write("first", "second \x1b[2J")
        await shown(app, "second")
        await pilot.press("y")
        await shown(app, "Copied 2 lines")
        assert app.clipboard.splitlines()[1].endswith("second ␛[2J")


# --- on real containers ----------------------------------------------------------------------------


async def test_a_real_stack_is_followed_through_a_recreate(
    engine: Engine,
    shell: Shell,  # noqa: F811
) -> None:
    """A flood, a recreated container and hostile lines, from the engine's socket to the painted screen."""
    chatty = shell.start("web", "exec /usr/local/bin/hostile")
    script = "yes xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx | head -n 50000 | cat -n; echo flood is over; sleep 600"
    flood = shell.start("flood", script)
    shell.wait_for(chatty, "the last line")
    shell.wait_for(flood, "flood is over", 60)
    snapshot = msgspec.structs.replace(ui_sample.well(), containers=(chatty, flood))
    feed = Feed(snapshot)
    feed.sources.logs = DockerLogs()
    app = ConsoleApp(feed, theme="dark", clock=lambda: datetime.now(UTC))  # type: ignore[arg-type]
    async with app.run_test(size=(120, 40)) as pilot:
        pane = await app.go("logs")
        assert isinstance(pane, LogsPane)
        await pilot.press("6")
        await until(lambda: "50,0" in text_of(app) and "reading" not in text_of(app), 60)
        assert len(pane.store) == 50_001 + 13 and not pane.following.skipped
        await pilot.press("slash", *"flood is", "enter")
        await shown(app, "flood is over")
        await pilot.press("escape")
        pane.follow_services(["web"])
        await shown(app, "the last line")
        assert "␛]52;c;b3duZWQ=␇" in text_of(app) and "[cut: this line was" not in text_of(app)
        shell.remove(chatty)
        again = shell.start("web", "echo born again; sleep 600")
        feed.publish(msgspec.structs.replace(snapshot, containers=(again, flood)))
        await shown(app, "born again")
        assert "the last line" in text_of(app) and app.faults == []
        for strip in app.screen._compositor.render_strips():
            assert not any(ord(sign) < 32 or 0x7F <= ord(sign) < 0xA0 for sign in strip.text)
