"""The screen of the tests shows what pyte's own shows, whatever is written to it."""

from __future__ import annotations

import pyte
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.quick_screen import QuickScreen

COLUMNS, ROWS = 7, 4

numbers = st.lists(
    st.sampled_from(["", "0", "1", "2", "3", "5", "7", "22", "38", "39", "48", "49", "91", "254"]), max_size=6
)
commands = st.builds("\x1b[{}{}".format, numbers.map(";".join), st.sampled_from("mmmmHABCDEFGJKLMPXdhlr@Z"))
texts = st.text(st.sampled_from("ab █│世ü\u0301\u200b\r\n\b\t"), min_size=1, max_size=9)
colours = st.sampled_from(["\x1b[1m", "\x1b[31m", "\x1b[0m", "\x1b[7m", "\x1b[38;5;22m", "\x1b[48;2;1;2;3m"])
others = st.sampled_from(["\x1b[?25l", "\x1b[?7l", "\x1b[?7h", "\x1b7", "\x1b8", "\x1bM"])
pieces = st.one_of(colours, texts, commands, others)


@given(st.lists(pieces, min_size=10, max_size=25))
@settings(max_examples=60)
def test_both_screens_are_alike(written: list[str]) -> None:
    plain, quick = pyte.Screen(COLUMNS, ROWS), QuickScreen(COLUMNS, ROWS)
    stream = pyte.Stream(plain)
    for piece in written:
        said = []
        for feed in (stream.feed, quick.feed):
            try:
                feed(piece)
            except (
                TypeError,
                ValueError,
                LookupError,
                UnboundLocalError,
            ) as error:  # pyte's own, of what no program writes
                said.append(type(error))
        assert len(said) in (0, 2)
        if said:
            return
        assert [[quick.buffer[y][x] for x in range(COLUMNS)] for y in range(ROWS)] == [
            [plain.buffer[y][x] for x in range(COLUMNS)] for y in range(ROWS)
        ]
        assert (quick.cursor.x, quick.cursor.y, quick.cursor.attrs) == (
            plain.cursor.x,
            plain.cursor.y,
            plain.cursor.attrs,
        )
        assert quick.cursor.hidden == plain.cursor.hidden
