"""Reading the logs of a real, troubled stack in a real terminal: services, filters, search, ranges, hostile lines."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator

import pytest

from tests.console import Console
from tests.parts.engine import Engine
from tests.parts.stacks import Stack, running_stack

# What the framework itself sends: colours, the cursor, modes, and nothing that a log line could want.
OWN_SEQUENCE = re.compile(
    r"\x1b(?:\[[0-9;]*[mH]|\[\?[0-9;]+[hl]|\[\?\d+\$p|\[>[0-9;]*u|\[<u|\[[0-9]* q|\]22;[a-z-]*\x07)"
)


@pytest.fixture(scope="module")
def stack(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A troubled stack of this file's own: its services are recreated."""
    with running_stack("troubled", engine, tmp_path_factory.mktemp("logs"), seed=False) as own:
        yield own


@pytest.fixture(scope="module")
def kept() -> Iterator[list[Console]]:
    """The console that the next test goes on with."""
    found: list[Console] = []
    yield found
    for one in found:
        one.close()


@pytest.fixture
def console(stack: Stack, kept: list[Console]) -> Iterator[Console]:
    """A console on the logs of all services, nothing filtered, at the end."""
    if not kept:
        kept.append(Console(cwd=stack.directory))
        kept[0].started(stack.project)
    one = kept[0]
    one.go("logs")
    one.type("a0")
    one.wait_for("following  tail  of 8 services", re.compile(r"chatty +[IWED]"))
    yield one
    if not one.rests() or re.search("filter |search |level ", one.lines()[-2]):
        kept.pop().close()


def log_lines(console: Console) -> list[str]:
    """The lines of the log on the screen, without the list of services beside them."""
    return [line.split("│", 1)[1] for line in console.lines()[2:-2] if "│" in line]


def only(console: Console, service: str) -> None:
    """Follow one service, by the list of containers."""
    console.go("containers")
    console.put_cursor_on(f" {service} ")
    console.type("L")
    console.wait_for(console.shows("logs"), f"of {service}")


def test_new_lines_of_several_services_come_by_themselves(console: Console) -> None:
    last = log_lines(console)[-1]
    console.wait_for(lambda lines: last not in log_lines(console))
    console.press("p", shows="Space with/without")
    console.type("g", *"jj", "Space", "j", "Space")  # crashing and failed
    console.wait_for("2 of 8 services")
    console.esc("Space with/without")
    console.wait_for("Cannot find module express", "fatal: no disk space")
    assert all(re.search("crashing|failed", line) for line in log_lines(console) if line.strip())
    console.press("a", shows="tail  of 8 services")


def test_filter_inverse_and_level(console: Console) -> None:
    console.type("/payment|slow\r")
    console.wait_for("filter payment|slow")
    console.wait_for(lambda lines: log_lines(console) and all(re.search("payment|slow", e) for e in log_lines(console)))
    console.esc("filter payment|slow")
    console.type("/!chatty|payment|GET|job\r")
    console.wait_for("filter !chatty|payment|GET|job")
    console.wait_for(lambda lines: not re.search("payment|GET|job", "\n".join(log_lines(console))))
    console.esc("filter !chatty")
    for shows, levels in (
        ("level debug and worse", "DIWE"),
        ("level info and worse", "IWE"),
        ("level warning and worse", "WE"),
        ("level error", "E"),
    ):
        console.press("L", shows=shows)
        console.wait_for(lambda lines, levels=levels: set(shown_levels(console)) <= set(levels))
    assert len(shown_levels(console)) > 10
    console.esc("level error")


def shown_levels(console: Console) -> list[str]:
    return re.findall(r"^\d\d:\d\d:\d\d\.\d{3} chatty +([TDIWEF]) ", "\n".join(log_lines(console)), re.MULTILINE)


def test_ranges(console: Console) -> None:
    only(console, "chatty")
    console.press("1", shows="first lines")
    console.wait_for("job 3 started")
    console.press("2", shows="last minute")
    console.wait_gone("job 3 started")
    console.press("6", shows="following  all")
    console.wait_for(lambda lines: len(log_lines(console)) > 20 and log_lines(console)[-1].strip())
    console.type("g")
    console.wait_for("job 3 started", "paused")
    console.press("0", shows="following  tail")


def test_scrolling_up_pauses_and_counts_what_comes(console: Console) -> None:
    console.type("PgUp")
    console.wait_for(re.compile(r"paused, \d+ new lines? below"))
    held = log_lines(console)[5]
    first = new_lines(console)
    console.wait_for(lambda lines: new_lines(console) > first + 10)
    assert log_lines(console)[5] == held
    console.press("f", shows="following")
    console.wait_for(lambda lines: held not in log_lines(console))
    console.type("k")
    console.wait_for("paused")
    console.press("End", shows="following")


def new_lines(console: Console) -> int:
    found = re.search(r"paused, ([\d,]+) new", console.text())
    return int(found[1].replace(",", "")) if found else 0


def test_search_goes_from_hit_to_hit_and_marks_it(console: Console) -> None:
    only(console, "chatty")
    console.wait_for(lambda lines: sum("payment" in line for line in lines) > 1)
    console.type("f")  # stays here while lines come
    console.wait_for("paused")
    console.type("\\payment\r")
    console.wait_for("search payment")

    def marked() -> str:
        """The line of the hit: only there the searched word is underlined."""
        for row, line in enumerate(console.lines()[:-2]):
            column = line.find("payment")
            if column > 0 and console.cell(row, column).underscore:
                return line.split("│", 1)[1]
        return ""

    console.wait_for(lambda lines: marked() != "")
    newest = marked()
    console.type("N")
    console.wait_for(lambda lines: marked() not in ("", newest))
    before = marked()
    assert before < newest  # its time
    console.type("n")
    console.wait_for(lambda lines: marked() == newest)
    console.esc("search payment")
    console.press("f", shows="following")


def test_what_is_shown_is_saved_and_copied(console: Console, stack: Stack) -> None:
    only(console, "hostile")
    console.wait_for("the last line")
    console.press("S", shows="Save the log")
    console.type("Enter")
    console.wait_for(re.compile(r"Saved 13 lines to \./logs-\S+\.log"))
    saved = next(stack.directory.glob("logs-*.log"))
    assert saved.stat().st_mode & 0o777 == 0o600
    assert re.search(r"^\S+Z hostile .*the last line$", saved.read_text(), re.MULTILINE)
    assert "\x1b" not in saved.read_text()
    saved.unlink()
    console.esc("Saved 13 lines")
    assert console.clipboard == []
    console.press("y", shows="Copied 13 lines")
    copied = base64.b64decode(console.clipboard.pop()).decode()
    assert copied.splitlines()[-1].endswith("the last line")
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", copied)
    console.esc("Copied 13 lines")


def test_a_recreated_container_goes_on_in_the_same_log(console: Console, stack: Stack) -> None:
    only(console, "chatty")
    old = stack.container("chatty")["Id"]
    console.wait_for(re.compile(r"job \d\d+ "))
    stack.compose("up", "--detach", "--force-recreate", "--no-deps", "chatty")
    assert stack.container("chatty")["Id"] != old
    console.wait_for("job 3 started")
    console.wait_for("job 19 started", "following")


def test_hostile_lines_reach_neither_terminal_nor_console(stack: Stack) -> None:
    with Console(cwd=stack.directory) as console:
        console.started(stack.project)
        only(console, "hostile")
        console.wait_for("clear ␛[2J", "title ␛]0;owned␇", "[@click=app.quit]press[/]", "the last line")
        console.type("w")
        console.wait_for("xxxxxxxxxx\n".strip() * 5)
        console.type("g")
        row = next(row for row, line in enumerate(console.lines()) if "app.quit" in line)
        console.click(row, console.lines()[row].index("press") + 1)
        console.type("\\owned\r")
        console.wait_for("search owned")
        console.go("containers")
        console.go("overview")
        assert console.lines()[0].startswith(f" {stack.project}")
        assert console.rests()
        console.type("q")  # every sequence it began has its end then
        assert console.wait_for_end() == 0
        console.wait_for(lambda lines: not console.in_console)
        assert console.titles == []
        assert console.clipboard == []
        left = OWN_SEQUENCE.sub("", console.output)
        assert re.findall("[\x1b\x07].{0,20}", left) == []
        assert not re.search(r"[\x80-\x9f\u200b\u202a-\u202e\u2066-\u2069]", left)


def test_on_a_slow_line_no_heap_of_frames_stands_before_a_key(stack: Stack) -> None:
    with Console(cwd=stack.directory, bytes_per_second=40_000) as console:
        console.started(stack.project)
        console.go("logs", "following", "chatty ")
        begin = len(console.raw)
        console.wait_for(lambda lines: len(console.raw) > begin + 100_000)
        typed = len(console.raw)
        console.press("f", shows="paused")
        # A frame of this log has 15 KB; the framework alone would let ten of them wait.
        assert len(console.raw) - typed < 80_000
