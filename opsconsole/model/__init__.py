"""The ground floor: what is known about a stack, as frozen plain data.

Everything above (sources, monitor, alerts, panes, the command line) speaks in these structs. None of
them holds a connection, and none is ever changed: a new Snapshot replaces the old one.

Units are fixed here once: sizes in bytes, rates in bytes per second, durations in seconds, shares in
percent (0-100; a container's CPU may pass 100 on several cores), times as timezone-aware UTC datetimes.
`None` means "not known", never zero.

Text that came from outside (names, labels, log lines, health output) is stored as it came; whoever
shows it passes it through `opsconsole.text` first. Secrets are the exception: they are masked before
they enter a struct.
"""

from __future__ import annotations

from opsconsole.model.alerts import Acknowledgement, Alert, AlertState, Severity, Silence
from opsconsole.model.backups import (
    Backup,
    BackupCheck,
    BackupClass,
    BackupContents,
    BackupCopy,
    BackupPart,
    BackupState,
    Buckets,
    HeldCollection,
    HeldFile,
    HeldKeys,
    HeldPart,
    OplogSpan,
    OplogTime,
)
from opsconsole.model.containers import Container, HealthCheck, Mount, NetworkAddress, Port, Usage
from opsconsole.model.databases import (
    OF_THE_SERVER,
    Collection,
    DatabaseStatus,
    MongoDatabase,
    MongoStatus,
    RedisKeyspace,
    RedisStatus,
    ReplicaMember,
    RunningOperation,
    Sign,
)
from opsconsole.model.host import Disk, HostSample, Process
from opsconsole.model.logs import LogLevel, LogLine
from opsconsole.model.probes import AccessRate, LogRate, Probe, good_run, has_recovered
from opsconsole.model.record import Record
from opsconsole.model.schedule import Proof, Schedule, ScheduledRun
from opsconsole.model.snapshot import SCHEMA_VERSION, Snapshot, to_json
from opsconsole.model.sources import BEHIND_THE_ENGINE, SOURCE_WORDS, Reading, SourceError, SourceState
from opsconsole.model.stack import DatabaseTarget, Endpoint, Engine, Project, Service, Stack
from opsconsole.model.volumes import Safety, Volume, VolumeKind, VolumeUse, volume_words

__all__ = [
    "BEHIND_THE_ENGINE",
    "OF_THE_SERVER",
    "SCHEMA_VERSION",
    "SOURCE_WORDS",
    "AccessRate",
    "Acknowledgement",
    "Alert",
    "AlertState",
    "Backup",
    "BackupCheck",
    "BackupClass",
    "BackupContents",
    "BackupCopy",
    "BackupPart",
    "BackupState",
    "Buckets",
    "Collection",
    "Container",
    "DatabaseStatus",
    "DatabaseTarget",
    "Disk",
    "Endpoint",
    "Engine",
    "HealthCheck",
    "HeldCollection",
    "HeldFile",
    "HeldKeys",
    "HeldPart",
    "HostSample",
    "LogLevel",
    "LogLine",
    "LogRate",
    "MongoDatabase",
    "MongoStatus",
    "Mount",
    "NetworkAddress",
    "OplogSpan",
    "OplogTime",
    "Port",
    "Probe",
    "Process",
    "Project",
    "Proof",
    "Reading",
    "Record",
    "RedisKeyspace",
    "RedisStatus",
    "ReplicaMember",
    "RunningOperation",
    "Safety",
    "Schedule",
    "ScheduledRun",
    "Service",
    "Severity",
    "Sign",
    "Silence",
    "Snapshot",
    "SourceError",
    "SourceState",
    "Stack",
    "Usage",
    "Volume",
    "VolumeKind",
    "VolumeUse",
    "good_run",
    "has_recovered",
    "to_json",
    "volume_words",
]
