"""What the overview's panels share: the room they have, their heading, a line with two edges."""

from __future__ import annotations

from dataclasses import dataclass

from rich.cells import cell_len
from textual.content import Content

from opsconsole.model import Snapshot
from opsconsole.ui.wording import Glyphs, Tone


@dataclass(frozen=True, slots=True)
class Frame:
    """What every panel is drawn with."""

    snapshot: Snapshot
    width: int
    glyphs: Glyphs


def heading(frame: Frame, title: str, said: str = "", tone: str = Tone.MUTED) -> Content:
    """`Services ─────────── 5 of 6`."""
    rule = frame.glyphs.rule * max(0, frame.width - cell_len(title) - cell_len(said) - (2 if said else 1))
    parts: list[tuple[str, str]] = [(f"{title} ", Tone.STRONG), (rule, "$border")]
    if said:
        parts.append((f" {said}", tone))
    return Content.assemble(*parts)


def joined_edges(left: Content, right: Content, width: int, glyphs: Glyphs) -> Content:
    """`left` and `right` at the two edges; the left one gives way."""
    left = left.rstrip()
    room = max(0, width - right.cell_length - (1 if right.plain else 0))
    if left.cell_length > room:
        left = left.truncate(max(0, room - 1)) + Content(glyphs.ellipsis)
    return Content.assemble(left, " " * max(0, width - left.cell_length - right.cell_length), right)
