"""The columns of the Containers pane, and who leaves first where there is no room for all."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from opsconsole.ui.panes.container_rows import (
    ContainerRow,
    cpu_cell,
    drift_cell,
    exit_cell,
    flow,
    image_cell,
    memory_cell,
    ports_text,
    restarts_cell,
    standing_cell,
    uptime_cell,
)
from opsconsole.ui.widgets.columns import Column
from opsconsole.ui.wording import UNKNOWN, Glyphs, Tone, age


class Look(Protocol):
    """What cells are drawn with; read when they are drawn."""

    @property
    def glyphs(self) -> Glyphs: ...

    @property
    def now(self) -> datetime: ...


def columns(look: Look) -> Sequence[Column[ContainerRow]]:
    """Service and state stay always; then CPU, memory, drift, uptime, restarts, ports and the rest as room allows."""

    def network(row: ContainerRow) -> str:
        usage = row.usage
        if usage is None:
            return UNKNOWN
        return flow(usage.network_received_rate, usage.network_sent_rate)

    def block(row: ContainerRow) -> str:
        usage = row.usage
        return UNKNOWN if usage is None else flow(usage.block_read_rate, usage.block_written_rate)

    def image_age(row: ContainerRow) -> tuple[str, str]:
        created = row.container.image_created if row.container else None
        return (age(created, look.now) if created else ""), Tone.MUTED

    return (
        Column("service", "Service", 16, lambda row: row.name, grow=True, most=32),
        Column("state", "State", 15, lambda row: standing_cell(row, look.glyphs), grow=True, most=17,
               order=lambda row: row.standing.rank),
        Column("drift", "Drift", 5, drift_cell, priority=3, order=lambda row: drift_cell(row)[0] == ""),
        Column("cpu", "CPU", 6, cpu_cell, priority=1, align="right", descending=True,
               order=lambda row: row.usage and row.usage.cpu_percent),
        Column("memory", "Memory", 11, memory_cell, priority=2, align="right", descending=True,
               order=lambda row: row.usage and row.usage.memory_bytes),
        Column("uptime", "Up", 8, lambda row: uptime_cell(row, look.now), priority=4, align="right",
               order=lambda row: row.container and row.container.started_at, descending=True),
        Column("restarts", "Restarts", 8, restarts_cell, priority=5, align="right", descending=True, squeezes=True,
               order=lambda row: row.container and row.container.restarts),
        Column("exit", "Exit", 4, exit_cell, priority=7, align="right"),
        Column("network", "Net in, out/s", 13, network, priority=8, align="right", descending=True,
               order=lambda row: row.usage and row.usage.network_received_rate),
        Column("block", "Read, write/s", 13, block, priority=9, align="right", descending=True,
               order=lambda row: row.usage and row.usage.block_written_rate),
        Column("ports", "Ports", 9, lambda row: ports_text(row.container.ports if row.container else ()),
               priority=6, grow=True, most=28),
        Column("image", "Image", 12, lambda row: (image_cell(row), Tone.MUTED), priority=10, grow=True,
               most=48),
        Column("image_age", "Built", 7, image_age, priority=11, align="right",
               order=lambda row: row.container and row.container.image_created),
        Column("name", "Container", 14, lambda row: (row.container.name if row.container else "", Tone.MUTED),
               priority=12, grow=True, most=44),
    )  # fmt: skip
