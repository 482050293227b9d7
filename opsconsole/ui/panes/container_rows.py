"""The rows of the Containers pane: every container of the stack, and every service that should have one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from opsconsole.model import Container, Port, Service, Snapshot, Usage
from opsconsole.ui.wording import (
    NOT_CREATED,
    NOT_KNOWN,
    UNKNOWN,
    Glyphs,
    Standing,
    Tone,
    age,
    container_standing,
    count,
    percent,
    short_size,
)

_STOPPED = ("exited", "dead", "created")


@dataclass(frozen=True, slots=True)
class ContainerRow:
    """A container with its service, or a service without one (`container` is None)."""

    container: Container | None
    service: Service | None
    standing: Standing

    @property
    def key(self) -> str:
        if self.container is not None:
            return self.container.id
        return f"service:{self.service.name if self.service else ''}"

    @property
    def name(self) -> str:
        """Service name, with the number where there is more than one; the container's name outside Compose."""
        if self.container is None:
            return self.service.name if self.service else ""
        if not self.container.service:
            return self.container.name
        many = self.service is not None and self.service.replicas > 1
        return (
            f"{self.container.service} {self.container.number}"
            if many or self.container.number > 1
            else self.container.service
        )

    @property
    def usage(self) -> Usage | None:
        return self.container.usage if self.container else None

    @property
    def running(self) -> bool:
        return self.container is not None and self.container.state in ("running", "paused", "restarting")

    @property
    def stale(self) -> bool:
        """Stopped, and of no service that is wanted now: left behind by an earlier compose file or profile."""
        stopped = self.container is not None and self.container.state in _STOPPED
        return stopped and (self.service is None or not self.service.active)


def rows_of(snapshot: Snapshot, *, all_stopped: bool = False) -> list[ContainerRow]:
    """Containers in the order of their services, then services without one.

    Stopped containers are shown when their service is wanted; with `all_stopped` also those left behind.
    Services of profiles that are not in use appear only if they have a container.
    """
    services = {service.name: service for service in snapshot.stack.services} if snapshot.stack else {}
    engine = snapshot.readings.get("engine")
    absent = NOT_KNOWN if engine and engine.sampled_at is None else NOT_CREATED
    rows = []
    seen = set()
    for container in snapshot.containers:
        service = services.get(container.service)
        seen.add(container.service)
        row = ContainerRow(container, service, container_standing(container, service))
        if all_stopped or not row.stale:
            rows.append(row)
    for service in services.values():
        if service.active and service.replicas > 0 and service.name not in seen:
            rows.append(ContainerRow(None, service, absent))
    order = {name: position for position, name in enumerate(services)}
    rows.sort(key=lambda row: (order.get(_service_of(row), len(order)), _service_of(row), _number_of(row), row.name))
    return rows


def _service_of(row: ContainerRow) -> str:
    return row.container.service if row.container else row.service.name if row.service else ""


def _number_of(row: ContainerRow) -> int:
    return row.container.number if row.container else 0


def tally(rows: Iterable[ContainerRow]) -> tuple[int, int]:
    """(how many are as they should be, how many there are)."""
    rows = list(rows)
    return sum(row.standing.tone is Tone.GOOD for row in rows), len(rows)


# --- cells -----------------------------------------------------------------------------------------


def standing_cell(row: ContainerRow, glyphs: Glyphs) -> tuple[str, str]:
    return row.standing.said(glyphs), row.standing.tone


def drift_cell(row: ContainerRow) -> tuple[str, str]:
    return ("drift", Tone.WARNING) if row.container is not None and row.container.drift else ("", Tone.PLAIN)


def cpu_cell(row: ContainerRow) -> tuple[str, str]:
    value = row.usage.cpu_percent if row.usage else None
    tone = Tone.WARNING if value is not None and value >= 80 else Tone.PLAIN
    return percent(value, 1 if value is not None and value < 10 else 0), tone


def memory_share(row: ContainerRow) -> float | None:
    usage = row.usage
    if usage is None or usage.memory_bytes is None or not usage.memory_limit:
        return None
    return usage.memory_bytes / usage.memory_limit * 100


def memory_cell(row: ContainerRow) -> tuple[str, str]:
    """`310M/512M`: what it uses and its limit, if it has one."""
    usage = row.usage
    if usage is None or usage.memory_bytes is None:
        return UNKNOWN, Tone.PLAIN
    share = memory_share(row)
    tone = Tone.PLAIN if share is None or share < 85 else Tone.BAD if share >= 95 else Tone.WARNING
    limit = f"/{short_size(usage.memory_limit)}" if usage.memory_limit else ""
    return short_size(usage.memory_bytes) + limit, tone


def flow(inward: float | None, outward: float | None) -> str:
    """Bytes per second in and out, or read and written: `1.2K 340B`."""
    if inward is None and outward is None:
        return UNKNOWN
    return f"{short_size(inward)} {short_size(outward):>5}"


def restarts_cell(row: ContainerRow) -> tuple[str, str]:
    number = row.container.restarts if row.container else None
    return thousands(number), Tone.WARNING if number else Tone.PLAIN


def thousands(number: int | None) -> str:
    """A count in four cells: `999`, `1.4k`, `12k`. The details say it in full."""
    if number is None or number < 1000:
        return count(number)
    return f"{number // 100 / 10:.1f}k" if number < 10_000 else f"{number // 1000}k"


def exit_cell(row: ContainerRow) -> tuple[str, str]:
    container = row.container
    if container is None or container.state not in ("exited", "dead", "restarting"):
        return "", Tone.PLAIN
    if container.oom_killed:
        return "OOM", Tone.BAD
    return count(container.exit_code), Tone.BAD if container.exit_code else Tone.PLAIN


def ports_text(ports: Sequence[Port]) -> str:
    """Published ports as `host>container`, open on every address unless one stands before; both IP versions once."""
    said: list[str] = []
    for port in ports:
        if port.host_port is None:
            continue
        local = port.host_address not in ("", "0.0.0.0", "::")
        address = f"{port.host_address}:" if local else ""
        inner = "" if port.host_port == port.container_port else f">{port.container_port}"
        protocol = "" if port.protocol == "tcp" else f"/{port.protocol}"
        text = f"{address}{port.host_port}{inner}{protocol}"
        if text not in said:
            said.append(text)
    return ",".join(said)


def uptime_cell(row: ContainerRow, now: datetime) -> tuple[str, str]:
    """How long it runs, or has been stopped."""
    container = row.container
    if container is None:
        return "", Tone.PLAIN
    if row.running:
        return age(container.started_at, now), Tone.PLAIN
    return (f"{age(container.finished_at, now)} ago", Tone.MUTED) if container.finished_at else ("", Tone.MUTED)


def image_cell(row: ContainerRow) -> str:
    return row.container.image if row.container else row.service.image if row.service else ""
