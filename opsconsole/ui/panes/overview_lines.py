"""The panels of the overview as lines: a Snapshot and a width in, lines out. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from textual.content import Content

from opsconsole.model import (
    Backup,
    BackupState,
    DatabaseStatus,
    Disk,
    MongoStatus,
    RedisStatus,
    Safety,
    Snapshot,
    SourceState,
    Volume,
    VolumeKind,
)
from opsconsole.text import printable
from opsconsole.ui.panes.attention import concerns, unknown_yet
from opsconsole.ui.panes.container_rows import ContainerRow, cpu_cell, memory_cell, rows_of, tally, uptime_cell
from opsconsole.ui.widgets.chart import area, sparkline
from opsconsole.ui.widgets.lines import fit
from opsconsole.ui.wording import (
    Glyphs,
    Tone,
    age,
    ago,
    count,
    duration,
    percent,
    plural,
    short_id,
    short_size,
    sign,
    size,
)


@dataclass(frozen=True, slots=True)
class Frame:
    """What every panel is drawn with."""

    snapshot: Snapshot
    width: int
    glyphs: Glyphs

    @property
    def usable(self) -> int:
        return max(10, self.width)


def heading(frame: Frame, title: str, said: str = "", tone: str = Tone.MUTED) -> Content:
    """`Services ─────────── 5 of 6`."""
    rule = frame.glyphs.rule * max(0, frame.width - cell_len(title) - cell_len(said) - (2 if said else 1))
    parts: list[tuple[str, str]] = [(f"{title} ", Tone.STRONG), (rule, "$border")]
    if said:
        parts.append((f" {said}", tone))
    return Content.assemble(*parts)


def _line(left: Content, right: Content, width: int, glyphs: Glyphs) -> Content:
    """`left` and `right` at the two edges; the left one gives way."""
    left = left.rstrip()
    room = max(0, width - right.cell_length - (1 if right.plain else 0))
    if left.cell_length > room:
        left = left.truncate(max(0, room - 1)) + Content(glyphs.ellipsis)
    return Content.assemble(left, " " * max(0, width - left.cell_length - right.cell_length), right)


# --- attention -------------------------------------------------------------------------------------


def attention(frame: Frame, most: int) -> list[Content]:
    """The verdict in words, then what needs attention, `most` lines of it at most."""
    snapshot, glyphs = frame.snapshot, frame.glyphs
    found = concerns(snapshot)
    if not found:
        return [_verdict(frame)]
    serious = sum(concern.rank < 7 for concern in found)
    worst = min(found, key=lambda concern: concern.rank)
    title = f"{plural(serious, 'thing needs', 'things need')} attention" if serious else "Nothing needs attention yet"
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
        with_advice = left + Content.styled(f"  {printable(concern.advice)}", Tone.MUTED) if concern.advice else left
        fits = with_advice.cell_length + right.cell_length < frame.width
        lines.append(_line(with_advice if fits else left, right, frame.width, glyphs))
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
    if good := _newest_good(snapshot.backups):
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
    name_cells = min(max(cell_len(printable(row.name)) for row in shown), max(8, frame.width - 34))
    lines += [_service(frame, row, name_cells) for row in shown]
    if len(shown) < len(ordered):
        rest = ordered[len(shown) :]
        well, of = tally(rest)
        more = "all well" if well == of else f"{well} well"
        lines.append(Content.styled(f"and {count(of)} more, {more} (c)", Tone.MUTED))
    return lines


def _service(frame: Frame, row: ContainerRow, name_cells: int) -> Content:
    """Name, state and drift at the left; since when, CPU and memory at the right as far as there is room."""
    name = fit(row.name, name_cells, ellipsis=frame.glyphs.ellipsis)
    left = Content.assemble(name, "  ", (row.standing.said(frame.glyphs), row.standing.tone))
    if row.container is not None and row.container.drift:
        left += Content.styled(", drift", Tone.WARNING)
    roomy = frame.width >= 54
    cells: list[tuple[str, str]] = []
    if roomy:
        since, tone = uptime_cell(row, frame.snapshot.sampled_at)
        cells.append((since.rjust(9), tone or Tone.MUTED))
    if row.usage is not None:
        cpu, memory = cpu_cell(row), memory_cell(row)
        used = memory[0].rjust(12) if roomy else memory[0].split("/")[0].rjust(6)
        cells += [(cpu[0].rjust(7), cpu[1]), (used, memory[1])]
    elif roomy and cells[0][0].strip():
        cells.append((" " * 19, Tone.PLAIN))
    return _line(left, Content.assemble(*cells), frame.width, frame.glyphs)


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
    return _line(left, right, frame.width, frame.glyphs)


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
    return _line(
        left, Content.styled(next(fitting, notes[-1]), Tone.WARNING if soon else Tone.MUTED), frame.width, frame.glyphs
    )


# --- data ------------------------------------------------------------------------------------------


def databases(frame: Frame) -> list[Content]:
    found = frame.snapshot.databases
    answering = sum(status.reachable for status in found)
    said = f"{answering} of {len(found)} answer" if found else ""
    lines = [heading(frame, "Databases", said, Tone.GOOD if answering == len(found) else Tone.BAD)]
    if not found:
        return [*lines, _nothing(frame, "databases", "none found in this stack")]
    for status in found:
        lines += _database(frame, status)
    return lines


def _database(frame: Frame, status: DatabaseStatus) -> list[Content]:
    mongo = isinstance(status, MongoStatus)
    kind = "MongoDB" if mongo else "Redis"
    name = f"{kind} {printable(status.version)}".rstrip()
    tone = Tone.GOOD if status.reachable else Tone.BAD
    left = Content.assemble((f"{sign(tone, frame.glyphs)} {name}", tone))
    if not status.reachable:
        said = printable(status.problem) or "no answer"
        return [_line(left + Content(f"  {said}"), Content(""), frame.width, frame.glyphs)]
    facts = _mongo_facts(status) if isinstance(status, MongoStatus) else _redis_facts(status)
    right = ""
    for fact in facts:  # as many as there is room for
        longer = f"{right}, {fact}" if right else fact
        if cell_len(longer) + left.cell_length + 2 > frame.width:
            break
        right = longer
    return [_line(left, Content(right), frame.width, frame.glyphs)]


def _mongo_facts(status: MongoStatus) -> list[str]:
    operations = f"{sum(status.operations.values()):.0f} ops/s" if status.operations else ""
    stored = sum(database.data_bytes or 0 for database in status.databases)
    facts = [operations, size(stored) if stored else "", status.member_state or status.topology]
    facts.append(plural(status.connections, "connection") if status.connections is not None else "")
    return [printable(fact) for fact in facts if fact]


def _redis_facts(status: RedisStatus) -> list[str]:
    keys = sum(space.keys for space in status.keyspaces)
    facts = [
        f"{status.operations_per_second:.0f} ops/s" if status.operations_per_second is not None else "",
        size(status.memory_used) if status.memory_used is not None else "",
        f"{count(keys)} keys",
        f"hits {percent(status.hit_rate_percent)}" if status.hit_rate_percent is not None else "",
    ]
    return [fact for fact in facts if fact]


def _newest_good(backups: Sequence[Backup]) -> Backup | None:
    good = [backup for backup in backups if backup.state is BackupState.GOOD and not backup.in_future]
    return max(good, key=lambda backup: backup.taken_at, default=None)


def backups(frame: Frame) -> list[Content]:
    found, now, glyphs = frame.snapshot.backups, frame.snapshot.sampled_at, frame.glyphs
    good = [backup for backup in found if backup.state is BackupState.GOOD]
    lines = [heading(frame, "Backups", f"{len(good)} good of {len(found)}" if found else "")]
    if not found:
        return [*lines, _nothing(frame, "backups", "no backup was found", Tone.BAD)]
    newest = _newest_good(found)
    if newest is None:
        lines.append(Content.styled(f"{glyphs.bad} not one good backup", Tone.BAD))
    else:
        stale = any(alert.rule.startswith("backup") and alert.state == "firing" for alert in frame.snapshot.alerts)
        tone = Tone.WARNING if stale else Tone.GOOD
        left = Content.assemble((f"{sign(tone, glyphs)} newest good {ago(newest.taken_at, now)}", tone))
        lines.append(_line(left, Content.styled(size(newest.size_bytes), Tone.MUTED), frame.width, glyphs))
    latest = max((backup for backup in found if not backup.in_future), key=lambda one: one.taken_at, default=None)
    if latest is not None and latest is not newest and latest.state is not BackupState.GOOD:
        missing = f", no {', '.join(latest.missing)}" if latest.missing else ""
        left = Content.assemble((f"{glyphs.warning} latest is {latest.state.value}{printable(missing)}", Tone.WARNING))
        lines.append(_line(left, Content.styled(ago(latest.taken_at, now), Tone.MUTED), frame.width, glyphs))
    return lines


def volumes(frame: Frame) -> list[Content]:
    found, glyphs = frame.snapshot.volumes, frame.glyphs
    known = [volume.size_bytes for volume in found if volume.size_bytes is not None]
    lines = [heading(frame, "Volumes", f"{len(found)}, {size(sum(known))}" if known else str(len(found) or ""))]
    if not found:
        return [*lines, _nothing(frame, "volumes", "none")]
    for safety, tone in (
        (Safety.AT_RISK, Tone.BAD),
        (Safety.NOT_IN_BACKUP, Tone.WARNING),
        (Safety.ORPHANED, Tone.MUTED),
    ):
        names = [_volume_name(volume) for volume in found if volume.safety is safety]
        if names:
            left = Content.assemble(
                (f"{sign(tone, glyphs)} {len(names)} {safety.value}", tone), f"  {', '.join(names)}"
            )
            lines.append(_line(left, Content(""), frame.width, glyphs))
    if len(lines) == 1:
        lines.append(Content.styled(f"{glyphs.good} all persistent", Tone.GOOD))
    return lines


def _volume_name(volume: Volume) -> str:
    """The name; of one that the engine made up itself, its beginning."""
    return short_id(volume.name) if volume.kind is VolumeKind.ANONYMOUS else printable(volume.name)


def probes(frame: Frame) -> list[Content]:
    found, glyphs = frame.snapshot.probes, frame.glyphs
    answered = [probe for probe in found if probe.ok is not None]
    ok = sum(bool(probe.ok) for probe in answered)
    tone = Tone.GOOD if ok == len(answered) else Tone.BAD
    lines = [heading(frame, "Probes", f"{ok} of {len(found)} ok" if found else "", tone)]
    if not found:
        return [*lines, _nothing(frame, "probes", "no health endpoint was found")]
    for probe in sorted(found, key=lambda probe: probe.ok is not False)[:4]:
        tone = Tone.ACCENT if probe.ok is None else Tone.GOOD if probe.ok else Tone.BAD
        word = "not asked yet" if probe.ok is None else str(probe.status or "no answer")
        left = Content.assemble((f"{sign(tone, glyphs)} {word}", tone), f"  {printable(probe.endpoint.name)}")
        if probe.problem:
            left += Content.styled(f"  {printable(probe.problem)}", Tone.PLAIN)
        latency = duration(probe.latency_seconds) if probe.latency_seconds is not None else ""
        lines.append(_line(left, Content.styled(latency, Tone.MUTED), frame.width, glyphs))
    return lines


def _nothing(frame: Frame, source: str, said: str, tone: str = Tone.MUTED) -> Content:
    reading = frame.snapshot.readings.get(source)
    if reading is not None and reading.state is SourceState.WAITING:
        return Content.styled("looking", Tone.MUTED)
    if reading is not None and reading.state is SourceState.FAILED:
        return Content.styled(f"{frame.glyphs.bad} cannot be read: {printable(reading.problem)}", Tone.BAD)
    return Content.styled(said, tone)
