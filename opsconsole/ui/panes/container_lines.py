"""All that is known about one container, as lines for a width."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich.cells import cell_len
from textual.content import Content

from opsconsole.model import Container, Mount
from opsconsole.text import printable
from opsconsole.ui.panes.container_rows import ContainerRow, memory_share, ports_text
from opsconsole.ui.wording import (
    UNKNOWN,
    Glyphs,
    Tone,
    age,
    ago,
    count,
    moment,
    percent,
    rate,
    short_id,
    size,
)

LABEL_CELLS = 14


def container_lines(row: ContainerRow, now: datetime, width: int, glyphs: Glyphs) -> list[Content]:
    """State first, then what it uses, where its data lies, how it is reached, and what it was given."""
    if row.container is None:
        return _service_lines(row, width)
    container = row.container
    lines = [*_state(row, container, now, width, glyphs)]
    lines += _section("Health", _health(container, now, width), width, glyphs)
    lines += _section("Use", _usage(row, now, width), width, glyphs)
    lines += _section("Image and command", _image(container, now, width), width, glyphs)
    lines += _section("Mounts", _mounts(container.mounts, width, glyphs), width, glyphs)
    lines += _section("Network", _network(container, width), width, glyphs)
    lines += _section("Environment (secrets masked)", _pairs(container.environment, width), width, glyphs)
    lines += _section("Labels", _pairs(container.labels, width), width, glyphs)
    return lines


def _section(title: str, lines: Sequence[Content], width: int, glyphs: Glyphs) -> list[Content]:
    if not lines:
        return []
    rule = glyphs.rule * max(0, width - len(title) - 1)
    return [Content(""), Content.assemble((title, Tone.STRONG), " ", (rule, Tone.MUTED)), *lines]


def fact_lines(label: str, value: str, width: int, tone: str = Tone.PLAIN) -> list[Content]:
    """`label   value`, the value wrapped under itself and never cut. Outside text is made printable."""
    room = max(8, width - LABEL_CELLS)
    wrapped: list[Content] = []
    for line in printable(value, lines=True).split("\n"):
        wrapped += Content.styled(line, tone).wrap(room, overflow="fold")
    shown = printable(label)
    if cell_len(shown) >= LABEL_CELLS:
        names = Content.styled(shown, Tone.MUTED).wrap(max(8, width), overflow="fold")
        return [*names, *(line.pad_left(LABEL_CELLS) for line in wrapped)]
    first = Content.assemble((shown.ljust(LABEL_CELLS), Tone.MUTED), wrapped[0] if wrapped else "")
    return [first, *(line.pad_left(LABEL_CELLS) for line in wrapped[1:])]


def _service_lines(row: ContainerRow, width: int) -> list[Content]:
    service = row.service
    lines = fact_lines("state", "The compose file wants this service, and it has no container.", width, Tone.WARNING)
    if service is None:
        return lines
    lines += fact_lines("image", service.image or ("built here" if service.builds else UNKNOWN), width)
    if service.depends_on:
        lines += fact_lines("depends on", ", ".join(service.depends_on), width)
    if ports := ports_text(service.ports):
        lines += fact_lines("ports", ports, width)
    return lines


def _state(row: ContainerRow, container: Container, now: datetime, width: int, glyphs: Glyphs) -> list[Content]:
    if row.running:
        when = f", up {age(container.started_at, now)}" if container.started_at else ""
    else:
        when = f", ended {ago(container.finished_at, now)}" if container.finished_at else ""
    lines = fact_lines("state", f"{row.standing.said(glyphs)} ({container.state}{when})", width, row.standing.tone)
    if container.drift:
        lines += fact_lines("drift", container.drift, width, Tone.WARNING)
    if container.error:
        lines += fact_lines("error", container.error, width, Tone.BAD)
    if container.oom_killed:
        lines += fact_lines("killed", "The kernel ended it: it wanted more memory than it may use.", width, Tone.BAD)
    if container.exit_code is not None and not row.running:
        lines += fact_lines("exit code", f"{container.exit_code}{_exit_meaning(container.exit_code)}", width)
    lines += fact_lines("restarts", f"{count(container.restarts)}, policy {container.restart_policy or 'no'}", width)
    lines += fact_lines("name", container.name, width)
    lines += fact_lines("id", container.id, width)
    lines += fact_lines("created", f"{moment(container.created_at, now)} ({ago(container.created_at, now)})", width)
    if not container.detailed:
        lines += fact_lines("", "Its details are still being read.", width, Tone.MUTED)
    return lines


_SIGNALS = {129: "SIGHUP", 130: "SIGINT", 134: "SIGABRT", 137: "SIGKILL", 139: "SIGSEGV", 143: "SIGTERM"}


def _exit_meaning(code: int) -> str:
    if code in _SIGNALS:
        return f" (ended by {_SIGNALS[code]})"
    return {126: " (its command cannot be run)", 127: " (its command was not found)"}.get(code, "")


def _health(container: Container, now: datetime, width: int) -> list[Content]:
    lines: list[Content] = []
    for check in reversed(container.health_log):
        tone = Tone.GOOD if check.exit_code == 0 else Tone.BAD
        said = "passed" if check.exit_code == 0 else f"failed, exit code {check.exit_code}"
        output = f"\n{check.output.rstrip()}" if check.output.strip() else ""
        lines += fact_lines(moment(check.started_at, now), f"{said}{output}", width, tone)
    return lines


def _usage(row: ContainerRow, now: datetime, width: int) -> list[Content]:
    usage = row.usage
    if usage is None:
        return []
    share = memory_share(row)
    limit = f" of {size(usage.memory_limit)} ({percent(share)})" if usage.memory_limit else ", no limit of its own"
    lines = fact_lines("CPU", percent(usage.cpu_percent, 1), width)
    lines += fact_lines("memory", f"{size(usage.memory_bytes)}{limit}", width)
    lines += fact_lines(
        "network",
        f"in {rate(usage.network_received_rate)}, out {rate(usage.network_sent_rate)}; "
        f"since its start in {size(usage.network_received)}, out {size(usage.network_sent)}",
        width,
    )
    lines += fact_lines(
        "block I/O",
        f"read {rate(usage.block_read_rate)}, written {rate(usage.block_written_rate)}; "
        f"since its start read {size(usage.block_read)}, written {size(usage.block_written)}",
        width,
    )
    if usage.processes is not None:
        lines += fact_lines("processes", count(usage.processes), width)
    lines += fact_lines("sampled", ago(usage.sampled_at, now), width, Tone.MUTED)
    return lines


def _image(container: Container, now: datetime, width: int) -> list[Content]:
    built = f", built {ago(container.image_created, now)}" if container.image_created else ""
    lines = fact_lines("image", f"{container.image}{built}", width)
    if container.image_id:
        lines += fact_lines("image id", short_id(container.image_id), width)
    if container.command:
        lines += fact_lines("command", container.command, width)
    return lines


def _mounts(mounts: Sequence[Mount], width: int, glyphs: Glyphs) -> list[Content]:
    lines: list[Content] = []
    for mount in mounts:
        kind = "anonymous volume" if mount.anonymous else mount.kind
        what = mount.name if mount.kind == "volume" and not mount.anonymous else mount.source or mount.name
        mode = ", read-only" if mount.read_only else ""
        value = f"{mount.destination} {glyphs.arrow} {what}{mode}" if what else f"{mount.destination}{mode}"
        lines += fact_lines(kind if len(kind) < LABEL_CELLS else "anonymous", value, width)
    return lines


def _network(container: Container, width: int) -> list[Content]:
    lines: list[Content] = []
    if ports := ports_text(container.ports):
        lines += fact_lines("published", ports, width)
    inner = [f"{port.container_port}/{port.protocol}" for port in container.ports if port.host_port is None]
    if inner:
        lines += fact_lines("exposed", ", ".join(inner), width)
    for network in container.networks:
        lines += fact_lines(network.network, network.address or "no address", width)
    return lines


def _pairs(pairs: Sequence[tuple[str, str]], width: int) -> list[Content]:
    lines: list[Content] = []
    for name, value in pairs:
        text = Content.assemble((f"{printable(name)}=", Tone.MUTED), printable(value))
        lines += text.wrap(max(8, width), overflow="fold")
    return lines


def heading_of(row: ContainerRow) -> str:
    """What the details are about, for a heading."""
    if row.container is None:
        return f"{row.name} (no container)"
    named = "" if row.container.name == row.name else f"  {row.container.name}"
    return f"{row.name}{named}  {short_id(row.container.id)}"
