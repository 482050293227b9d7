"""What the metrics were as lines: charts over a range of time, a hole where nothing was measured.

Pure functions: a Past (or None, while it is read) and a width in; lines out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from rich.cells import cell_len
from textual.content import Content

from opsconsole.metrics.records import Course, Point
from opsconsole.ui.panes.host_lines import CPU_LIMIT, LABEL, MEMORY_LIMIT
from opsconsole.ui.panes.past_metrics import RANGES, Past
from opsconsole.ui.widgets.chart import inked, painted
from opsconsole.ui.widgets.lines import cut, fit, joined, latency, section, shorten_middle, wrapped
from opsconsole.ui.wording import Glyphs, Tone, count, percent, short_rate, short_size

Said = Callable[[float], str]
_NAME, _NUMBER = 20, 9


def head(past: Past | None, width: int, glyphs: Glyphs) -> list[Content]:
    """Which range is shown, from when to when, and the keys of the others."""
    if past is None:
        return [_titled("History", width, glyphs), Content.styled("Reading what was kept.", Tone.MUTED)]
    keys = joined(
        [(f"{key} {name}", "") for key, name in (("0", "now"), *((str(key), one.name) for key, one in RANGES.items()))],
        "  ",
    )
    lines = [_titled(f"The last {past.range.name.removeprefix('1 ')}", width, glyphs, _span(past))]
    if past.problem:
        lines += wrapped(past.problem, width, style=Tone.WARNING)
    return [*lines, cut(keys.stylize(Tone.MUTED), width, glyphs)]


def chart(
    past: Past | None,
    name: str,
    title: str,
    width: int,
    glyphs: Glyphs,
    *,
    height: int,
    limit: float,
) -> list[Content]:
    """A share of the whole, high enough to be read, with its scale at the left and times below."""
    course = next(iter(past.of(name)), None) if past is not None else None
    lines = [_titled(title, width, glyphs, _facts(course, percent) if course else "")]
    room = width - LABEL
    if past is None or room < 12:
        return [*lines, *[Content("")] * (height + 1)]
    values = _columns(course, past, room)
    rows = painted(values, room, height, high=100.0, limit=limit, ascii=glyphs.ascii)
    marks = {0: "100 %", height - 1: "0 %"}
    for number, row in enumerate(rows):
        lines.append(Content.styled(fit(marks.get(number, ""), LABEL - 1, right=True) + " ", Tone.MUTED) + row)
    return [*lines, Content.styled(" " * LABEL + _axis(past, room), Tone.MUTED)]


def cpu(past: Past | None, width: int, glyphs: Glyphs, *, tall: bool = False) -> list[Content]:
    return chart(past, "host_cpu_percent", "CPU", width, glyphs, height=6 if tall else 4, limit=CPU_LIMIT)


def memory(past: Past | None, width: int, glyphs: Glyphs, *, tall: bool = False) -> list[Content]:
    return chart(past, "host_memory_percent", "Memory", width, glyphs, height=5 if tall else 3, limit=MEMORY_LIMIT)


def disks(past: Past | None, width: int, glyphs: Glyphs) -> list[Content]:
    rows = [
        (course.series.label("mount"), course, percent, 100.0)
        for course in (past.of("host_disk_percent") if past else ())
    ]
    return [_titled("Disks", width, glyphs, "in use"), *_rows(past, rows, width, glyphs)]


def throughput(past: Past | None, width: int, glyphs: Glyphs) -> list[Content]:
    return [
        _titled("Disk and network", width, glyphs, "top"),
        *_rows(
            past,
            [
                (label, course, short_rate, None)
                for label, name in (
                    ("read", "host_disk_read_bytes_per_second"),
                    ("written", "host_disk_written_bytes_per_second"),
                    ("received", "host_network_received_bytes_per_second"),
                    ("sent", "host_network_sent_bytes_per_second"),
                )
                for course in (past.of(name) if past else ())
            ],
            width,
            glyphs,
            top=True,
        ),
    ]


def databases(past: Past | None, width: int, glyphs: Glyphs) -> list[Content]:
    rows: list[tuple[str, Course, Said, float | None]] = []
    for name, what, said in (
        ("mongodb_operations_per_second", "op/s", _per_second),
        ("mongodb_connections", "connections", _whole),
        ("redis_operations_per_second", "op/s", _per_second),
        ("redis_memory_bytes", "memory", short_size),
    ):
        found = past.of(name) if past else ()
        rows += [(f"{course.series.label('server')} {what}", course, said, None) for course in found]
    return [_titled("Databases", width, glyphs, "top"), *_rows(past, rows, width, glyphs, top=True)]


def endpoints(past: Past | None, width: int, glyphs: Glyphs) -> list[Content]:
    lines = [_titled("HTTP", width, glyphs, "slowest")]
    found = past.of("endpoint_latency_seconds") if past else ()
    lines += _rows(past, [(one.series.label("endpoint"), one, latency, None) for one in found], width, glyphs, top=True)
    for course in past.of("endpoint_up") if past else ():
        known = [point for point in course.points if point is not None]
        share = 100 * sum(point.mean * point.count for point in known) / max(1, sum(point.count for point in known))
        if share < 100:
            name = shorten_middle(course.series.label("endpoint"), _NAME, ellipsis=glyphs.ellipsis)
            said = f"{name} answered well {percent(share, 1)} of the time"
            lines.append(Content.styled(f"{glyphs.warning} {said}", Tone.WARNING))
    return lines


def containers(past: Past | None, width: int, glyphs: Glyphs) -> list[Content]:
    found = sorted(past.of("container_cpu_percent") if past else (), key=_mean, reverse=True)
    memory_of = {one.series.label("container"): one for one in (past.of("container_memory_bytes") if past else ())}
    note = f"the busiest {len(found)} of {past.containers}" if past and past.containers > len(found) else "CPU, memory"
    lines = [_titled("Containers", width, glyphs, note)]
    if past is None or not found:
        return [*lines, _nothing(past)]
    half = (width - _NAME - 2 * _NUMBER - 2) // 2
    both = half >= 6  # room for memory beside the CPU
    if not both:
        half = max(0, width - _NAME - _NUMBER - 1)
    for course in found:
        name = course.series.label("container")
        other = memory_of.get(name)
        line = Content.assemble(
            fit(shorten_middle(_short(course), _NAME, ellipsis=glyphs.ellipsis), _NAME),
            fit(percent(_mean(course), 1), _NUMBER, right=True),
            " ",
            inked(_columns(course, past, half), half, ascii=glyphs.ascii),
        )
        if other is not None and both:
            line += Content.assemble(
                fit(short_size(_last(other)), _NUMBER, right=True),
                " ",
                inked(_columns(other, past, half), half, ascii=glyphs.ascii),
            )
        lines.append(line)
    return lines


# --- helpers ---------------------------------------------------------------------------------------


def _rows(
    past: Past | None,
    rows: Sequence[tuple[str, Course, Said, float | None]],
    width: int,
    glyphs: Glyphs,
    *,
    top: bool = False,
) -> list[Content]:
    """`name  number  line`: the newest number, or the highest of all."""
    if past is None or not rows:
        return [_nothing(past)]
    label = min(_NAME, max(LABEL, *(len(name) + 1 for name, *_ in rows)))
    room = max(0, width - label - _NUMBER - 1)
    return [
        Content.assemble(
            (fit(shorten_middle(name, label - 1, ellipsis=glyphs.ellipsis), label), Tone.MUTED),
            fit(said(_highest(course) if top else _last(course)), _NUMBER, right=True),
            " ",
            inked(_columns(course, past, room), room, high=high, ascii=glyphs.ascii),
        )
        for name, course, said, high in rows
    ]


def _titled(title: str, width: int, glyphs: Glyphs, note: str = "") -> Content:
    """A section's line; on a narrow screen without what else is said of it."""
    return section(title, width, glyphs, note if cell_len(title) + cell_len(note) + 5 <= width else "")


def _nothing(past: Past | None) -> Content:
    return Content.styled("" if past is None else "Nothing was measured.", Tone.MUTED)


def _span(past: Past) -> str:
    begin, end = past.since.astimezone(), past.until.astimezone()
    day = "%a %d %b " if past.range.span > timedelta(days=1) else "%a " if begin.date() != end.date() else ""
    return f"{begin:{day}%H:%M} to {end:{day}%H:%M}"


def _axis(past: Past, room: int) -> str:
    """Times under a chart, at whole hours or days, as many as have room."""
    text, free = [" "] * room, 0
    form = "%a %d" if past.range.tick >= timedelta(days=1) else "%H:%M"
    at = _first_tick(past)
    while at < past.until:
        column = int((at - past.since) / past.range.span * room)
        said = f"{at.astimezone():{form}}"
        if column >= free and column + len(said) <= room:
            text[column : column + len(said)] = said
            free = column + len(said) + 2
        at += past.range.tick
    return "".join(text).rstrip()


def _first_tick(past: Past) -> datetime:
    """The first whole quarter, six hours or day of this place's clock."""
    local = past.since.astimezone()
    at = local.replace(hour=0, minute=0, second=0, microsecond=0)
    while at < local:
        at += past.range.tick
    return at


def _columns(course: Course | None, past: Past, room: int) -> list[float]:
    """The mean of each column; NaN, which is drawn as nothing, where nothing was measured."""
    if course is None or room < 1:
        return [math.nan] * max(0, room)
    columns, step = [], past.range.span.total_seconds() / room
    offset = (past.since - course.begins).total_seconds()
    for column in range(room):
        first = int((offset + column * step) / course.step_seconds)
        last = max(first + 1, int((offset + (column + 1) * step) / course.step_seconds))
        columns.append(_mean_of(course.points[max(0, first) : last]))
    return columns


def _mean_of(points: Sequence[Point | None]) -> float:
    known = [point for point in points if point is not None]
    count_ = sum(point.count for point in known)
    return sum(point.mean * point.count for point in known) / count_ if count_ else math.nan


def _mean(course: Course) -> float:
    mean = _mean_of(course.points)
    return 0.0 if math.isnan(mean) else mean


def _last(course: Course) -> float:
    return next((point.mean for point in reversed(course.points) if point is not None), 0.0)


def _highest(course: Course) -> float:
    return max((point.high for point in course.points if point is not None), default=0.0)


def _facts(course: Course, said: Said) -> str:
    """`mean 31 %, top 97 % at 03:12`."""
    top = _highest(course)
    step = next((number for number, point in enumerate(course.points) if point and point.high == top), 0)
    at = (course.begins + timedelta(seconds=step * course.step_seconds)).astimezone()
    day = "%a " if course.step_seconds * len(course.points) > 86400 * 2 else ""
    return f"mean {said(_mean(course))}, top {said(top)} at {at:{day}%H:%M}"


def _short(course: Course) -> str:
    """A service's name says enough; with its number where Compose gave one."""
    name, service = course.series.label("container"), course.series.label("service")
    number = name.rpartition("-")[2] if name != service else ""
    return f"{service}-{number}" if service and number.isdigit() else service or name


def _per_second(value: float) -> str:
    return f"{count(round(value))}/s"


def _whole(value: float) -> str:
    return count(round(value))
