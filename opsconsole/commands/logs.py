"""`opsconsole logs`: the lines of services on standard output, for eyes and for pipes.

Exit codes: 0 the end was reached, 1 no such service, 2 the engine does not answer or an option is wrong,
130 Ctrl+C. A reader that closes the pipe (`| head`) ends it quietly.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zlib import crc32

from opsconsole.commands.chosen_stack import (
    add_stack_options,
    known_project,
    looking_monitor,
)
from opsconsole.log_filter import LogFilter, Pattern, pattern
from opsconsole.log_levels import RANK, LevelReader
from opsconsole.log_names import labels_of, service_of
from opsconsole.model import Container, LogLevel, LogLine, SourceError
from opsconsole.sources import LogRange, LogStream, Sources
from opsconsole.text import printable

if TYPE_CHECKING:
    from opsconsole.commands import Commands


DEFAULT_TAIL = 200
_IDLE = 0.02  # seconds between two looks when nothing came
_LOOK_AROUND = 2.0  # seconds between two looks for recreated containers
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)
_LEVEL_COLOURS = {LogLevel.WARNING: 33, LogLevel.ERROR: 31, LogLevel.FATAL: 91}


class BadOption(SourceError):
    """An option that cannot be understood: one line, exit code 2."""


def add_commands(commands: Commands) -> None:
    parser = commands.add_parser(
        "logs", help="print or follow logs", description="Print or follow the logs of services."
    )
    add_stack_options(parser)
    parser.add_argument("services", nargs="*", metavar="SERVICE", help="these services only (default: all)")
    parser.add_argument("-f", "--follow", action="store_true", help="go on with new lines until Ctrl+C")
    parser.add_argument("--since", metavar="WHEN", help="5m, 2h, 1d or a time such as 2026-01-31T02:00:00Z")
    parser.add_argument(
        "--tail", type=int, metavar="N", help="the last N lines of each container (default 200; with --since all)"
    )
    parser.add_argument("--grep", metavar="REGEX", help="only lines that match")
    parser.add_argument("--invert", action="store_true", help="only lines that do not match --grep")
    parser.add_argument(
        "--level", metavar="LEVEL", help="this level and above: trace, debug, info, warning, error, fatal"
    )
    parser.add_argument("--timestamps", action="store_true", help="begin each line with its time (UTC)")
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    parser.add_argument("--no-color", action="store_true", help="no colours on a terminal either")
    parser.add_argument(
        "--raw", action="store_true", help="do not make control characters visible (dangerous on a terminal)"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    monitor, directory, project = looking_monitor(arguments)
    project = known_project(monitor, directory, project)
    return print_logs(monitor.sources, directory=str(directory), project=project, arguments=arguments)


def print_logs(sources: Sources, *, directory: str, project: str, arguments: argparse.Namespace) -> int:
    """Print what was asked for. Raises SourceError when the engine does not answer or an option is wrong."""
    shown = _filter(arguments)
    wanted = _range(arguments)

    def look() -> tuple[Container, ...]:
        return sources.engine.containers(project=project, directory="" if project else directory)

    containers = look()
    services = frozenset(arguments.services)
    there = {service_of(container) for container in containers}
    if unknown := sorted(services - there):
        names = ", ".join(sorted(there)) or "none"
        print(printable(f"opsconsole: no such service: {', '.join(unknown)} (there are: {names})"), file=sys.stderr)
        return 1
    if not containers:
        print("opsconsole: this stack has no containers, so there are no logs", file=sys.stderr)
        return 1
    chosen = _chosen(containers, services)
    output = _Output(arguments)
    output.know(chosen)
    stream = sources.logs.open(chosen, wanted)
    try:
        return _copy(stream, output, shown, lambda: _chosen(look(), services), follow=wanted.follow)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    finally:
        stream.close()


def parse_since(text: str, now: datetime) -> datetime:
    """`90s`, `5m`, `2h`, `1d`, `1h30m`, an RFC 3339 time (without a zone: local time), or seconds since 1970."""
    if re.fullmatch(r"(?:[0-9]+[smhdw])+", text):
        seconds = sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)([smhdw])", text))
        return now - timedelta(seconds=seconds)
    try:
        if re.fullmatch(r"[0-9]{9,10}(?:\.[0-9]+)?", text):
            return datetime.fromtimestamp(float(text), UTC)
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        raise BadOption(
            f"--since {printable(text)} is no time", "use 5m, 2h, 1d or a time such as 2026-01-31T02:00:00Z."
        ) from None


def _range(arguments: argparse.Namespace) -> LogRange:
    try:
        since = parse_since(arguments.since, datetime.now(UTC)) if arguments.since else None
    except OverflowError:
        since = datetime.fromtimestamp(0, UTC)  # longer ago than there are times: everything
    tail = arguments.tail
    if tail is not None and tail < 0:
        raise BadOption("--tail needs a number of 0 or more")
    if tail is None and since is None:
        tail = DEFAULT_TAIL
    return LogRange(since=since, tail=tail, follow=arguments.follow, keep_all=True)


def _filter(arguments: argparse.Namespace) -> LogFilter:
    grep = Pattern()
    if arguments.grep is not None:
        grep = pattern(arguments.grep, inverse=arguments.invert, may_invert=False)
        if grep.note:
            print(f"opsconsole: --grep: {printable(grep.note)}", file=sys.stderr)
    level = LogLevel.UNKNOWN
    if arguments.level:
        wanted = {"warn": "warning", "err": "error"}.get(arguments.level.lower(), arguments.level.lower())
        try:
            level = LogLevel(wanted)
        except ValueError:
            names = ", ".join(level for level in LogLevel if level)
            raise BadOption(f"--level {printable(arguments.level)} is no level", f"there are: {names}") from None
    return LogFilter(grep, level)


def _chosen(containers: Iterable[Container], services: frozenset[str]) -> tuple[Container, ...]:
    return tuple(each for each in containers if not services or service_of(each) in services)


def _copy(
    stream: LogStream,
    output: _Output,
    shown: LogFilter,
    look: Callable[[], Sequence[Container]],
    *,
    follow: bool,
) -> int:
    shows = shown.reader()
    said = ""
    looked = time.monotonic()
    while True:
        ended = not follow and stream.caught_up
        lines = stream.read()
        output.write([line for line in lines if shows(line)] if shown else lines)
        if stream.problem != said:
            said = stream.problem
            if said:
                print(f"opsconsole: {printable(said)}", file=sys.stderr, flush=True)
        if ended and not lines:
            return 2 if said and not output.lines else 0
        if not follow and said.startswith("no logs"):
            return 2  # nobody waits in a pipe for an engine to come back, unless following
        if not lines:
            output.flush()
            time.sleep(_IDLE)
        if follow and time.monotonic() - looked > _LOOK_AROUND:
            looked = time.monotonic()
            try:
                containers = look()
                output.know(containers)
                stream.retarget(containers)
            except SourceError:
                continue  # the stream itself says that the engine does not answer


class _Output:
    """Lines as text or JSON, colours only on a terminal."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.lines = 0
        self._labels: dict[str, str] = {}
        self._json = arguments.json
        self._raw = arguments.raw
        self._times = arguments.timestamps
        self._colour = sys.stdout.isatty() and not arguments.no_color and not os.environ.get("NO_COLOR")
        self._levels = LevelReader()
        self._width = 0  # of the column in front; 0 while there is only one container to speak of

    def know(self, containers: Sequence[Container]) -> None:
        """Learn names; those of containers that are gone are kept for the rest of their lines."""
        self._labels.update((key, printable(label)) for key, label in labels_of(containers).items())
        names = set(self._labels.values())
        self._width = min(20, max(map(len, names))) if len(names) > 1 else 0

    def write(self, lines: Sequence[LogLine]) -> None:
        if not lines:
            return
        one = self._as_json if self._json else self._as_text
        text = "\n".join([one(line) for line in lines]) + "\n"
        self.lines += len(lines)
        # Bytes, so that a terminal without UTF-8 or a lone surrogate cannot stop it.
        sys.stdout.buffer.write(text.encode("utf-8", "replace"))
        if len(lines) < 1000:
            self.flush()

    def flush(self) -> None:
        sys.stdout.buffer.flush()

    def _as_json(self, line: LogLine) -> str:
        if line.skipped:
            return json.dumps({"at": _time(line.at), "skipped": line.skipped})
        level = self._levels.read(line)
        fields = {
            "at": _time(line.at),
            "service": line.service,
            "container": line.container,
            "stream": "stderr" if line.stderr else "stdout",
            "level": str(level) or None,
            "text": line.text,
        }
        # ASCII only: what is escaped cannot act on a terminal, and is the same text to a program.
        return json.dumps(fields).replace("\x7f", "\\u007f")

    def _as_text(self, line: LogLine) -> str:
        if line.skipped:
            return f"-- {line.skipped:,} lines skipped --"
        text = line.text if self._raw else printable(line.text)
        front = f"{_time(line.at)} " if self._times else ""
        label = ""
        if self._width:
            label = f"{self._labels.get(line.container) or printable(line.service):<{self._width}} | "
        if not self._colour:
            return f"{front}{label}{text}"
        service = _COLOURS[crc32(line.service.encode("utf-8", "replace")) % len(_COLOURS)]
        label = f"\x1b[{service}m{label}\x1b[0m" if label else ""
        level = self._levels.read(line)
        if RANK[level] >= RANK[LogLevel.WARNING]:
            text = f"\x1b[{_LEVEL_COLOURS[level]}m{text}\x1b[0m"
        return f"{front}{label}{text}"


def _time(nanoseconds: int) -> str:
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"
