"""The overview's panels about what runs: the verdict, services and host. A frame in, lines out; pure functions."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from textual.content import Content

from opsconsole.model import Disk, SourceState
from opsconsole.text import printable
from opsconsole.ui.panes.attention import SERIOUS, concerns, unknown_yet
from opsconsole.ui.panes.container_rows import ContainerRow, cpu_cell, memory_cell, rows_of, tally, uptime_cell
from opsconsole.ui.panes.overview_data_lines import newest_good
from opsconsole.ui.panes.overview_frame import Frame, heading, joined_edges
from opsconsole.ui.widgets.chart import area, sparkline
from opsconsole.ui.widgets.lines import fit
from opsconsole.ui.wording import Tone, age, ago, count, decided, duration, percent, plural, short_size, sign

ROOMY = 54
"""Cells from which a service's line says since when it runs."""

# --- attention -------------------------------------------------------------------------------------


def attention(frame: Frame, most: int) -> list[Content]:
    """The verdict in words, then what needs attention, `most` lines of it at most."""
    snapshot, glyphs = frame.snapshot, frame.glyphs
    found = concerns(snapshot)
    if not found:
        return [_verdict(frame)]
    serious = sum(concern.rank < SERIOUS for concern in found)
    worst = min(found, key=lambda concern: concern.rank)
    title = f"{plural(serious, 'thing needs', 'things need')} attention" if serious else "Nothing needs attention yet"
    words = [concern.word for concern in found]
    seen_to = [f"{words.count(word)} {word}" for word in ("acknowledged", "silenced") if word in words]
    title = ", ".join([title if serious or not seen_to else "Nothing new needs attention", *seen_to])
    tone = Tone.BAD if worst.rank <= 2 else Tone.WARNING if serious else Tone.GOOD
    said = "waiting for " + ", ".join(unknown_yet(snapshot)) if unknown_yet(snapshot) else ""
    rule = glyphs.rule * max(0, frame.width - len(title) - len(said) - (4 if said else 3))
    first = Content.assemble(
        (f"{sign(tone, glyphs)} {title} ", tone if "bold" in tone else f"bold {tone}"),
        (rule, "$border"),
        f" {said}" if said else "",
    )
    shown = found if len(found) <= most else found[: most - 1]
    word_cells = max(len(concern.word) for concern in shown)
    lines = [first]
    for concern in shown:
        left = Content.assemble(
            (f"{sign(concern.tone, glyphs)} {concern.word.ljust(word_cells)}  ", concern.tone),
            printable(concern.text),
        )
        right = Content.styled(age(concern.since, snapshot.sampled_at) if concern.since else "", Tone.MUTED)
        known = decided(concern.alert, snapshot.sampled_at)
        advice = known or concern.advice
        with_advice = left + Content.styled(f"  {printable(advice)}", Tone.MUTED) if advice else left
        fits = bool(known) or with_advice.cell_length + right.cell_length < frame.width
        lines.append(joined_edges(with_advice if fits else left, right, frame.width, glyphs))
    if len(shown) < len(found):
        lines.append(Content.styled(f"  and {len(found) - len(shown)} more: Enter shows all", Tone.MUTED))
    return lines


def _verdict(frame: Frame) -> Content:
    snapshot = frame.snapshot
    waiting = unknown_yet(snapshot)
    if waiting:
        return Content.assemble(
            (f"{frame.glyphs.busy} Looking", f"bold {Tone.ACCENT}"),
            (f"   waiting for {', '.join(waiting)}", Tone.MUTED),
        )
    rows = rows_of(snapshot)
    if not rows:
        return Content.styled(f"{frame.glyphs.unknown} This stack has no service and no container", Tone.WARNING)
    parts = [f"{plural(len(rows), 'service')} up"]
    if snapshot.databases:
        parts.append(f"{plural(len(snapshot.databases), 'database')} answering")
    if good := newest_good(snapshot.backups):
        parts.append(f"newest good backup {ago(good.taken_at, snapshot.sampled_at)}")
    said = f"   {', '.join(parts)}"
    return Content.assemble((f"{frame.glyphs.good} All is well", f"bold {Tone.GOOD}"), (said, Tone.PLAIN)).truncate(
        frame.width, ellipsis=not frame.glyphs.ascii
    )


# --- services --------------------------------------------------------------------------------------


def services(frame: Frame, most: int) -> list[Content]:
    """One line per container, those that are not well first; `most` lines of them at most."""
    rows = rows_of(frame.snapshot)
    good, total = tally(rows)
    said = f"{good} of {total} well" if total else ""
    lines = [heading(frame, "Services", said, Tone.GOOD if good == total else Tone.WARNING)]
    if not rows:
        reading = frame.snapshot.readings.get("engine")
        looked = reading is not None and reading.state is SourceState.OK
        return [*lines, Content.styled("no container, no service" if looked else "waiting for the engine", Tone.MUTED)]
    ordered = sorted(rows, key=lambda row: row.standing.rank >= 7)  # stable: otherwise the file's order
    shown = ordered if len(ordered) <= most else ordered[: most - 1]
    longest = max(cell_len(printable(row.name)) for row in shown)
    name_cells = min(longest, max(8, min(_room_for_name(frame, row) for row in shown)))
    lines += [_service(frame, row, name_cells) for row in shown]
    if len(shown) < len(ordered):
        rest = ordered[len(shown) :]
        well, of = tally(rest)
        more = "all well" if well == of else f"{well} well"
        lines.append(Content.styled(f"and {count(of)} more, {more} (c)", Tone.MUTED))
    return lines


def _room_for_name(frame: Frame, row: ContainerRow) -> int:
    """Cells that its state and its numbers leave; drift gives way, as it stands above among what needs attention."""
    numbers = 28 if frame.width >= ROOMY else 14 if row.usage is not None else 0
    return frame.width - numbers - cell_len(row.standing.said(frame.glyphs)) - 3


def _service(frame: Frame, row: ContainerRow, name_cells: int) -> Content:
    """Name, state and drift at the left; since when, CPU and memory at the right as far as there is room."""
    name, dots = printable(row.name), frame.glyphs.ellipsis
    service, _, number = name.rpartition(" ")
    if service and number.isdigit() and cell_len(name) > name_cells:  # replicas are told apart by their ends
        name = f"{fit(service, name_cells - len(number) - 1, ellipsis=dots)} {number}"
    standing = row.standing
    left = Content.assemble(fit(name, name_cells, ellipsis=dots), "  ", (standing.said(frame.glyphs), standing.tone))
    if row.container is not None and row.container.drift:
        left += Content.styled(", drift", Tone.WARNING)
    roomy = frame.width >= ROOMY
    cells: list[tuple[str, str]] = []
    if roomy:
        since, tone = uptime_cell(row, frame.snapshot.sampled_at)
        cells.append((since.rjust(9), tone or Tone.MUTED))
    if row.usage is not None:
        cpu, memory = cpu_cell(row), memory_cell(row)
        used = memory[0].rjust(12) if roomy else memory[0].split("/")[0].rjust(7)
        cells += [(cpu[0].rjust(7), cpu[1]), (used, memory[1])]
    elif roomy and cells[0][0].strip():
        cells.append((" " * 19, Tone.PLAIN))
    return joined_edges(left, Content.assemble(*cells), frame.width, frame.glyphs)


# --- host ------------------------------------------------------------------------------------------


def host(frame: Frame, chart_rows: int = 0) -> list[Content]:
    """Processor, memory and the fullest disks, each with its number, and a history where there is one.

    With `chart_rows` the histories of processor and memory are drawn that many lines high.
    """
    sample, history = frame.snapshot.host, frame.snapshot.history
    lines = [heading(frame, "Host", printable(sample.name) if sample else "")]
    if sample is None:
        return [*lines, Content.styled("waiting for the first sample", Tone.MUTED)]
    load = f"load {sample.load[0]:.2f}" if sample.load else ""
    cpu, memory = history.get("host.cpu", ()), history.get("host.memory", ())
    lines.append(_measure(frame, "CPU", sample.cpu_percent, load, () if chart_rows else cpu, 80))
    lines += _chart(frame, cpu, chart_rows)
    used = f"{short_size(sample.memory_used)} of {short_size(sample.memory_total)}"
    lines.append(_measure(frame, "memory", sample.memory_percent, used, () if chart_rows else memory, 85))
    lines += _chart(frame, memory, chart_rows)
    if sample.swap_used:
        lines.append(
            _measure(
                frame,
                "swap",
                _share(sample.swap_used, sample.swap_total),
                f"{short_size(sample.swap_used)} used",
                (),
                50,
            )
        )
    for disk in sorted(sample.disks, key=lambda disk: -disk.used_percent)[:3]:
        lines.append(_disk(frame, disk))
    return lines


def _chart(frame: Frame, values: Sequence[float], rows: int) -> list[Content]:
    if not rows or len(values) < 2:
        return []
    drawn = area(values, frame.width, rows, high=100.0, ascii=frame.glyphs.ascii)
    return [*(Content.styled(row, "$primary") for row in drawn), Content("")]


def _share(part: float | None, whole: float | None) -> float | None:
    return part / whole * 100 if part is not None and whole else None


def _measure(
    frame: Frame, label: str, share: float | None, note: str, values: Sequence[float], limit: float
) -> Content:
    tone = Tone.PLAIN if share is None or share < limit else Tone.BAD if share >= 95 else Tone.WARNING
    left = Content.assemble((label.ljust(8), Tone.MUTED), (percent(share).rjust(6), tone))
    right = Content.styled(note, Tone.MUTED)
    room = frame.width - left.cell_length - right.cell_length - 4
    if len(values) > 1 and room >= 6:
        spark = sparkline(values, min(room, 40), high=100.0, ascii=frame.glyphs.ascii)
        left = Content.assemble(left, "  ", (spark.strip() if len(values) < room else spark, "$primary"))
    return joined_edges(left, right, frame.width, frame.glyphs)


def _disk(frame: Frame, disk: Disk) -> Content:
    tone = Tone.PLAIN if disk.used_percent < 80 else Tone.WARNING if disk.used_percent < 90 else Tone.BAD
    soon = disk.full_in_days is not None and disk.full_in_days < 14
    left = Content.assemble(
        ("disk    ", Tone.MUTED), (percent(disk.used_percent).rjust(6), tone), f"  {printable(disk.mount)}"
    )
    free = f"{short_size(disk.free_bytes)} free"
    notes = [free]
    if disk.full_in_days is not None and disk.full_in_days < 365:
        full = f"full in {duration(disk.full_in_days * 86400)}"
        notes = [f"{full}, {free}", full if soon else free, free]
    fitting = (note for note in notes if left.cell_length + 1 + len(note) <= frame.width)
    return joined_edges(
        left, Content.styled(next(fitting, notes[-1]), Tone.WARNING if soon else Tone.MUTED), frame.width, frame.glyphs
    )
