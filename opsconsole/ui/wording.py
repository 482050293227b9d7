"""How facts are said on screen: sizes, rates, ages, states. One place, so every pane says them alike.

Pure functions over `opsconsole.model`. Everything that is not known is said as `UNKNOWN`, never as zero.
What these return is safe to show, except where a parameter is outside text: pass that through `printable`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from opsconsole.model import Alert, Container, Service, Severity
from opsconsole.roles import is_job

UNKNOWN = "-"


class Tone(StrEnum):
    """What a word means, as a style that `Content`, `RowTable` and CSS understand in every theme.

    A tone is never the only sign: a word or a glyph says the same.
    """

    PLAIN = ""
    STRONG = "bold"
    MUTED = "$foreground-muted"
    ACCENT = "$accent"
    GOOD = "$success"
    WARNING = "$warning"
    BAD = "bold $error"


@dataclass(frozen=True, slots=True)
class Glyphs:
    """The signs beside the words. All are one cell wide."""

    good: str
    warning: str
    bad: str
    off: str
    busy: str
    unknown: str
    mark: str
    ascending: str
    descending: str
    dot: str
    ellipsis: str
    rule: str
    bar: str
    arrow: str
    ascii: bool


UNICODE = Glyphs(
    good="✓",
    warning="▲",
    bad="✗",
    off="○",
    busy="◐",
    unknown="?",
    mark="●",
    ascending="↑",
    descending="↓",
    dot="·",
    ellipsis="…",
    rule="─",
    bar="│",
    arrow="→",
    ascii=False,
)
ASCII = Glyphs(
    good="+",
    warning="!",
    bad="x",
    off="-",
    busy="~",
    unknown="?",
    mark="*",
    ascending="^",
    descending="v",
    dot="-",
    ellipsis="~",
    rule="-",
    bar="|",
    arrow=">",
    ascii=True,
)

SIGN_OF_TONE = {Tone.GOOD: "good", Tone.WARNING: "warning", Tone.BAD: "bad", Tone.MUTED: "off", Tone.ACCENT: "busy"}


def sign(tone: Tone, glyphs: Glyphs) -> str:
    """The glyph that goes with a tone."""
    name = SIGN_OF_TONE.get(tone, "unknown")
    return str(getattr(glyphs, name))


# --- numbers ---------------------------------------------------------------------------------------


def size(amount: float | None) -> str:
    """Bytes as an operator reads them: `512 B`, `1.4 GiB`."""
    if amount is None:
        return UNKNOWN
    import humanize  # 8 ms, wanted only once something is on screen

    text: str = humanize.naturalsize(amount, binary=True, format="%.1f")
    number, _, unit = text.partition(" ")
    if unit.startswith("Byte"):
        return f"{number} B"
    return f"{number.removesuffix('.0')} {unit}"


def short_size(amount: float | None) -> str:
    """Bytes in at most five cells, for narrow columns: `512B`, `1.4G`."""
    return re.sub(r" (\w)(?:iB)?$", r"\1", size(amount))


def rate(per_second: float | None) -> str:
    return UNKNOWN if per_second is None else f"{size(per_second)}/s"


def short_rate(per_second: float | None) -> str:
    return UNKNOWN if per_second is None else f"{short_size(per_second)}/s"


def percent(value: float | None, digits: int = 0) -> str:
    """`7 %`, or `0.4 %` below one when `digits` allow it."""
    return UNKNOWN if value is None else f"{value:.{digits}f} %"


def count(number: int | float | None) -> str:
    """`12,345`."""
    return UNKNOWN if number is None else f"{number:,.0f}"


def plural(number: int, noun: str, many: str = "") -> str:
    """`1 container`, `2 containers`."""
    return f"{number:,} {noun if number == 1 else many or noun + 's'}"


# --- time ------------------------------------------------------------------------------------------


def duration(seconds: float | None) -> str:
    """One unit, two from a day on where the second one matters: `45 s`, `12 m`, `3 h`, `2 d 4 h`, `6 d`."""
    if seconds is None:
        return UNKNOWN
    seconds = max(0.0, seconds)
    if seconds < 1 and seconds > 0:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    if minutes < 100:
        return f"{minutes:.0f} m"
    hours = minutes / 60
    if hours < 48:
        return f"{hours:.0f} h"
    days = int(hours // 24)
    rest = int(hours % 24)
    if days < 4 and rest:
        return f"{days} d {rest} h"
    return f"{days} d" if days < 700 else f"{days / 365.25:.0f} y"


def clock(seconds: float | None) -> str:
    """Time that is watched as it passes: `8 s`, `1:05`, `1:02:03`."""
    if seconds is None:
        return UNKNOWN
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def age(then: datetime | None, now: datetime) -> str:
    """Time since `then`; what lies in the future (a clock that is wrong) says so."""
    if then is None:
        return UNKNOWN
    seconds = (now - then).total_seconds()
    return f"in {duration(-seconds)}" if seconds < -5 else duration(max(0, round(seconds)))


def ago(then: datetime | None, now: datetime) -> str:
    """`3 h ago`, `just now`, `never`."""
    if then is None:
        return "never"
    seconds = (now - then).total_seconds()
    if abs(seconds) < 1.5:
        return "just now"
    return f"in {duration(-seconds)}" if seconds < -5 else f"{duration(max(0, round(seconds)))} ago"


def moment(at: datetime | None, now: datetime) -> str:
    """Local clock time; with the date unless it is today."""
    if at is None:
        return UNKNOWN
    local = at.astimezone()
    return local.strftime("%H:%M:%S" if local.date() == now.astimezone().date() else "%Y-%m-%d %H:%M")


def short_id(identity: str) -> str:
    """The first 12 characters of a container or image id, without the algorithm."""
    return identity.removeprefix("sha256:")[:12]


# --- states ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Standing:
    """How something is: a word, its tone, and a rank to sort by (0 is worst)."""

    word: str
    tone: Tone
    rank: int

    def said(self, glyphs: Glyphs) -> str:
        return f"{sign(self.tone, glyphs)} {self.word}"


def container_standing(container: Container, service: Service | None = None) -> Standing:
    """State, health and exit code in one word or two: `healthy`, `running`, `exited 137`, `out of memory`.

    A service that is made to end, and ended with 0, is `done`.
    """
    state = container.state
    if state == "running":
        return _RUNNING.get(container.health, Standing("running", Tone.GOOD, 7))
    if state in ("exited", "dead"):
        if container.oom_killed:
            return Standing("out of memory", Tone.BAD, 0)
        code = container.exit_code
        if code == 0:
            done = is_job(container, service)
            return Standing("done", Tone.GOOD, 8) if done else Standing("stopped", Tone.MUTED, 5)
        if code in _STOPPED_BY_SOMEBODY and state == "exited":
            return Standing(f"stopped {code}", Tone.WARNING, 3)
        said = "dead" if state == "dead" else "exited"
        return Standing(said if code is None else f"{said} {code}", Tone.BAD, 1)
    if state == "created" and container.error:
        return Standing("cannot start", Tone.BAD, 0)
    return _STATES.get(state, Standing(state or "unknown", Tone.WARNING, 3))


_STOPPED_BY_SOMEBODY = (137, 143)
"""Exit codes after `docker stop`: SIGKILL after the grace period, and SIGTERM."""


_RUNNING = {
    "healthy": Standing("healthy", Tone.GOOD, 7),
    "unhealthy": Standing("unhealthy", Tone.BAD, 1),
    "starting": Standing("starting", Tone.ACCENT, 4),
}
_STATES = {
    "restarting": Standing("restarting", Tone.BAD, 1),
    "paused": Standing("paused", Tone.WARNING, 3),
    "created": Standing("created", Tone.MUTED, 5),
    "removing": Standing("removing", Tone.WARNING, 3),
}

NOT_CREATED = Standing("not created", Tone.WARNING, 2)
"""A service that the compose file wants and that has no container."""

NOT_KNOWN = Standing("not known", Tone.MUTED, 4)
"""A service while no engine has told yet whether it has a container."""


def severity_tone(severity: Severity) -> Tone:
    return Tone.BAD if severity is Severity.CRITICAL else Tone.WARNING


def decided(alert: Alert | None, now: datetime) -> str:
    """What somebody decided about an alert, in one line; "" for nothing."""
    if alert is not None and alert.silenced is not None:
        one = alert.silenced
        return f"silenced until {moment(one.until, now)} by {one.who}" + (f": {one.note}" if one.note else "")
    if alert is not None and alert.acknowledged is not None:
        seen = alert.acknowledged
        return f"{seen.who} sees to it since {moment(seen.at, now)}" + (f": {seen.note}" if seen.note else "")
    return ""
