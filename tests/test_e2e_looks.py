"""The same console on other terminals: every size, no colour, ASCII, light, sixteen colours, inside tmux."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.console import PANES, Console
from tests.parts.machine import run, wait_until
from tests.parts.stacks import Stack
from tests.terminal import OPSCONSOLE

SIZES = ((200, 60), (80, 24), (60, 20), (40, 10), (120, 40))
SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|.)", re.DOTALL)


def walk(console: Console) -> Iterator[str]:
    """Go through every pane, one filter, one dialog, the help and the palette; what is open at each step."""
    for pane in PANES:
        console.go(pane)
        yield pane
    console.go("containers")
    console.type("/e")
    console.wait_for("Esc shows all")
    yield "filter"
    console.type("Esc")
    console.wait_gone("Esc shows all")
    console.type("i")
    console.wait_for("Esc back", "Environment")
    yield "details"
    console.esc("Esc back")
    for key, shows in (("?", "no single key destroys anything"), (":", "type a part of what you want")):
        console.press(key, shows=shows)
        yield shows
        console.esc(shows)


# --- sizes -----------------------------------------------------------------------------------------


def test_it_fits_every_size_at_any_time(mps: Stack) -> None:
    with Console(cwd=mps.directory, columns=200, rows=60) as console:
        console.started(mps.project)
        for columns, rows in SIZES[1:]:
            for pane, key in PANES.items():
                console.type(key)
                if console.size[1] > 13:  # fewer have no room for the names of the panes
                    console.wait_for(open_pane(console, pane))
            console.resize(columns, rows)
            console.wait_for(fits(console, mps.project))
        console.go("containers", "4 of 4 well")
        console.press("r", shows="Restart ")
        for columns, rows in SIZES:
            console.resize(columns, rows)
            console.wait_for(" Cancel ", " Restart ", lambda lines, most=columns: max(map(len, lines)) <= most)
        console.esc("Restart ")
        console.wait_for(fits(console, mps.project))


def open_pane(console: Console, pane: str) -> Callable[[list[str]], bool]:
    """Whether the name of this pane is the one that stands out; on a narrow screen it is the only whole name."""

    def shown(lines: list[str]) -> bool:
        column = lines[1].lower().find(pane)
        return column >= 0 and bool(console.cell(1, column).reverse)

    return shown


FOOT = re.compile(r"\? help(, \d+ more)?  q quit")


def fits(console: Console, project: str) -> Callable[[list[str]], bool]:
    """Header at the top, footer at the bottom, each once, and the cells right of and below them painted too."""

    def all_of_it(lines: list[str]) -> bool:
        columns, rows = console.size
        if [row for row, line in enumerate(lines) if FOOT.search(line)] != [rows - 1]:
            return False
        if rows <= 13:
            return True
        header = [row for row, line in enumerate(lines) if line.startswith(f" {project[:16]}")]
        grounds = {console.cell(0, columns - 1).bg, console.cell(rows - 1, columns - 1).bg}
        return header == [0] and "default" not in grounds

    return all_of_it


def test_a_resized_screen_is_the_one_that_a_new_terminal_would_show(tmp_path: Path) -> None:
    """The help stands still, so what is left over of another size would differ."""
    with Console("demo", cwd=tmp_path, columns=200, rows=60) as resized:
        resized.started()
        resized.press("?", shows="no single key destroys anything")
        for columns, rows in SIZES[1:]:
            resized.resize(columns, rows)
            with Console("demo", cwd=tmp_path, columns=columns, rows=rows) as new:
                new.wait_for("? help  q quit")
                new.press("?", shows="no single key destroys anything")
                new.wait_for(lambda lines: lines == resized.lines())


# --- colours ---------------------------------------------------------------------------------------


def colours(output: str) -> set[str]:
    """Every colour parameter of the SGR sequences in a stream of bytes."""
    found = set()
    for parameters in re.findall(r"\x1b\[([0-9;]*)m", output):
        for one in re.findall(r"(?:^|;)((?:[34]8;(?:5;\d+|2;\d+;\d+;\d+))|\d+)", parameters):
            if one[:2] in ("38", "48") or 30 <= int(one.split(";")[0]) <= 49 or 90 <= int(one.split(";")[0]) <= 107:
                found.add(one)
    return found - {"39", "49"}


def test_no_color_means_none(mps: Stack) -> None:
    with Console(cwd=mps.directory, env={"NO_COLOR": "1"}) as console:
        console.started(mps.project)
        for _ in walk(console):
            pass
        console.go("containers")
        row = next(row for row, line in enumerate(console.lines()) if line.startswith("  backend"))
        assert console.cell(row, 2).reverse  # the cursor is seen all the same
        assert not console.cell(row + 1, 2).reverse
        assert colours(console.output) == set()


def test_ascii_paints_nothing_else(troubled: Stack) -> None:
    with Console("--ascii", cwd=troubled.directory) as console:
        console.started(troubled.project)
        for _ in walk(console):
            pass
        console.go("containers")
        console.put_cursor_on(" hostile ")
        console.type("L")
        console.wait_for("of hostile", "the last line")
        painted = SEQUENCE.sub("", console.output)
        assert sorted({letter for letter in painted if letter > "~"}) == []


@pytest.mark.parametrize("theme", ["dark", "light", "contrast", "ansi"])
def test_each_theme_has_readable_words_on_its_own_ground(mps: Stack, theme: str) -> None:
    with Console("--theme", theme, cwd=mps.directory) as console:
        console.started(mps.project)
        for _ in walk(console):
            assert not [cell for cell in words(console) if cell.fg == cell.bg != "default"]
        console.go("overview")
        ground = console.cell(20, console.size[0] - 1).bg
        if theme in ("dark", "light", "contrast"):
            assert (brightness(ground) > 128) == (theme == "light")
            assert min(abs(brightness(cell.fg) - brightness(cell.bg)) for cell in words(console)) > 40


def words(console: Console) -> list[object]:
    """Every cell with a letter in it."""
    columns, rows = console.size
    cells = [console.cell(row, column) for row in range(rows) for column in range(columns)]
    return [cell for cell in cells if cell.data.isalnum()]


def brightness(colour: str) -> float:
    """0 black to 255 white, of six hex digits."""
    red, green, blue = (int(colour[at : at + 2], 16) for at in (0, 2, 4))
    return 0.299 * red + 0.587 * green + 0.114 * blue


def test_a_terminal_of_sixteen_colours_gets_no_others(mps: Stack) -> None:
    with Console(cwd=mps.directory, env={"TERM": "xterm", "COLORTERM": ""}) as console:
        console.started(mps.project)
        for _ in walk(console):
            assert not [cell for cell in words(console) if cell.fg == cell.bg != "default"]
        assert not [one for one in colours(console.output) if one[:3] in ("38;", "48;")]


# --- tmux ------------------------------------------------------------------------------------------


def test_inside_tmux(mps: Stack, tmp_path: Path) -> None:
    (tmp_path / "conf").write_text("set -s set-clipboard on\nset -g default-terminal screen-256color\n")
    server = ["tmux", "-S", str(tmp_path / "tmux"), "-f", str(tmp_path / "conf")]

    def screen() -> str:
        return run(*server, "capture-pane", "-p").stdout

    def shows(*texts: str) -> None:
        wait_until(lambda: all(text in screen() for text in texts), 60, f"{texts} not in tmux")

    environment = [word for key, value in mps.env.items() for word in ("-e", f"{key}={value}")]
    command = f"{shlex.quote(OPSCONSOLE)}; echo left with $?; exec cat"
    subprocess.run(
        [*server, "new-session", "-d", "-x", "120", "-y", "40", "-c", str(mps.directory), *environment, command],
        check=True,
        timeout=20,
    )
    try:
        shows(mps.project[:40], "4 of 4 well")
        assert run(*server, "display-message", "-p", "#{pane_title}").stdout.strip() != "owned"
        run(*server, "send-keys", "c")
        shows("Memory", "backend")
        run(*server, "send-keys", "/", "m", "o", "n", "g", "Enter")
        shows("1 of 4")
        run(*server, "send-keys", "Escape")
        wait_until(lambda: "1 of 4" not in screen(), 30, "the filter stays")
        run(*server, "resize-window", "-x", "80", "-y", "24")
        wait_until(lambda: len(screen().splitlines()) == 24 and "q quit" in screen().splitlines()[-1], 30, "no resize")
        run(*server, "send-keys", "l")
        shows("following", "frontend")
        run(*server, "send-keys", "y")
        shows("Copied")
        # Which lines are on screen at the key is up to the stack: each names its service.
        copied = wait_until(lambda: run(*server, "show-buffer").stdout, 30, "nothing on the clipboard of tmux")
        assert re.search("frontend|backend|mongodb|redis", copied)
        run(*server, "send-keys", "q")
        shows("left with 0")
    finally:
        run(*server, "kill-server", check=False)
