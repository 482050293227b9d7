"""The host's measurements as lines: processor, memory, disks, throughput, top processes.

Pure functions: a HostSample (or None, before the first one), its histories and a width in; lines out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from textual.content import Content

from opsconsole.model import Disk, HostSample
from opsconsole.text import printable
from opsconsole.ui.widgets.chart import INK, inked, painted, sparkline
from opsconsole.ui.widgets.gauge import gauge, level_tone
from opsconsole.ui.widgets.lines import fact, fit, flowed, joined, section, share_of, shorten_middle
from opsconsole.ui.wording import Glyphs, Tone, percent, plural, rate, short_rate, short_size, size

History = Mapping[str, Sequence[float]]

LABEL = 9
"""Cells of the label column, the same in every section so that bars and numbers stand under each other."""

CPU_LIMIT, MEMORY_LIMIT, DISK_LIMIT = 80.0, 85.0, 90.0
"""Percent at which the runbook's alerts begin; only the colour follows them here, alerts follow the configuration."""

MOST_CORES_AS_BARS = 16
STEAL_WORTH_SEEING, IOWAIT_WORTH_SEEING = 5.0, 20.0
FULL_SOON_DAYS = 14.0


def bar_width(width: int) -> int:
    """Of the bars that have a number and a note beside them: equal in all sections."""
    return max(8, min(30, width // 4))


def measured(label: str, share: float | None, width: int, glyphs: Glyphs, note: str, limit: float) -> list[Content]:
    """`label ━━━━──── 37 %  note`; the note goes to a line of its own when there is no room beside."""
    critical = max(limit, 95.0)
    head = Content.assemble(
        (fit(label, LABEL, ellipsis=glyphs.ellipsis), Tone.MUTED),
        gauge(share, bar_width(width), warning=limit, critical=critical, glyphs=glyphs),
        (fit(percent(share), 6, right=True), level_tone(share, limit, critical) if (share or 0) >= limit else ""),
    )
    if not note:
        return [head]
    if head.cell_length + 2 + len(note) <= width:
        return [head + Content.styled(f"  {note}", Tone.MUTED)]
    return [head, Content.styled(" " * LABEL + note, Tone.MUTED)]


def charted(
    values: Sequence[float], width: int, height: int, glyphs: Glyphs, limit: float | None, high: float | None = None
) -> list[Content]:
    """A history under the label column, or nothing while there are fewer than two values."""
    room = width - LABEL
    if len(values) < 2 or room < 8:
        return []
    rows = painted(values, room, height, high=high, limit=limit, ascii=glyphs.ascii)
    return [row.pad_left(LABEL) for row in rows]


def cpu(host: HostSample | None, history: History, width: int, glyphs: Glyphs, *, tall: bool = False) -> list[Content]:
    lines = [section("CPU", width, glyphs, plural(host.cpus, "core") if host and host.cpus else "")]
    if host is None:
        return [*lines, _waiting()]
    lines += measured("total", host.cpu_percent, width, glyphs, "", CPU_LIMIT)
    lines += charted(history.get("host.cpu", ()), width, 5 if tall else 2, glyphs, CPU_LIMIT, 100.0)
    lines += _cores(host.cpu_per_core, width, glyphs)
    load = "-" if host.load is None else "  ".join(f"{value:.2f}" for value in host.load)
    steal, iowait = host.steal_percent, host.iowait_percent
    facts = [
        Content.assemble((fit("load", LABEL), Tone.MUTED), (load, _load_tone(host))),
        fact("steal", percent(steal, 1), Tone.WARNING if (steal or 0) >= STEAL_WORTH_SEEING else ""),
        fact("iowait", percent(iowait, 1), Tone.WARNING if (iowait or 0) >= IOWAIT_WORTH_SEEING else ""),
    ]
    return [*lines, *flowed(facts, width, gap=3)]


def _load_tone(host: HostSample) -> str:
    """Load over twice the cores: work is queueing. (A load near the core count is a busy, healthy host.)"""
    if host.load is None or not host.cpus:
        return ""
    return Tone.WARNING if host.load[1] > 2 * host.cpus else ""


def _cores(shares: Sequence[float], width: int, glyphs: Glyphs) -> list[Content]:
    if not shares:
        return []
    if len(shares) <= MOST_CORES_AS_BARS:
        return _core_bars(shares, width, glyphs)
    busiest = max(range(len(shares)), key=lambda core: shares[core])
    room = max(8, width - LABEL)
    lines = []
    for start in range(0, len(shares), room):
        chunk = shares[start : start + room]
        strip = sparkline(chunk, len(chunk), high=100.0, ascii=glyphs.ascii)
        styled = Content.styled(strip, INK)
        for place, share in enumerate(chunk):
            if share >= CPU_LIMIT:
                styled = styled.stylize(Tone.WARNING, place, place + 1)
        lines.append(Content.assemble((fit("" if start else "per core", LABEL), Tone.MUTED), styled))
    said = f"busiest: core {busiest} at {percent(shares[busiest])}"
    return [*lines, Content.styled(" " * LABEL + said, Tone.MUTED)]


def _core_bars(shares: Sequence[float], width: int, glyphs: Glyphs) -> list[Content]:
    """As many equal bars side by side as fit, numbered like the kernel numbers them."""
    bar, gap, number = 8, 2, 5
    cell = 3 + bar + number
    across = max(1, (width - LABEL + gap) // (cell + gap))
    rows = -(-len(shares) // across)
    across = -(-len(shares) // rows)  # evenly filled rows
    bar = min(20, (width - LABEL + gap) // across - gap - 3 - number)
    lines = []
    for row in range(rows):
        line = Content.styled(fit("" if row else "per core", LABEL), Tone.MUTED)
        for core, share in list(enumerate(shares))[row * across : (row + 1) * across]:
            line += Content.assemble(
                (f"{core:>2} ", Tone.MUTED),
                gauge(share, max(3, bar), warning=CPU_LIMIT, critical=95.0, glyphs=glyphs),
                fit(percent(share), number, right=True),
                " " * gap,
            )
        lines.append(line.rstrip())
    return lines


def memory(
    host: HostSample | None, history: History, width: int, glyphs: Glyphs, *, tall: bool = False
) -> list[Content]:
    left = host.memory_available if host else None
    lines = [section("Memory", width, glyphs, f"{size(left)} available" if left is not None else "")]
    if host is None:
        return [*lines, _waiting()]
    note = share_of(host.memory_used, host.memory_total) if host.memory_total else ""
    lines += measured("memory", host.memory_percent, width, glyphs, note, MEMORY_LIMIT)
    lines += charted(history.get("host.memory", ()), width, 3 if tall else 1, glyphs, MEMORY_LIMIT, 100.0)
    if host.swap_total == 0:
        return [*lines, Content.styled(fit("swap", LABEL) + "none on this host", Tone.MUTED)]
    share = 100 * host.swap_used / host.swap_total if host.swap_total and host.swap_used is not None else None
    note = share_of(host.swap_used, host.swap_total) if host.swap_total else ""
    return [*lines, *measured("swap", share, width, glyphs, note, 50.0)]


def disks(host: HostSample | None, width: int, glyphs: Glyphs) -> list[Content]:
    lines = [section("Disks", width, glyphs)]
    if host is None:
        return [*lines, _waiting()]
    if not host.disks:
        return [*lines, Content.styled("No disk could be measured.", Tone.MUTED)]
    for disk in host.disks:
        lines += _disk(disk, width, glyphs)
    return lines


def _disk(disk: Disk, width: int, glyphs: Glyphs) -> list[Content]:
    where = f"{disk.filesystem or 'unknown file system'} on {disk.device}" if disk.device else disk.filesystem
    mount = shorten_middle(disk.mount, max(LABEL, width // 2), ellipsis=glyphs.ellipsis)
    holds = f"holds {disk.holds}" if disk.holds else ""
    head = joined([(mount, Tone.STRONG), (printable(where), Tone.MUTED), (printable(holds), "")], f" {glyphs.dot} ")
    note = f"{share_of(disk.used_bytes, disk.total_bytes)}, {size(disk.free_bytes)} free"
    shares = measured("", disk.used_percent, width, glyphs, note, DISK_LIMIT)
    inodes = _inodes_used(disk)
    facts = [
        Content("")
        if inodes is None
        else fact("inodes", percent(inodes), level_tone(inodes) if inodes >= DISK_LIMIT else ""),
        _full_in(disk.full_in_days, glyphs),
    ]
    return [head, *shares, *flowed(facts, width, gap=3, indent=LABEL)]


def _inodes_used(disk: Disk) -> float | None:
    if not disk.inodes_total or disk.inodes_free is None:
        return None  # btrfs and some network file systems have no fixed number
    return 100 * (disk.inodes_total - disk.inodes_free) / disk.inodes_total


def _full_in(days: float | None, glyphs: Glyphs) -> Content:
    if days is None:
        return Content("")
    if days < 1:
        return Content.styled(f"{glyphs.bad} full in less than a day", Tone.BAD)
    said = f"full in about {plural(round(days), 'day')}" if days <= 365 else "full in more than a year"
    if days <= FULL_SOON_DAYS:
        return Content.styled(f"{glyphs.warning} {said}", Tone.WARNING)
    return Content.styled(said, Tone.MUTED)


def throughput(host: HostSample | None, history: History, width: int, glyphs: Glyphs) -> list[Content]:
    lines = [section("Disk and network", width, glyphs)]
    if host is None:
        return [*lines, _waiting()]
    for label, now, series in (
        ("read", host.disk_read_rate, "host.disk_read"),
        ("written", host.disk_write_rate, "host.disk_write"),
        ("received", host.network_received_rate, "host.network_received"),
        ("sent", host.network_sent_rate, "host.network_sent"),
    ):
        values = history.get(series, ())
        top = f"  top {short_rate(max(values[-width:]))}" if len(values) > 1 and width >= 50 else ""
        room = max(0, width - LABEL - 12 - len(top) - 1)
        lines.append(
            Content.assemble(
                (fit(label, LABEL), Tone.MUTED),
                fit(rate(now), 11, right=True),
                " ",
                inked(values, room, ascii=glyphs.ascii),
                (top, Tone.MUTED),
            )
        )
    return lines


def processes(host: HostSample | None, width: int, glyphs: Glyphs, most: int = 10) -> list[Content]:
    lines = [section("Top processes", width, glyphs, "by CPU")]
    if host is None:
        return [*lines, _waiting()]
    if not host.processes:
        return [*lines, Content.styled("No process is listed yet.", Tone.MUTED)]
    user = 10 if width >= 56 else 0
    name = 16 if width >= 72 else 0
    head = fit("pid", 8, right=True) + fit("cpu", 7, right=True) + fit("memory", 8, right=True) + "  "
    head += fit("user", user) + (" " if user else "") + fit("name", name) + (" " if name else "") + "command"
    lines.append(Content.styled(fit(head, width), Tone.MUTED))
    for process in host.processes[:most]:
        fixed = fit(str(process.pid), 8, right=True)
        fixed += fit(percent(process.cpu_percent), 7, right=True) + fit(short_size(process.memory_bytes), 8, right=True)
        fixed += "  " + (fit(process.user, user, ellipsis=glyphs.ellipsis) + " " if user else "")
        fixed += fit(process.name, name, ellipsis=glyphs.ellipsis) + " " if name else ""
        command = process.command or process.name
        lines.append(Content(fixed + fit(command, max(0, width - len(fixed)), ellipsis=glyphs.ellipsis).rstrip()))
    return lines


def _waiting() -> Content:
    return Content.styled("No numbers yet.", Tone.MUTED)
