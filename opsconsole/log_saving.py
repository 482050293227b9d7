"""A line of a log as it stands in a file. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

from opsconsole.model import LogLine
from opsconsole.text import printable


def saved_line(line: LogLine) -> str:
    """UTC time, service, stream and text, ended by a line feed; nothing in it acts on a terminal."""
    seconds, rest = divmod(line.at, 1_000_000_000)
    at = f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest // 1_000_000:03d}Z"
    if line.skipped:
        return f"{at} -- {line.skipped:,} lines skipped --\n"
    return f"{at} {printable(line.service)} {'stderr' if line.stderr else 'stdout'} {printable(line.text)}\n"
