"""The stack's measurements as lines: alerts, HTTP probes, access logs, containers by use.

Pure functions: parts of a Snapshot and a width in, lines out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from textual.content import Content

from opsconsole.model import AccessRate, Alert, AlertState, Container, Probe, Severity
from opsconsole.text import printable
from opsconsole.ui.widgets.chart import inked
from opsconsole.ui.widgets.lines import fit, joined, latency, longest, section, shorten_middle, wrapped
from opsconsole.ui.wording import (
    Glyphs,
    Tone,
    age,
    ago,
    count,
    decided,
    percent,
    plural,
    severity_tone,
    short_size,
    sign,
)

History = Mapping[str, Sequence[float]]

SLOW_SECONDS, ERROR_PERCENT = 2.0, 5.0
MOST_CONTAINERS = 12
ALERTS_SIDE_BY_SIDE = 100  # cells
_ORDER = {AlertState.FIRING: 0, AlertState.PENDING: 1, AlertState.RESOLVED: 2}


def alerts(
    found: Sequence[Alert], now: datetime, width: int, glyphs: Glyphs, *, measured: bool = True
) -> list[Content]:
    """Worst first: what fires, what is about to, what is over. Each with since when and what to do."""
    counts = [(state, sum(alert.state is state for alert in found)) for state in AlertState]
    note = ", ".join(f"{number} {state.value}" for state, number in counts if number)
    lines = [section("Alerts", width, glyphs, note)]
    if not found and not measured:
        return [*lines, Content.styled("Nothing is measured yet.", Tone.MUTED)]
    if not found:
        return [*lines, Content.assemble((f"{glyphs.good} ", Tone.GOOD), "None. Every rule is within its limit.")]
    for alert in sorted(found, key=_urgency):
        lines += _alert(alert, now, width, glyphs)
    return lines


def _urgency(alert: Alert) -> tuple[int, bool, bool, float]:
    known = alert.acknowledged is not None or alert.silenced is not None
    return _ORDER[alert.state], known, alert.severity is not Severity.CRITICAL, -alert.since.timestamp()


def _alert(alert: Alert, now: datetime, width: int, glyphs: Glyphs) -> list[Content]:
    over = alert.state is AlertState.RESOLVED
    tone = Tone.GOOD if over else severity_tone(alert.severity)
    if alert.state is AlertState.PENDING:
        tone = Tone.ACCENT
    if not over and (alert.acknowledged or alert.silenced):
        tone = Tone.MUTED
    word = alert.state.value if over else f"{alert.state.value} {alert.severity.value}"
    head = Content.assemble(
        (fit(f"{sign(tone, glyphs)} {word}", 19), tone),
        (fit(since(alert.since, now), 23), Tone.MUTED),
    )
    about = "" if alert.subject in alert.message else f"{alert.subject}: "
    beside = width >= ALERTS_SIDE_BY_SIDE
    indent = head.cell_length if beside else 2
    lines = wrapped(about + alert.message, width, indent=indent)
    if said := decided(alert, now):
        lines += wrapped(said, width, indent=indent, style=Tone.MUTED)
    elif alert.action and not over:
        lines += wrapped(f"{glyphs.arrow} {alert.action}", width, indent=indent, style=Tone.ACCENT)
    if not beside:
        return [head + Content.styled(printable(alert.rule), Tone.MUTED), *lines]
    return [head + lines[0][indent:], *lines[1:]]


def since(at: datetime, now: datetime) -> str:
    """`since 12:02 (2 h)` in local time; the date instead when that was not today."""
    local = at.astimezone()
    today = local.date() == now.astimezone().date()
    return f"since {local:%H:%M} ({age(at, now)})" if today else f"since {local:%Y-%m-%d} ({age(at, now)})"


def probes(
    found: Sequence[Probe], history: History, now: datetime, width: int, glyphs: Glyphs, *, asked: bool = True
) -> list[Content]:
    lines = [section("HTTP", width, glyphs, "average and errors: last 5 min")]
    if not found and not asked:
        return [*lines, Content.styled("Looking for health endpoints.", Tone.MUTED)]
    if not found:
        said = "No health endpoint is known. Add a [[probes]] table with its url to opsconsole.toml."
        return [*lines, *wrapped(said, width, style=Tone.MUTED)]
    name = longest((probe.endpoint.name for probe in found), 4, max(8, width // 4))
    for probe in found:
        lines += _probe(probe, history, now, width, name, glyphs)
    return lines


def _probe(probe: Probe, history: History, now: datetime, width: int, name: int, glyphs: Glyphs) -> list[Content]:
    tone, word = _probe_state(probe)
    errors = percent(100 * probe.errors / probe.requests, 1) if probe.requests else "-"
    slow = (probe.average_seconds or 0) > SLOW_SECONDS
    faulty = bool(probe.requests) and 100 * probe.errors / probe.requests > ERROR_PERCENT
    head = Content.assemble(
        (f"{sign(tone, glyphs)} ", tone),
        (fit(probe.endpoint.name, name, ellipsis=glyphs.ellipsis), Tone.STRONG),
        (f" {fit(word, 9)} ", tone),
    )
    facts = [
        Content.assemble(("now ", Tone.MUTED), fit(latency(probe.latency_seconds), 6, right=True)),
        Content.assemble(
            ("average ", Tone.MUTED),
            (fit(latency(probe.average_seconds), 6, right=True), Tone.WARNING if slow else ""),
        ),
        Content.assemble(("errors ", Tone.MUTED), (fit(errors, 6, right=True), Tone.BAD if faulty else "")),
    ]
    values = history.get(f"probe.{probe.endpoint.name}", ())
    beside = sum(each.cell_length + 2 for each in facts)
    room = min(40, width - head.cell_length - (beside if width >= head.cell_length + beside + 8 else 0) - 2)
    if len(values) > 1 and room >= 8:
        facts.append(inked(values, room, ascii=glyphs.ascii))
    lines = [head + Content("  ").join(facts)]
    if head.cell_length + beside + (room + 2 if len(values) > 1 and room >= 8 else 0) > width:
        lines = [head + (facts.pop() if len(facts) > 3 else Content("")), Content("  ").join(facts).pad_left(2)]
    if probe.problem:
        lines += wrapped(probe.problem, width, indent=2, style=Tone.BAD)
    asked = f"asked {ago(probe.asked_at, now)}" if probe.asked_at else "not asked yet"
    url = shorten_middle(probe.endpoint.url, max(10, width - len(asked) - 5), ellipsis=glyphs.ellipsis)
    return [*lines, joined([url, asked], f" {glyphs.dot} ").pad_left(2).stylize(Tone.MUTED)]


def _probe_state(probe: Probe) -> tuple[Tone, str]:
    if probe.ok is None:
        return Tone.MUTED, "waiting"
    if probe.status is None:
        return (Tone.GOOD, "ok") if probe.ok else (Tone.BAD, "no answer")
    return (Tone.GOOD, f"ok {probe.status}") if probe.ok else (Tone.BAD, f"HTTP {probe.status}")


def access(found: Sequence[AccessRate], width: int, glyphs: Glyphs) -> list[Content]:
    """What the access logs say. Nothing at all when no service writes any."""
    if not found:
        return []
    lines = [section("Access logs", width, glyphs, "last 5 min")]
    name = longest((one.service for one in found), 4, max(8, width // 3))
    for one in found:
        share = 100 * one.errors / one.requests if one.requests else 0.0
        faulty = share > ERROR_PERCENT
        lines.append(
            Content.assemble(
                (f"{glyphs.warning if faulty else glyphs.good} ", Tone.WARNING if faulty else Tone.GOOD),
                fit(one.service, name, ellipsis=glyphs.ellipsis),
                f" {count(one.requests)} answers",
                (", ", Tone.MUTED),
                (f"{count(one.errors)} of them 5xx ({percent(share, 1)})", Tone.WARNING if faulty else Tone.MUTED),
            )
        )
    return lines


def containers(
    found: Sequence[Container], history: History, width: int, glyphs: Glyphs, most: int = MOST_CONTAINERS
) -> list[Content]:
    """The containers that use most, with their recent processor and memory use."""
    measured = [one for one in found if one.usage is not None and one.state == "running"]
    measured.sort(key=lambda one: (-(one.usage.cpu_percent or 0.0), one.name) if one.usage else (0.0, one.name))
    note = f"top {most} of {len(measured)} by CPU" if len(measured) > most else "by CPU"
    lines = [section("Containers", width, glyphs, note)]
    if not measured:
        running = any(one.state == "running" for one in found)
        said = "No numbers yet." if running or not found else "None is running."
        return [*lines, Content.styled(said, Tone.MUTED)]
    name = longest((one.service or one.name for one in measured[:most]), 6, max(8, width // 4))
    room = max(0, (width - name - 7 - 8 - 4) // 2)
    head = f"{fit('', name)}{fit('cpu', 7, right=True)} {fit('', room)} {fit('memory', 8, right=True)}"
    lines.append(Content.styled(head.rstrip(), Tone.MUTED))
    for one in measured[:most]:
        usage = one.usage
        assert usage is not None
        used, memory = history.get(f"cpu.{one.id}", ()), history.get(f"memory.{one.id}", ())
        lines.append(
            Content.assemble(
                fit(one.service or one.name, name, ellipsis=glyphs.ellipsis),
                fit(percent(usage.cpu_percent, 1), 7, right=True),
                " ",
                inked(used, room, high=max(10.0, *used[-room:], 0.0), ascii=glyphs.ascii),
                " ",
                fit(short_size(usage.memory_bytes), 8, right=True),
                " ",
                inked(memory, room, high=1.25 * max(memory, default=0.0), ascii=glyphs.ascii),
            )
        )
    left = len(measured) - most
    return [*lines, Content.styled(f"and {plural(left, 'more container')}", Tone.MUTED)] if left > 0 else lines
