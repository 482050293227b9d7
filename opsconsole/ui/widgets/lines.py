"""Pieces that painters of lines share: cells of a fixed width, wrapped sentences, lines of joined facts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.cells import cell_len, set_cell_size
from textual.content import Content

from opsconsole.text import printable
from opsconsole.ui.wording import UNKNOWN, Glyphs, Tone, size


def fit(text: str, width: int, *, right: bool = False, ellipsis: str = "…") -> str:
    """Outside text in exactly `width` cells: made safe, cut with an ellipsis, padded."""
    text = printable(text)
    length = cell_len(text)
    if length > width:
        short = set_cell_size(text, max(0, width - cell_len(ellipsis))) + ellipsis
        return set_cell_size(short, max(0, width))
    padding = " " * (width - length)
    return padding + text if right else text + padding


def cut(line: Content, width: int, glyphs: Glyphs) -> Content:
    """A line in at most `width` cells; what is cut off is marked."""
    if line.cell_length <= width or not glyphs.ascii:
        return line.truncate(width, ellipsis=True)
    return line.truncate(max(0, width - 1)) + glyphs.ellipsis


def shorten_middle(text: str, width: int, *, ellipsis: str = "…") -> str:
    """At most `width` cells, both ends kept: the end of a path or an id says more than its middle."""
    text = printable(text)
    if cell_len(text) <= width or width <= 2 * cell_len(ellipsis):
        return text if cell_len(text) <= width else set_cell_size(text, max(0, width))
    room = width - cell_len(ellipsis)
    head = set_cell_size(text, room // 2)
    tail = text
    while cell_len(tail) > room - room // 2:
        tail = tail[max(1, (cell_len(tail) - (room - room // 2)) // 2) :]
    return head + ellipsis + tail


def wrapped(text: str, width: int, *, indent: int = 0, style: str = "") -> list[Content]:
    """A sentence over as many lines as it needs; words longer than the line are broken."""
    if width - indent < 1:
        return []
    content = Content.styled(printable(text), style) if style else Content(printable(text))
    return [line.pad_left(indent) for line in content.wrap(width - indent, overflow="fold")]


def joined(parts: Iterable[str | Content | tuple[str, str]], separator: str = " · ") -> Content:
    """The parts that say something, with the separator between them."""
    pieces = [Content.assemble(part) for part in parts]
    return Content.styled(separator, Tone.MUTED).join(piece for piece in pieces if piece.plain)


def flowed(facts: Sequence[Content], width: int, *, gap: int = 2, indent: int = 0, hang: int = 0) -> list[Content]:
    """Facts side by side, on as many lines as they need; no fact is broken unless it is longer than a line.

    `indent` cells stand before every line, `hang` more before all but the first.
    """
    lines: list[Content] = []
    line, empty = Content(" " * indent), True
    for fact in facts:
        if not fact.plain:
            continue
        if not empty and line.cell_length + gap + fact.cell_length > width:
            lines.append(line)
            line, empty = Content(" " * (indent + hang)), True
        line, empty = line + (fact if empty else Content(" " * gap) + fact), False
    return lines if empty else [*lines, line]


def fact(label: str, value: str, style: str = "") -> Content:
    """`label value` with the label muted. Both are outside text as far as this is concerned."""
    return Content.assemble((printable(label) + " ", Tone.MUTED), (printable(value), style))


def section(title: str, width: int, glyphs: Glyphs, note: str = "") -> Content:
    """The line above a section: its title, a rule, and a note at the right end."""
    head = f"{title} "
    tail = f" {printable(note)}" if note else ""
    rule = glyphs.rule * max(2, width - cell_len(head) - cell_len(tail))
    return Content.assemble((head, Tone.STRONG), (rule, Tone.MUTED), (tail, Tone.MUTED))


def share_of(used: float | None, whole: float | None) -> str:
    """`74 of 80 GiB`, `90 MiB of 4 GiB`: the unit is said once when it is the same."""
    first, second = size(used), size(whole)
    unit = second.partition(" ")[2]
    return f"{first.removesuffix(f' {unit}') if unit else first} of {second}"


def latency(seconds: float | None) -> str:
    """`0.4 ms`, `34 ms`, `2.4 s`: two digits are what one looks at."""
    if seconds is None:
        return UNKNOWN
    if seconds >= 1:
        return f"{seconds:.1f} s"
    return f"{seconds * 1000:.0f} ms" if seconds >= 0.001 else f"{seconds * 1000:.1f} ms"


def longest(names: Iterable[str], least: int, most: int) -> int:
    """The width of a column of names: as wide as the longest, within bounds."""
    return max(least, min(most, max((cell_len(printable(name)) for name in names), default=least)))
