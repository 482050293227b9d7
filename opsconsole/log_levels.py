"""What a log line says about itself: its level, and the HTTP status if it is a line of an access log.

Pure, and made for any text at all: it never raises, looks at the first 2,000 characters only, and its
patterns are linear. Reading costs 1-3 µs a line, so nobody reads a line before it is shown, filtered or
counted.

The first sign wins, in this order: a level named by a field (JSON, logfmt), the formats that have signs of
their own (mongod, Redis, klog), a word that stands where loggers put the level. An HTTP status of 500 and
above is an error and of 400 and above a warning, whatever level the access log gives its lines.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from opsconsole.model import LogLevel, LogLine

LOOKED_AT = 2000
"""Characters of a line that are looked at."""

RANK = {
    LogLevel.UNKNOWN: 0,
    LogLevel.TRACE: 1,
    LogLevel.DEBUG: 2,
    LogLevel.INFO: 3,
    LogLevel.WARNING: 4,
    LogLevel.ERROR: 5,
    LogLevel.FATAL: 6,
}

_WORDS = {
    LogLevel.TRACE: "trace trc verbose silly finest finer",
    LogLevel.DEBUG: "debug dbg debu fine",
    LogLevel.INFO: "info inf information notice note log http success ready",
    LogLevel.WARNING: "warning warn wrn",
    LogLevel.ERROR: "error err eror failure severe",
    LogLevel.FATAL: "fatal ftl critical crit alert emerg emergency panic dpanic",
}
_BY_WORD = {word: level for level, words in _WORDS.items() for word in words.split()}

# A level as a field of a JSON object. The lookbehind leaves JSON inside a JSON string alone.
_JSON_LEVEL = re.compile(
    r'(?<!\\)"(?:level|severity|severity_text|lvl|levelname|log_?level|log\.level|@level|levelText)"'
    r'\s*:\s*(?:"([A-Za-z]{1,12})"|(\d{1,3})\b)',
    re.IGNORECASE,
)
_MONGOD = re.compile(r'"s"\s*:\s*"([DIWEF])[1-5]?"')
_JSON_STATUS = re.compile(
    r'(?<!\\)"(?:status|status_?code|http_status|responseStatus)"\s*:\s*"?([1-5]\d\d)"?\s*[,}]', re.IGNORECASE
)

# 12:M 20 Nov 2023 21:22:00.123 # Can't save in background
_REDIS = re.compile(r"\d{1,7}:[XCSM] \d\d? \w{3} \d{4} [\d:.]{8,12} ([.\-*#]) ")
# E0102 15:04:05.000000   1 file.go:12] text
_KLOG = re.compile(r"([IWEF])\d{4} \d\d:\d\d:\d\d\.\d+ ")
# mongod before 4.4: 2023-11-20T21:22:00.123+0000 E STORAGE  [initandlisten] text
_MONGOD_PLAIN = re.compile(r"\d{4}-\d\d-\d\dT[\d:.+Z-]+ ([DIWEF])\d? +[A-Z]+ +\[")

# 10.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.0" 200 2326 ...
_ACCESS = re.compile(r'\[\d{2}/\w{3}/\d{4}:[\d:]{8} [+-]\d{4}\] "[^"]{0,1900}" ([1-5]\d\d) ')
# `GET /api 500 12.3 ms - 33` (morgan) and `"GET / HTTP/1.1" 500` (uvicorn)
_REQUEST = re.compile(r"\b(?:GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS) /\S{0,1500}(?: HTTP/[\d.]+)?\"? ([1-5]\d\d)\b")
_REQUEST_FIELDS = ('"method"', '"req"', '"request"', '"path"', '"url"', '"uri"')
_METHODS = ("GET /", "POST /", "PUT /", "PATCH /", "DELETE /", "HEAD /", "OPTIONS /")

_LOGFMT = re.compile(r"(?:^|[\s,;])(?:level|lvl|severity)=\"?([A-Za-z]{1,12})\b", re.IGNORECASE)
_CAPITALS = re.compile(
    r"(?<![A-Za-z0-9_])(TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|ERR|SEVERE|FATAL|CRITICAL|CRIT|ALERT|EMERG|PANIC"
    r"|DBG|INF|WRN|FTL|LOG(?=:))(?=[\s\]|:)>!,;-]|$)"
)
_BRACKETED = re.compile(r"[\[<(|] ?([A-Za-z]{3,11}) ?[\]>)|]")
# `error: ...`, `Warning: ...`, `TypeError: ...` at the start, or behind a time.
_LEADING = re.compile(r"(?:[\[(]?\d[\d\-/:.,TZ+ ]{5,34}[\])]?[ :-]*)?([A-Za-z]{3,11}):(?=\s|$)")
_RAISED = re.compile(
    r"(?:Uncaught |Unhandled )?(?:[A-Za-z_][\w.$]{0,80}(?:Error|Exception)\b|Traceback \(most recent call last\)"
    r"|Exception in thread |Segmentation fault|panic: |Unhandled ?(?:Promise)?Rejection)"
)
_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
_CONTINUED = re.compile(r"[ \t]+\S|Caused by: |\.\.\. \d+ more|[}\])]+[,;]?$")


def detect(text: str) -> LogLevel:
    """The level that a line gives itself; UNKNOWN when it gives none."""
    if len(text) > LOOKED_AT:
        text = text[:LOOKED_AT]
    if "\x1b" in text:
        text = _COLOUR.sub("", text)
    start = text[:1]
    if start == "{":
        return _of_json(text)
    if start.isdigit() or start in "IWEF":
        signed = _of_signs(text)
        if signed is not None:
            return signed
    status = http_status(text)
    if status is not None and status >= 400:
        return LogLevel.ERROR if status >= 500 else LogLevel.WARNING
    level = _of_words(text)
    if level is LogLevel.UNKNOWN and status is not None:
        return LogLevel.INFO
    return level


def http_status(text: str) -> int | None:
    """The HTTP status of a line of an access log (common, combined, JSON, morgan, uvicorn); None for others."""
    if len(text) > LOOKED_AT:
        text = text[:LOOKED_AT]
    if text[:1] == "{":
        # A JSON line that only mentions a status (a health report) has no method or path beside it.
        if "tatus" not in text or not any(field in text for field in _REQUEST_FIELDS):
            return None
        found = _JSON_STATUS.search(text)
    elif '] "' in text and (access := _ACCESS.search(text)):
        found = access
    elif any(method in text for method in _METHODS):
        found = _REQUEST.search(text)
    else:
        return None
    return int(found[1]) if found else None


def continues(text: str) -> bool:
    """Whether a line belongs to the one before it: an indented line, a stack trace's `Caused by:`, a lone bracket."""
    return _CONTINUED.match(text) is not None


def of_number(number: int) -> LogLevel:
    """pino and bunyan count 10-60 upwards; GELF and syslog count 0-7 downwards."""
    if number >= 10:
        steps = (LogLevel.TRACE, LogLevel.DEBUG, LogLevel.INFO, LogLevel.WARNING, LogLevel.ERROR, LogLevel.FATAL)
        return steps[min(number // 10, 6) - 1]
    if number <= 2:
        return LogLevel.FATAL
    return {3: LogLevel.ERROR, 4: LogLevel.WARNING, 7: LogLevel.DEBUG}.get(number, LogLevel.INFO)


class LevelReader:
    """Levels of lines read one after the other, where a stack trace has the level of the line it belongs to.

    A line that has no level of its own and continues the line before it (of the same container and the same
    stream) inherits that line's level. A line that starts anew and names no level stays UNKNOWN.
    """

    def __init__(self) -> None:
        self._last: dict[tuple[str, bool], LogLevel] = {}

    def read(self, line: LogLine) -> LogLevel:
        key = (line.container, line.stderr)
        level = own_level(line)
        if level is LogLevel.UNKNOWN and continues(line.text):
            return self._last.get(key, LogLevel.UNKNOWN)
        self._last[key] = level
        return level


def level_of(line: LogLine, before: Callable[[], LogLine | None], *, far: int = 200) -> LogLevel:
    """The level of one line somewhere in the middle. `before` gives the lines above it, nearest first, then None."""
    level = own_level(line)
    if level is not LogLevel.UNKNOWN or not continues(line.text):
        return level
    for _ in range(far):
        above = before()
        if above is None:
            break
        if above.container != line.container or above.stderr != line.stderr or above.skipped:
            continue
        level = own_level(above)
        if level is not LogLevel.UNKNOWN or not continues(above.text):
            return level
    return LogLevel.UNKNOWN


def own_level(line: LogLine) -> LogLevel:
    """The level that came with the line, or the one its text names."""
    return line.level or detect(line.text)


# --- formats ---------------------------------------------------------------------------------------


def _of_json(text: str) -> LogLevel:
    status = http_status(text)
    if status is not None and status >= 400:
        return LogLevel.ERROR if status >= 500 else LogLevel.WARNING
    found = _JSON_LEVEL.search(text)
    if found:
        word, number = found.groups()
        return _BY_WORD.get(word.lower(), LogLevel.UNKNOWN) if word else of_number(int(number))
    found = _MONGOD.search(text)
    if found:
        return _BY_LETTER[found[1]]
    return LogLevel.INFO if status is not None else LogLevel.UNKNOWN


_BY_LETTER = {
    "D": LogLevel.DEBUG,
    "I": LogLevel.INFO,
    "W": LogLevel.WARNING,
    "E": LogLevel.ERROR,
    "F": LogLevel.FATAL,
}
_BY_SIGN = {".": LogLevel.DEBUG, "-": LogLevel.DEBUG, "*": LogLevel.INFO, "#": LogLevel.WARNING}


def _of_signs(text: str) -> LogLevel | None:
    if found := _REDIS.match(text):
        return _BY_SIGN[found[1]]
    if found := _KLOG.match(text) or _MONGOD_PLAIN.match(text):
        return _BY_LETTER[found[1]]
    return None


def _of_words(text: str) -> LogLevel:
    """Words count where loggers write them: a field, capitals, brackets, or in front of a colon at the start."""
    if "=" in text and (found := _LOGFMT.search(text)):
        return _BY_WORD.get(found[1].lower(), LogLevel.UNKNOWN)
    head = text[:160]
    best: re.Match[str] | None = _CAPITALS.search(head)
    for bracketed in _BRACKETED.finditer(head):
        if bracketed[1].lower() in _BY_WORD:
            if best is None or bracketed.start() < best.start():
                best = bracketed
            break
    if best:
        return _BY_WORD[best[1].lower()]
    found = _LEADING.match(head)
    if found and found[1].lower() in _BY_WORD:
        return _BY_WORD[found[1].lower()]
    return LogLevel.ERROR if _RAISED.match(head) else LogLevel.UNKNOWN
