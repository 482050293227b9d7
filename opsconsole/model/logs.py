"""Lines of logs, a stream beside the Snapshot."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class LogLevel(StrEnum):
    TRACE = "trace"
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    FATAL = "fatal"
    UNKNOWN = ""


class LogLine(msgspec.Struct, frozen=True, gc=False):
    """One line of a container's output. `text` is raw; `at` is nanoseconds since 1970 by the engine's clock.

    `service` is "" and `skipped` > 0 for the mark that stands where lines were dropped.
    """

    at: int
    service: str
    container: str  # id
    text: str
    stderr: bool = False
    level: LogLevel = LogLevel.UNKNOWN
    skipped: int = 0
