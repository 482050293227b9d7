"""The Snapshot: everything that is known at one moment."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from opsconsole.model.alerts import Alert
from opsconsole.model.backups import Backup
from opsconsole.model.containers import Container
from opsconsole.model.databases import DatabaseStatus, Sign
from opsconsole.model.host import HostSample
from opsconsole.model.probes import AccessRate, LogRate, Probe
from opsconsole.model.record import Record
from opsconsole.model.schedule import Schedule
from opsconsole.model.sources import Reading
from opsconsole.model.stack import Engine, Stack
from opsconsole.model.volumes import Volume

SCHEMA_VERSION = 1
"""Version of `opsconsole status --json`: raised when a field is renamed, removed or changes its meaning."""


class Snapshot(Record, frozen=True):
    """Everything the console knows at one moment. Panes, `status --json` and alerts all read this."""

    sampled_at: datetime
    schema: int = SCHEMA_VERSION
    demo: bool = False
    stack: Stack | None = None
    engine: Engine | None = None
    containers: tuple[Container, ...] = ()
    volumes: tuple[Volume, ...] = ()
    host: HostSample | None = None
    databases: tuple[DatabaseStatus, ...] = ()
    probes: tuple[Probe, ...] = ()
    access: tuple[AccessRate, ...] = ()
    log_rates: tuple[LogRate, ...] = ()
    backups: tuple[Backup, ...] = ()
    missing: tuple[Sign, ...] = ()  # data that the guard or a backup has counted, and that is there no more
    schedule: Schedule | None = None
    alerts: tuple[Alert, ...] = ()
    readings: dict[str, Reading] = {}  # by source: stack, engine, usage, volumes, host, databases, probes, backups ...
    history: dict[str, tuple[float, ...]] = {}
    """Recent values by series, oldest first: "host.cpu", "host.memory", "host.disk_read", "host.disk_write",
    "host.network_received", "host.network_sent", "cpu.<container id>", "memory.<container id>",
    "probe.<endpoint name>" (seconds), "mongodb.<target name>" and "redis.<target name>" (operations per second)."""


def to_json(value: Any, *, indent: int = 2) -> str:
    """Encode a struct as JSON text, times as RFC 3339, ended by a newline."""
    try:
        encoded = msgspec.json.encode(value)
    except UnicodeEncodeError:  # a file name that is not UTF-8: a mark stands where it cannot be written
        import json

        encoded = json.dumps(msgspec.to_builtins(value), ensure_ascii=False).encode("utf-8", "replace")
    return msgspec.json.format(encoded, indent=indent).decode() + "\n"
