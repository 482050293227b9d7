"""`opsconsole status`: the same Snapshot as the console's, once, as text or JSON."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from opsconsole.commands.carrying_out import say_unfinished
from opsconsole.commands.chosen_stack import add_stack_options, looking_monitor, settled
from opsconsole.model import (
    SOURCE_WORDS,
    Alert,
    AlertState,
    BackupState,
    Container,
    MongoStatus,
    RedisStatus,
    Safety,
    Severity,
    Snapshot,
    SourceState,
    to_json,
    volume_words,
)
from opsconsole.text import printable

if TYPE_CHECKING:
    from opsconsole.commands import Commands
    from opsconsole.monitor import Monitor


ALL_WELL, NEEDS_ATTENTION, COULD_NOT_LOOK = 0, 1, 2


def add_commands(commands: Commands) -> None:
    parser = commands.add_parser(
        "status", help="print one look at the stack", description="Print one look at the stack."
    )
    add_stack_options(parser)
    parser.add_argument("--json", action="store_true", help="the whole Snapshot as JSON")
    parser.add_argument("--schema", action="store_true", help="print the JSON Schema of --json and end")
    parser.add_argument(
        "--timeout", type=float, default=20.0, metavar="SECONDS", help="wait this long at most (default 20)"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    if arguments.schema:
        print(schema(), end="")
        return 0
    monitor, directory, _ = looking_monitor(arguments)
    say_unfinished(directory)
    return print_status(monitor, json_wanted=arguments.json, seconds=arguments.timeout)


def print_status(monitor: Monitor, *, json_wanted: bool, seconds: float) -> int:
    snapshot = settled(monitor, seconds)
    print(as_json(snapshot) if json_wanted else as_text(snapshot), end="")
    return exit_code(snapshot)


def exit_code(snapshot: Snapshot) -> int:
    """0 all well, 1 something needs attention, 2 the engine or the stack could not be looked at."""
    if snapshot.stack is None or snapshot.readings["engine"].state is not SourceState.OK:
        return COULD_NOT_LOOK
    firing = any(alert.state is AlertState.FIRING and alert.silenced is None for alert in snapshot.alerts)
    failed = any(reading.state is SourceState.FAILED for reading in snapshot.readings.values())
    return NEEDS_ATTENTION if firing or failed or snapshot.stack.problems else ALL_WELL


def as_json(snapshot: Snapshot) -> str:
    """The Snapshot as one JSON object; its schema is `status --schema`. Histories are the console's alone."""
    return to_json(msgspec.structs.replace(snapshot, history={}))


def schema() -> str:
    """JSON Schema of `status --json`, made from the structs themselves."""
    return json.dumps(msgspec.json.schema(Snapshot), indent=2) + "\n"


def as_text(snapshot: Snapshot) -> str:
    """A page for a person or a mail: what needs attention first, then every part in a few lines."""
    return "\n".join(printable(line) for line in _lines(snapshot)) + "\n"


def _lines(snapshot: Snapshot) -> Iterator[str]:
    yield from _title(snapshot)
    yield from _attention(snapshot)
    yield ""
    yield from _containers(snapshot)
    yield from _host(snapshot)
    yield from _databases(snapshot)
    yield from _probes(snapshot)
    yield from _volumes(snapshot)
    yield from _backups(snapshot)


def _title(snapshot: Snapshot) -> Iterator[str]:
    stack, engine, host = snapshot.stack, snapshot.engine, snapshot.host
    yield " · ".join(
        part
        for part in (
            f"stack {stack.name}" if stack else "no stack",
            f"host {host.name}" if host and host.name else "",
            f"engine {engine.version}" if engine else "",
            f"commit {stack.commit}" if stack and stack.commit else "",
            "DEMO" if snapshot.demo else "",
            f"{snapshot.sampled_at:%Y-%m-%d %H:%M:%S} UTC",
        )
        if part
    )


def _attention(snapshot: Snapshot) -> Iterator[str]:
    lines = []
    firing = [alert for alert in snapshot.alerts if alert.state is AlertState.FIRING]
    told = "\n".join(alert.message for alert in firing)  # an alert says the same with its severity
    troubles: dict[str, list[str]] = {}  # one engine that is away fails several sources with the same words
    for reading in snapshot.readings.values():
        if reading.state is SourceState.FAILED and not (reading.problem and reading.problem in told):
            name = SOURCE_WORDS.get(reading.source, reading.source)
            troubles.setdefault(reading.problem + _hint(reading.hint), []).append(name)
        elif reading.state is SourceState.WAITING and reading.source in ("engine", "stack"):
            troubles.setdefault("no answer yet -> wait longer with --timeout", []).append(SOURCE_WORDS[reading.source])
    for trouble, names in troubles.items():
        lines.append(f"  cannot look  {', '.join(dict.fromkeys(names))}: {trouble}")
    for problem in snapshot.stack.problems if snapshot.stack else ():
        lines.append(f"  stack        {problem}")
    for alert in firing:
        word = "CRITICAL" if alert.severity is Severity.CRITICAL else "warning"
        if alert.silenced is None:
            lines.append(f"  {word:<12} {alert.message}" + _seen_to(alert) + _hint(alert.action))
    yield "Needs attention:" if lines else "All well."
    yield from lines
    for alert in firing:
        if alert.silenced is not None:
            yield f"  silenced     {alert.message} (until {alert.silenced.until:%Y-%m-%d %H:%M} UTC)"


def _seen_to(alert: Alert) -> str:
    if alert.acknowledged is None:
        return ""
    note = f": {alert.acknowledged.note}" if alert.acknowledged.note else ""
    return f" ({alert.acknowledged.who} sees to it{note})"


def _hint(hint: str) -> str:
    return f" -> {hint}" if hint else ""


def _containers(snapshot: Snapshot) -> Iterator[str]:
    yield f"Containers ({len(snapshot.containers)})"
    width = max((len(container.name) for container in snapshot.containers), default=0)
    for container in snapshot.containers:
        usage = container.usage
        cpu = f"{usage.cpu_percent:5.1f}%" if usage and usage.cpu_percent is not None else "     -"
        memory = size(usage.memory_bytes) if usage else "-"
        drift = "  drift" if container.drift else ""
        name, state = container.name.ljust(min(width, 40)), container_state(container)
        yield f"  {name}  {state:<28} cpu {cpu}  mem {memory:>9}{drift}"


def container_state(container: Container) -> str:
    """`running (healthy)`, `exited 137 (out of memory)` and the like."""
    words = container.state
    if container.state == "exited" and container.exit_code is not None:
        words += f" {container.exit_code}"
    if container.oom_killed:
        return f"{words} (out of memory)"
    return f"{words} ({container.health})" if container.health and container.state == "running" else words


def _host(snapshot: Snapshot) -> Iterator[str]:
    host = snapshot.host
    if host is None:
        return
    load = " ".join(f"{value:.2f}" for value in host.load) if host.load else "-"
    memory = f"{_percent(host.memory_percent)} of {size(host.memory_total)}"
    yield f"Host  cpu {_percent(host.cpu_percent)}  load {load}  memory {memory}"
    for disk in host.disks:
        full = f"  full in about {disk.full_in_days:.0f} days" if disk.full_in_days is not None else ""
        yield f"  disk {disk.mount}  {disk.used_percent:.0f}% used, {size(disk.free_bytes)} free{full}"


def _databases(snapshot: Snapshot) -> Iterator[str]:
    for status in snapshot.databases:
        name = f"{'MongoDB' if isinstance(status, MongoStatus) else 'Redis'} ({status.target.name})"
        if not status.reachable:
            yield f"{name}  unreachable: {status.problem}" + _hint(status.hint)
        elif isinstance(status, MongoStatus):
            documents = sum(c.documents or 0 for database in status.databases for c in database.collections)
            yield (
                f"{name}  {status.version} {status.topology} {status.member_state}".rstrip()
                + f"  {len(status.databases)} databases, {documents} documents, {status.connections} connections"
            )
        elif isinstance(status, RedisStatus):
            keys = sum(keyspace.keys for keyspace in status.keyspaces)
            yield f"{name}  {status.version}  {keys} keys, {size(status.memory_used)}, {status.clients} clients"


def _probes(snapshot: Snapshot) -> Iterator[str]:
    for probe in snapshot.probes:
        answer = "not asked yet" if probe.ok is None else f"{probe.status or probe.problem}"
        latency = f" in {probe.latency_seconds * 1000:.0f} ms" if probe.latency_seconds is not None else ""
        yield f"Probe {probe.endpoint.name}  {'ok' if probe.ok else 'FAILED'} {answer}{latency}  {probe.endpoint.url}"


def _volumes(snapshot: Snapshot) -> Iterator[str]:
    for volume in snapshot.volumes:
        if volume.safety is not Safety.PERSISTENT:
            yield f"Volume {volume_words(volume)}  {volume.safety}: {volume.reason}"


def _backups(snapshot: Snapshot) -> Iterator[str]:
    good = [backup for backup in snapshot.backups if backup.state is BackupState.GOOD and not backup.in_future]
    others = sum(1 for backup in snapshot.backups if backup.state is not BackupState.INCREMENTAL) - len(good)
    if good:
        yield (
            f"Backups  newest good {good[0].id}, {age(good[0].taken_at, snapshot.sampled_at)} old, "
            f"{size(good[0].size_bytes)}; {len(good)} good, {others} not"
        )
    elif snapshot.stack is not None:
        where = snapshot.stack.backup_directory or "any known directory"
        yield f"Backups  no good backup in {where}; {others} that are not good"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}%"


def size(number: int | None) -> str:
    """Bytes in binary units, as `docker stats` and the console show them: `1.2 GiB`."""
    if number is None:
        return "-"
    import humanize  # 8 ms, not needed for --help

    return humanize.naturalsize(number, binary=True)


def age(then: datetime, now: datetime) -> str:
    """`3 h`, `2 d`: the two largest units would say more than anybody compares."""
    seconds = max(0, int((now - then).total_seconds()))
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length or (unit == "min" and seconds >= 60):
            return f"{seconds // length} {unit}"
    return f"{seconds} s"
