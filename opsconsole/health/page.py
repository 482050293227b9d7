"""The lines of health as a page of text."""

from __future__ import annotations

from collections.abc import Iterator

from opsconsole.health import AREAS, Health, HealthLine, Verdict
from opsconsole.health.checking import worst_first
from opsconsole.model import Snapshot
from opsconsole.text import mask_text, printable

_WORDS = {
    Verdict.CRITICAL: "CRITICAL",
    Verdict.ATTENTION: "attention",
    Verdict.UNKNOWN: "not known",
    Verdict.WELL: "well",
    Verdict.NOTHING: "-",
}
_QUIET = (Verdict.WELL, Verdict.NOTHING)


def as_text(found: Health, snapshot: Snapshot, *, verbose: bool = False) -> str:
    """A page for a person or a mail: worst first; what is well in one line of each area, or all of it."""
    return "\n".join(printable(mask_text(line)) for line in _page(found, snapshot, verbose)) + "\n"


def _page(found: Health, snapshot: Snapshot, verbose: bool) -> Iterator[str]:
    host = snapshot.host.name if snapshot.host else ""
    title = (f"stack {found.stack}" if found.stack else "no stack", f"host {host}" if host else "")
    yield " · ".join([*filter(None, title), f"{found.sampled_at:%Y-%m-%d %H:%M:%S} UTC"])
    loud = [line for line in worst_first(found.lines) if line.verdict not in _QUIET]
    ill = any(line.counts for line in loud)
    yield f"{counted(found.lines)}." if ill else f"All well. {counted(found.lines)}."
    for line in loud:
        yield from _said(line)
    for area in AREAS:
        quiet = [line for line in found.lines if line.area == area and line.verdict in _QUIET]
        if quiet and verbose:
            for line in quiet:
                yield from _said(line)
        elif quiet:
            word = _WORDS[min((line.verdict for line in quiet), key=list(Verdict).index)]
            yield f"  {word:<10} {area:<12} {_in_short(quiet)}"


def counted(lines: tuple[HealthLine, ...]) -> str:
    """`2 critical, 1 attention, 31 well`."""
    words = [line.verdict.value if line.silenced_until is None else "silenced" for line in lines]
    order = (*(verdict.value for verdict in Verdict), "silenced")
    return ", ".join(f"{words.count(word)} {word}" for word in order if word in words)


def _said(line: HealthLine) -> Iterator[str]:
    word = _WORDS[line.verdict] if line.silenced_until is None else "silenced"
    yield f"  {word:<10} {line.area:<12} {line.subject}: {line.number}"
    yield f"{'':<26}{line.looked_at}" + (f"; limit: {line.limit}" if line.limit else "")
    if line.action:
        yield f"{'':<26}-> {line.action}"
    if line.silenced_until is not None:
        yield f"{'':<26}silenced until {line.silenced_until:%Y-%m-%d %H:%M} UTC"


def _in_short(lines: list[HealthLine]) -> str:
    if len(lines) == 1:
        return f"{lines[0].subject}: {lines[0].number}" if lines[0].subject != lines[0].area else lines[0].number
    names = list(dict.fromkeys(line.subject for line in lines))
    return f"{len(lines)} lines: {', '.join(names[:8])}" + (f" and {len(names) - 8} more" if len(names) > 8 else "")
