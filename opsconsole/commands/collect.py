"""`opsconsole collect`: metrics, events and log files without an open console, and what becomes of them.

Exit codes: 0 stored (or a collector that runs has stored it); 1 stored, and somebody who was asked did not answer or
the file of --prometheus was not written, or, with `status`, something is wrong; 2 nothing was stored or done.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from opsconsole.commands.carrying_out import NotConfirmed
from opsconsole.commands.chosen_stack import add_stack_options, make_monitor, site_of
from opsconsole.commands.schedule import agree, show_change, take_away
from opsconsole.model import Record, SourceError
from opsconsole.text import printable

if TYPE_CHECKING:
    from opsconsole.collecting.log_files import Kept
    from opsconsole.commands import Commands
    from opsconsole.config import Config
    from opsconsole.metrics import Lease, Stored
    from opsconsole.monitor import Monitor
    from opsconsole.operations.site import Site
    from opsconsole.schedule.job import Job

    Make = Callable[[Path, str, Config], Monitor]

_EVERY = "10s"
_GRACE = timedelta(minutes=1)
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}
_WHAT = {
    "names": "everything that is measured, by the names that rules and charts use",
    "status": "whether it runs, what is kept and since when, what is wrong",
    "rotate": "pack the log files of [logs] now and begin new ones",
    "cleanup": "remove now what is too old or too much of metrics and log files; it is done by itself, too",
}


def add_commands(commands: Commands) -> None:
    parser = commands.add_parser(
        "collect",
        help="keep metrics and events without a console: once, --every 10s, --install; collect status",
        description="Take one sample of everything that is measured and keep it in .opsconsole/metrics.sqlite, with "
        "what happened to containers, endpoints and by operations: 48 hours of samples, 30 days of minutes, 13 months "
        "of hours. A console that is open does the same where no collector runs. Exit code 0: stored; 1: stored, and "
        "somebody did not answer; 2: not stored. " + " ".join(f"{name}: {words}." for name, words in _WHAT.items()),
    )
    add_stack_options(parser)
    parser.add_argument("what", nargs="?", choices=list(_WHAT), metavar="WHAT", help=", ".join(_WHAT))
    parser.add_argument("--every", metavar="TIME", help="go on, a sample each 10s, 1m ...; writes the files of [logs]")
    parser.add_argument(
        "--prometheus",
        metavar="FILE",
        help="also write the numbers as OpenMetrics, for node_exporter's textfile collector",
    )
    parser.add_argument(
        "--install", action="store_true", help="let systemd, or cron, run it; shown before it is written (default 10s)"
    )
    parser.add_argument("--remove", action="store_true", help="take that away again; what was kept stays")
    parser.add_argument("--plan", action="store_true", help="--install, --remove: say what would be done, do nothing")
    parser.add_argument("-y", "--yes", action="store_true", help="--install, --remove: answer the question")
    parser.add_argument("--json", action="store_true", help="status: as JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    if arguments.what == "names":
        return print_names()
    seconds_of(arguments.every or _EVERY)  # a mistake is told before anything is looked at
    site = site_of(arguments)
    if arguments.what == "status":
        return run_status(arguments, site, site.config())
    if arguments.install and arguments.remove:
        raise SourceError("--install and --remove cannot stand together")
    if arguments.install:
        return run_install(arguments, site, site.config())
    if arguments.remove:
        return run_remove(arguments, site, site.config())
    if arguments.read_only:
        raise NotConfirmed(f"{arguments.read_only} forbids to write anything, and metrics are written")
    if arguments.what == "rotate":
        return run_rotate(site, site.config())
    if arguments.what == "cleanup":
        return run_cleanup(site, site.config())
    return run_collect(arguments, site)


def print_names() -> int:
    from opsconsole.metrics.catalogue import MEASURES

    for measure in MEASURES.values():
        labels = f"{{{', '.join(measure.labels)}}}" if measure.labels else ""
        hourly = " Once an hour, of the largest." if measure.hourly else ""
        print(f"{measure.name + labels:<60} {measure.help}{hourly}")
    return 0


def seconds_of(text: str) -> int:
    """`10s`, `2m`, `1h`, `30`. Raises SourceError for what is none, shorter than 5 s or longer than an hour."""
    found = re.fullmatch(r"(\d{1,6})([smh]?)", text)
    seconds = int(found[1]) * _UNITS[found[2]] if found else 0
    if not 5 <= seconds <= 3600:
        raise SourceError(f"--every {printable(text)} is not between 5s and 1h", "Use 10s, 30s, 1m, 5m ...")
    return seconds


# --- collecting ------------------------------------------------------------------------------------


def run_collect(arguments: argparse.Namespace, site: Site) -> int:
    from opsconsole.collecting import service

    def made(site: Site, config: Config) -> Monitor:
        return make_monitor(site.directory, site.project or config.stack.name, config)

    text_file = Path(arguments.prometheus).expanduser().absolute() if arguments.prometheus else None
    if arguments.every:
        return service.serve(site, made, every=seconds_of(arguments.every), text_file=text_file)

    def say(line: str) -> None:
        print(f"opsconsole: {printable(line)}", file=sys.stderr)

    return service.once(site, site.config(), made, text_file=text_file, say=say)


def run_rotate(site: Site, config: Config) -> int:
    from opsconsole.collecting import log_files

    for file in log_files.files_of(site.directory, config.logs):
        if file.rotate():
            print(printable(f"{file.path}: packed, a new one begins"))
    return 0


def run_cleanup(site: Site, config: Config) -> int:
    from opsconsole.collecting import log_files, service

    now = datetime.now(UTC)
    removed = sum(file.clean(now) for file in log_files.files_of(site.directory, config.logs))
    print(f"removed {removed} packed log files")
    with service.store_of(site, config) as store:
        rows = store.clean(now)
    print(f"removed {rows:,} rows of metrics and events")
    return 0


# --- install, remove -------------------------------------------------------------------------------


def run_install(arguments: argparse.Namespace, site: Site, config: Config) -> int:
    from opsconsole.schedule import installing

    made = _job(site, config, every=arguments.every or _EVERY, text_file=arguments.prometheus or "")
    change = installing.plan_install(made)
    show_change(change, "written")
    for note in change.notes:
        print(printable(note))
    print(f"It takes a sample every {arguments.every or _EVERY} and goes on when nobody is logged in.")
    if arguments.plan:
        return 0
    agree(arguments, "Install it?")
    installing.install(made, change)
    print(f"installed ({change.way.value}); see `opsconsole collect status`, and {_log(site)}")
    return 0


def run_remove(arguments: argparse.Namespace, site: Site, config: Config) -> int:
    from opsconsole.schedule.job import Work

    if not take_away(arguments, site, config, Work.COLLECT):
        return 0
    stopped = _stop(site)
    print("removed; what was kept is left as it is" + (", and the collector that ran was stopped" if stopped else ""))
    return 0


def _job(site: Site, config: Config, *, every: str, text_file: str) -> Job:
    from opsconsole.schedule import job, telling

    command: tuple[str, ...] = ("collect", "--every", every)
    if text_file:
        command += ("--prometheus", str(Path(text_file).expanduser().absolute()))
    return job.job(site, telling.stack_name(site, config), work=job.Work.COLLECT, command=command)


def _stop(site: Site) -> bool:
    """One that cron began goes on by itself when its lines are gone."""
    from opsconsole.collecting import service

    return service.stop(site.directory)


def _log(site: Site) -> Path:
    return site.directory / ".opsconsole" / "collect.log"


# --- status ----------------------------------------------------------------------------------------


class CollectState(Record, frozen=True):
    """What `collect status --json` prints. `lease`: who stores now, or did last when it has run out."""

    installed: tuple[str, ...] = ()
    runs: bool = False  # a collector goes on now
    lease: Lease | None = None
    stored: Stored | None = None
    logs: tuple[Kept, ...] = ()
    problems: tuple[str, ...] = ()  # one line each


def run_status(arguments: argparse.Namespace, site: Site, config: Config) -> int:
    now = datetime.now(UTC)
    found = state(site, config, now)
    if arguments.json:
        from opsconsole.model import to_json

        print(to_json(found), end="")
    else:
        for line in _lines(found, site, config, now):
            print(printable(line))
    return 1 if found.problems else 0


def state(site: Site, config: Config, now: datetime) -> CollectState:
    """Looks only. Never raises; what cannot be known is among the problems."""
    from opsconsole.collecting import log_files, service
    from opsconsole.metrics import MetricsReader, metrics_file
    from opsconsole.schedule import installing, telling
    from opsconsole.schedule.job import Work

    problems, stored, lease = [], None, None
    try:
        there = installing.installed(telling.stack_name(site, config), Work.COLLECT)
    except SourceError as error:
        there = ()
        problems.append(error.problem)
    reader = MetricsReader(metrics_file(site.directory))
    try:
        stored, lease = reader.stored(), reader.lease()
    except SourceError as error:
        if not error.absent:
            problems.append(error.problem)
    running = service.runs(site.directory)
    if there and not running:
        problems.append(f"it is installed ({there[0].way.value}) and does not run: see {_log(site)}")
    fresh = lease is not None and lease.expires_at + _GRACE > now
    if running and not fresh and now - service.began(site.directory) > _GRACE:
        problems.append(f"it runs, and nothing is stored: see {_log(site)}")
    try:
        logs = log_files.kept(site.directory, config.logs)
    except OSError as error:
        logs = ()
        problems.append(f"the log files cannot be read: {error.strerror}")
    return CollectState(
        installed=tuple(one.way.value for one in there),
        runs=running,
        lease=lease,
        stored=stored,
        logs=logs,
        problems=tuple(problems),
    )


def _lines(found: CollectState, site: Site, config: Config, now: datetime) -> list[str]:
    lines = [
        f"collector: {'runs' if found.runs else 'does not run'}, "
        + (f"installed ({', '.join(found.installed)})" if found.installed else "not installed: --install does it")
    ]
    if found.lease is not None:
        over = "" if found.lease.expires_at > now else " (no longer)"
        lines.append(f"  stores        {found.lease.holder}{over}")
    if (stored := found.stored) is not None:
        limit = config.metrics.max_mb
        lines += [
            f"  newest sample {_when(stored.newest, now)}",
            f"  samples       {stored.samples:,} since {_when(stored.oldest, now)}",
            f"  minutes       {_since(stored.oldest_minute, now)}",
            f"  hours         {_since(stored.oldest_hour, now)}",
            f"  series        {stored.series:,}",
            f"  events        {stored.events:,}",
            f"  size          {_size(stored.size_bytes)} of {limit:g} MiB",
        ]
    else:
        lines.append("  nothing is kept yet")
    wanted = ", ".join(config.logs.files) or "none: see [logs] in opsconsole.toml"
    lines.append(f"  log files of  {wanted}")
    for one in found.logs:
        packed = f", {one.packed} packed {_size(one.packed_bytes)}" if one.packed else ""
        lines.append(f"    {one.path}  {_size(one.size_bytes)}{packed}, {_when(one.newest, now)}")
    return lines + [f"  problem: {one}" for one in found.problems]


def _since(at: datetime | None, now: datetime) -> str:
    return "none yet: they are summed up every ten minutes" if at is None else f"since {_when(at, now)}"


def _when(at: datetime | None, now: datetime) -> str:
    if at is None:
        return "never"
    seconds = int((now - at).total_seconds())
    ago = f"{seconds} s" if seconds < 120 else f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"
    return f"{at.astimezone():%Y-%m-%d %H:%M:%S %Z} ({ago} ago)"


def _size(count: int) -> str:
    from opsconsole.alert_findings import size

    return size(count)
