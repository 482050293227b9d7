"""Every table and key of `opsconsole.toml`: its type, its limits, its default and one line of what it is for."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from opsconsole.alert_settings import RuleSettings

Percent = Annotated[float, Meta(ge=0, le=100)]
Minutes = Annotated[float, Meta(ge=0)]
Seconds = Annotated[float, Meta(gt=0)]
TimeOfDay = Annotated[str, Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d\Z")]
TimeOrNone = Annotated[str, Meta(pattern=r"^(([01]\d|2[0-3]):[0-5]\d)?\Z")]


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the tables of the file."""


class StackSection(Section, frozen=True):
    """Which stack this is."""

    name: Annotated[str, Meta(description="Name of the Compose project.")] = ""
    compose_files: Annotated[
        tuple[str, ...], Meta(description="Compose files in the order that Compose reads them.")
    ] = ()
    profiles: Annotated[tuple[str, ...], Meta(description="Compose profiles in use.")] = ()
    env_file: Annotated[str, Meta(description="Env file of the stack.")] = ""


class MongodbSection(Section, frozen=True):
    """The MongoDB server, when the one that was found is not the right one."""

    enabled: Annotated[bool, Meta(description="false: do not look at MongoDB at all.")] = True
    uri: Annotated[
        str,
        Meta(
            description="Address as this host reaches it. Better without a password: see uri_env.",
            pattern=r"^$|^mongodb(\+srv)?://.",
        ),
    ] = ""
    uri_env: Annotated[
        str, Meta(description="Name of the variable that holds the address, in the environment or the env file.")
    ] = ""


class RedisSection(Section, frozen=True):
    """The Redis server, when the one that was found is not the right one."""

    enabled: Annotated[bool, Meta(description="false: do not look at Redis at all.")] = True
    url: Annotated[
        str,
        Meta(
            description="Address as this host reaches it. Better without a password: see url_env.",
            pattern="^$|^(rediss?|unix)://.",
        ),
    ] = ""
    url_env: Annotated[
        str, Meta(description="Name of the variable that holds the address, in the environment or the env file.")
    ] = ""


class DataSection(Section, frozen=True):
    """Directories that hold data of the stack."""

    directories: Annotated[
        tuple[str, ...], Meta(description="Directories that belong into a backup. Replaces what was found.")
    ] = ()


class ProbeSection(Section, frozen=True):
    """One HTTP address that says whether the stack is well."""

    url: Annotated[str, Meta(description="Address to ask, http:// or https://.", pattern="^https?://[^/]")]
    name: Annotated[str, Meta(description="What to call it; the address when left out.")] = ""
    expect_status: Annotated[
        Annotated[int, Meta(ge=100, le=599)] | None,
        Meta(description="The only good status; left out, everything from 200 to 399 is good."),
    ] = None
    timeout_seconds: Annotated[Seconds, Meta(description="An answer that takes longer is a failure.")] = 5.0


class BackupsSection(Section, frozen=True):
    """Where backups lie and how old the newest may be."""

    directory: Annotated[str, Meta(description="Directory of the backups, relative to this file.")] = ""
    max_age_hours: Annotated[float, Meta(description="Alarm when the newest good backup is older.", gt=0)] = (
        26.0  # a daily backup and two hours of grace
    )
    volumes: Annotated[
        tuple[str, ...], Meta(description="Named volumes that belong into a backup, besides those of databases.")
    ] = ()
    required_collections: Annotated[
        tuple[str, ...], Meta(description="Collections without which no backup is good: name or database.name.")
    ] = ()
    compression: Annotated[
        Literal["gzip", "zstd", "none"],
        Meta(description='"gzip" is what mongorestore reads, "zstd" is faster, "none" for disks that compress.'),
    ] = "gzip"
    encrypt_to: Annotated[
        tuple[str, ...],
        Meta(description="Encrypt every backup to these public keys: age1..., or an ssh-ed25519 or ssh-rsa key."),
    ] = ()
    identity_file: Annotated[
        str,
        Meta(
            description="File with the private key of encrypted backups, to verify and restore; never the key itself."
        ),
    ] = ""


class RetentionSection(Section, frozen=True):
    """Which backups are kept. Only good ones count; the newest good one and the last proven one always stay."""

    daily: Annotated[int, Meta(description="The newest of so many days.", ge=0)] = 30
    weekly: Annotated[int, Meta(description="... and of so many weeks besides.", ge=0)] = 12
    monthly: Annotated[int, Meta(description="... and of so many months besides.", ge=0)] = 12
    keep_last: Annotated[
        int, Meta(description="Not 0: the last so many, in place of days, weeks and months.", ge=0)
    ] = 0
    manual_last: Annotated[int, Meta(description="So many backups taken by hand are kept.", ge=1)] = 10
    manual_days: Annotated[int, Meta(description="... and all that are younger than so many days.", ge=0)] = 14
    safety_last: Annotated[int, Meta(description="So many safety backups are kept.", ge=1)] = 10
    safety_days: Annotated[int, Meta(description="... and all that are younger than so many days.", ge=0)] = 14
    point_in_time_days: Annotated[
        int, Meta(description="So far back every second can be restored, where there are incremental backups.", ge=0)
    ] = 14


class ScheduleSection(Section, frozen=True):
    """What is done by itself, and when, once `opsconsole schedule install` was run."""

    backup: Annotated[
        TimeOrNone | tuple[TimeOfDay, ...],
        Meta(description='Time of day of the backup, by the clock of this host, or a list of them; "" makes none.'),
    ] = "02:00"
    incremental_hours: Annotated[
        int,
        Meta(description="Every so many hours in between, an incremental backup of a replica set; 0 never.", ge=0),
    ] = 6
    verify_days: Annotated[
        int,
        Meta(description="Every so many days the newest backup is restored for a test and compared; 0 never.", ge=0),
    ] = 7

    @property
    def times(self) -> tuple[str, ...]:
        """The times of day of the backup, () for none."""
        return tuple(one for one in ((self.backup,) if isinstance(self.backup, str) else self.backup) if one)


class PersistenceSection(Section, frozen=True):
    """What `opsconsole verify-persistence` asks for before it says 100 %."""

    proven_days: Annotated[int, Meta(description="A backup must have been restored within so many days.", ge=1)] = 31
    caches: Annotated[
        tuple[str, ...],
        Meta(description='Redis that may lose all, by its service; "redis" is one in no container.'),
    ] = ()


class TaskSection(Section, frozen=True):
    """A task of your own: every so often somebody ticks it."""

    name: Annotated[str, Meta(description="What to call it.")]
    every: Annotated[
        Literal["daily", "weekly", "monthly", "quarterly"], Meta(description="How often, by the calendar of this host.")
    ]
    note: Annotated[str, Meta(description="How it is done: a command, an address, a page.")] = ""


class MaintenanceSection(Section, frozen=True):
    """The tasks of `opsconsole maintenance`: those of the runbook, and your own."""

    skip: Annotated[
        tuple[str, ...], Meta(description="Tasks of the runbook that are none here, as `maintenance list` calls them.")
    ] = ()
    task: Annotated[
        tuple[TaskSection, ...],
        Meta(description='Your own, each as a table: [[maintenance.task]] with name, every ("daily" ...) and note.'),
    ] = ()


class CopySection(Section, frozen=True):
    """Where each backup is copied to, away from this host: one of rclone, rsync and command."""

    rclone: Annotated[
        str, Meta(description='Remote of rclone and a path, "remote:path". Passwords belong into `rclone config`.')
    ] = ""
    rsync: Annotated[
        str, Meta(description='Directory on another host, "user@host:/path", reached by an SSH key; or a local one.')
    ] = ""
    command: Annotated[
        tuple[str, ...],
        Meta(description="Program of your own, a list of words. It learns OPSCONSOLE_BACKUP_ID and _PATH."),
    ] = ()
    verify_command: Annotated[
        tuple[str, ...],
        Meta(description="With command: a program that reads the copy again, and fails when it is not the same."),
    ] = ()
    timeout_hours: Annotated[float, Meta(description="A copy that takes longer has failed.", gt=0)] = 12.0

    @property
    def chosen(self) -> tuple[str, ...]:
        """Which of the three are set."""
        return tuple(name for name in ("rclone", "rsync", "command") if getattr(self, name))


class NotifySection(Section, frozen=True):
    """Who is told when something scheduled fails, when the newest good backup is too old, what alerts do, and of
    incidents."""

    on: Annotated[
        Literal["failure", "always"], Meta(description='"failure", or "always": also of each run that went well.')
    ] = "failure"
    incidents: Annotated[
        bool, Meta(description="Also that an incident is declared, gets another priority or is closed.")
    ] = True
    command: Annotated[
        tuple[str, ...], Meta(description="Program of your own, a list of words; it gets the facts as variables.")
    ] = ()
    webhook: Annotated[
        str,
        Meta(
            description="Address that gets the facts as JSON. Better not here when it holds a key: see webhook_env.",
            pattern="^$|^https?://[^/]",
        ),
    ] = ""
    webhook_env: Annotated[
        str, Meta(description="Name of the variable that holds the address, in the environment or the env file.")
    ] = ""
    apprise: Annotated[
        tuple[str, ...],
        Meta(description="Addresses of Apprise (mail, chat, pager); needs pip install 'opsconsole[apprise]'."),
    ] = ()
    apprise_env: Annotated[str, Meta(description="Name of the variable that holds them, separated by spaces.")] = ""
    timeout_seconds: Annotated[Seconds, Meta(description="Whoever does not answer for so long was not told.")] = 20.0


class DeploySection(Section, frozen=True):
    """How a deploy decides that it is good, and what is kept to go back to."""

    gate_seconds: Annotated[Seconds, Meta(description="A service that is not well after so long has failed.")] = 180.0
    soak_seconds: Annotated[
        float, Meta(description="Watch so long after the last gate before it is good; 0 does not.", ge=0)
    ] = 60.0
    engine_seconds: Annotated[
        float, Meta(description="Seconds that the way back waits for an engine that does not answer.", ge=0)
    ] = 90.0
    scratch: Annotated[
        tuple[str, ...],
        Meta(description="Directories inside of containers whose files may go with them; others are said to be LOST."),
    ] = ()
    keep_releases: Annotated[int, Meta(description="So many good releases are kept to go back to.", ge=2)] = 5


class HooksSection(Section, frozen=True):
    """Programs of the stack's own that run around a deploy. Each is a list of words; no shell reads it."""

    before_deploy: Annotated[
        tuple[str, ...], Meta(description="Before anything is changed; when it fails, nothing is.")
    ] = ()
    after_deploy: Annotated[tuple[str, ...], Meta(description="After a deploy that is good.")] = ()
    on_failure: Annotated[tuple[str, ...], Meta(description="After a deploy that failed or went back.")] = ()
    timeout_seconds: Annotated[Seconds, Meta(description="A hook that takes longer has failed.")] = 300.0


class AlertsSection(Section, frozen=True):
    """When the console raises an alert. A rule fires when it was true for as long as its minutes say."""

    cpu_percent: Annotated[Percent, Meta(description="CPU of the host, all cores together.")] = 80.0
    cpu_minutes: Annotated[Minutes, Meta(description="... for so long.")] = 5.0
    memory_percent: Annotated[Percent, Meta(description="Memory of the host, without caches.")] = 85.0
    memory_minutes: Annotated[Minutes, Meta(description="... for so long.")] = 5.0
    disk_percent: Annotated[Percent, Meta(description="Any disk of the host, and its inodes.")] = 90.0
    disk_minutes: Annotated[Minutes, Meta(description="... for so long.")] = 0.0
    disk_full_days: Annotated[float, Meta(description="A disk that fills up within so many days.", ge=0)] = 3.0
    error_rate_percent: Annotated[Percent, Meta(description="Failed probes or answers 5xx in the access logs.")] = 5.0
    error_minutes: Annotated[Minutes, Meta(description="... for so long.")] = 5.0
    response_seconds: Annotated[Seconds, Meta(description="Average answer of a health endpoint.")] = 2.0
    response_minutes: Annotated[Minutes, Meta(description="... for so long.")] = 5.0
    trusted_requests: Annotated[
        int, Meta(description="From so many requests in five minutes on, errors and response time count at once.", ge=1)
    ] = 20
    unhealthy_minutes: Annotated[
        Minutes, Meta(description="A container that is unhealthy or not running for so long.")
    ] = 1.0
    restarts: Annotated[
        int, Meta(description="So many restarts of one container within ten minutes are a crash loop.", ge=1)
    ] = 3
    container_memory_percent: Annotated[Percent, Meta(description="A container's memory, of its own limit.")] = 90.0
    container_memory_minutes: Annotated[Minutes, Meta(description="... for so long.")] = 5.0
    redis_memory_percent: Annotated[Percent, Meta(description="Memory of Redis, of its maxmemory.")] = 90.0
    connections_percent: Annotated[Percent, Meta(description="Connections of a database, of those that it takes.")] = (
        80.0
    )
    slow_operation_seconds: Annotated[
        Seconds, Meta(description="An operation of MongoDB that runs for so long: in health, and kept by collect.")
    ] = 10.0
    oplog_hours: Annotated[float, Meta(description="An oplog that reaches back less than so long.", ge=0)] = 24.0
    certificate_days: Annotated[float, Meta(description="A certificate that ends within so many days.", ge=0)] = 21.0
    backup_proof_days: Annotated[
        float, Meta(description="In health alone: no backup was restored for a test for so many days.", gt=0)
    ] = 31.0
    database_seconds: Annotated[float, Meta(description="A database that gave no good answer for so long.", ge=0)] = (
        20.0
    )
    source_seconds: Annotated[
        float, Meta(description="Another source of the console than the engine that fails for so long.", ge=0)
    ] = 60.0
    off: Annotated[
        tuple[str, ...], Meta(description='Alerts of the console that are not raised at all: "volume-risk", "inodes".')
    ] = ()
    tell: Annotated[
        Literal["warning", "critical", "nothing"],
        Meta(description="From which severity on somebody is told by [notify], while `opsconsole collect` runs."),
    ] = "warning"
    cooldown: Annotated[
        str, Meta(description="An alert that comes again is not told again for so long; getting worse always is.")
    ] = "30m"
    rule: Annotated[tuple[RuleSettings, ...], Meta(description="Rules of your own, each a table [[alerts.rule]].")] = ()


class LogsSection(Section, frozen=True):
    """Log files beside the stack, which `opsconsole collect --every` writes while it runs."""

    files: Annotated[
        tuple[str, ...], Meta(description='Services whose lines are written to files; ["*"] is all of them.')
    ] = ()
    directory: Annotated[str, Meta(description="Where, relative to this file: <directory>/<service>/.")] = "logs"
    max_mb: Annotated[float, Meta(description="A file that is larger is packed and a new one begun.", gt=0)] = 20.0
    keep: Annotated[int, Meta(description="So many packed ones of each service are kept.", ge=0)] = 5
    days: Annotated[int, Meta(description="... and none that is older.", ge=1)] = 30


class MetricsSection(Section, frozen=True):
    """The history of metrics in .opsconsole/metrics.sqlite."""

    max_mb: Annotated[float, Meta(description="A larger file loses its oldest samples first.", ge=8)] = 512.0


class ConsoleSection(Section, frozen=True):
    """How the console looks and how often it looks."""

    theme: Annotated[
        Literal["", "dark", "light", "contrast", "ansi"],
        Meta(description='"dark", "light", "contrast" or "ansi" (16 colours); "" is what fits the terminal.'),
    ] = ""
    ascii: Annotated[bool, Meta(description="Draw with plain ASCII characters only.")] = False
    read_only: Annotated[bool, Meta(description="Hide and refuse everything that changes something.")] = False
    refresh_seconds: Annotated[
        float, Meta(description="How often to look while the terminal has the focus.", ge=0.5, le=3600)
    ] = 2.0
    background_refresh_seconds: Annotated[
        float, Meta(description="How often to look while it has not.", ge=0.5, le=3600)
    ] = 10.0


class Settings(Section, frozen=True):
    """The whole file, table by table."""

    stack: StackSection = StackSection()
    mongodb: MongodbSection = MongodbSection()
    redis: RedisSection = RedisSection()
    data: DataSection = DataSection()
    probes: tuple[ProbeSection, ...] = ()
    backups: BackupsSection = BackupsSection()
    retention: RetentionSection = RetentionSection()
    schedule: ScheduleSection = ScheduleSection()
    persistence: PersistenceSection = PersistenceSection()
    maintenance: MaintenanceSection = MaintenanceSection()
    copy: CopySection = CopySection()
    notify: NotifySection = NotifySection()
    deploy: DeploySection = DeploySection()
    hooks: HooksSection = HooksSection()
    alerts: AlertsSection = AlertsSection()
    metrics: MetricsSection = MetricsSection()
    logs: LogsSection = LogsSection()
    console: ConsoleSection = ConsoleSection()
