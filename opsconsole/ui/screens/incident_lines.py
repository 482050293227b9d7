"""What the incident screen shows, as lines for a width: most important first. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from textual.content import Content

from opsconsole.incident import course
from opsconsole.incident.blame import waiting
from opsconsole.incident.course import Incident
from opsconsole.incident.evidence import Change, Evidence, What
from opsconsole.incident.priority import words
from opsconsole.incident.recommendation import Recommendation, aged
from opsconsole.incident.snippets import Snippet, snippets
from opsconsole.incident.symptoms import Symptom, is_unseen
from opsconsole.model import AlertState
from opsconsole.text import printable
from opsconsole.ui.widgets.lines import fit, section, wrapped
from opsconsole.ui.wording import Glyphs, Tone, clock, duration, moment, plural, sign

AIRY = 100  # cells from which an empty line stands between the parts
MOST_RED = 6
MOST_CHANGES = 14
MOST_EARLIER = 5
_FIRST, _OTHERS = 4, 2  # lines of evidence of the first recommendation, and of those after it

_WORDS = {
    What.DEPLOY: ("deploy", Tone.ACCENT),
    What.CONFIG: ("config", Tone.ACCENT),
    What.RESTART: ("restart", Tone.PLAIN),
    What.RESTORE: ("restore", Tone.ACCENT),
    What.OTHER: ("done", Tone.PLAIN),
    What.DEATH: ("ended", Tone.BAD),
    What.HEALTH: ("health", Tone.WARNING),
    What.ALERT: ("alert", Tone.WARNING),
    What.OVER: ("over", Tone.GOOD),
    What.DATA: ("DATA", Tone.BAD),
    What.INCIDENT: ("said", Tone.MUTED),
}


def heading(incident: Incident | None, now: datetime, drill: str = "", *, can_declare: bool = True) -> Content:
    """One line: which incident, how bad, how long, and when it gets worse."""
    if incident is None:
        practice = f"   drill: {drill}" if drill else ""
        none = f"   none is open{'; D declares one' if can_declare else ''}"
        return Content.assemble("Incident", (none, Tone.MUTED), (practice, Tone.WARNING))
    parts: list[tuple[str, str]] = [
        (f"Incident {incident.name}", Tone.STRONG),
        (f"  {incident.priority}", Tone.BAD if incident.priority in ("P1", "P2") else Tone.WARNING),
        (f"  open {clock(incident.age(now))}", Tone.PLAIN),
    ]
    left = incident.escalates_in(now)
    if left is not None:
        said = f"  becomes P1 in {clock(left)}" if left > 0 else "  30 min are over: E makes it a P1"
        parts.append((said, Tone.MUTED if left > 300 else Tone.WARNING))
    if drill:
        parts.append(("  drill", Tone.WARNING))
    return Content.assemble(*parts)


def lines(
    evidence: Evidence,
    recommendations: Sequence[Recommendation],
    incident: Incident | None,
    width: int,
    glyphs: Glyphs,
    *,
    learnt: bool = True,
    earlier: Sequence[Incident] = (),
) -> list[Content]:
    """The whole page. `learnt` is False until files and journals were read; `earlier`: shown while none is open."""
    found: list[Content] = []
    if incident is not None:
        found += wrapped(f"{incident.title}", width, style=Tone.STRONG)
        found += wrapped(f"{words(incident.priority)}; declared by {incident.declared_by}", width, style=Tone.MUTED)
    parts = [
        _red(evidence, width, glyphs),
        _answers(recommendations, evidence, width, glyphs),
        _changes(evidence, width, glyphs, learnt=learnt),
    ]
    if incident is not None:
        parts += [_checklists(incident, width, glyphs), _notes(incident, width, glyphs)]
    elif earlier:
        parts.append(_earlier(earlier, evidence.now, width, glyphs))
    for part in (*parts, _pages(snippets(evidence), width, glyphs)):
        if found and width >= AIRY:
            found.append(Content(""))
        found += part
    return found


def _part(title: str, width: int, glyphs: Glyphs, note: str) -> Content:
    """Its first line; the note only where there is room for it."""
    return section(title, width, glyphs, note if len(title) + len(note) + 6 <= width else "")


def _hanging(head: Content, text: str, width: int, style: str = "", most: int = 20) -> Iterable[Content]:
    """A text behind its head, its other lines under its first; what is left out of it is marked."""
    room = max(10, width - head.cell_length)
    whole = wrapped(text, room, style=style) or [Content("")]
    shown = whole[:most]
    if len(whole) > most:
        shown[-1] = Content.assemble(shown[-1].truncate(room - 1), ("…", style))
    yield head + shown[0]
    yield from (line.pad_left(head.cell_length) for line in shown[1:])


# --- what is red -----------------------------------------------------------------------------------


def _red(evidence: Evidence, width: int, glyphs: Glyphs) -> Iterable[Content]:
    bad = [(Tone.BAD if one.critical else Tone.WARNING, _symptom(one, evidence.now)) for one in evidence.symptoms]
    bad = [*((Tone.BAD, f"less data: {one.text}") for one in evidence.data), *bad]
    bad += [(Tone.WARNING, one) for one in evidence.unreadable]
    yield _part("Red now", width, glyphs, plural(len(bad), "thing") if bad else "")
    if not bad:
        yield Content.styled(f"{glyphs.good} Nothing is red, and no data is known to be missing.", Tone.GOOD)
        if others := sum(one.state is AlertState.FIRING for one in evidence.snapshot.alerts):
            # Such as a backup that is too old: the header counts it, and this screen must not seem to deny it.
            shown = "o shows it" if others == 1 else "o shows them"
            yield Content.styled(f"  {plural(others, 'alert')} of a kind that makes no incident: {shown}", Tone.MUTED)
    for tone, text in bad[:MOST_RED]:
        yield from _hanging(Content.styled(f"{sign(tone, glyphs)} ", tone), text, width, tone, most=2)
    if len(bad) > MOST_RED:
        yield Content.styled(f"  and {len(bad) - MOST_RED} more: o shows all", Tone.MUTED)


def _symptom(one: Symptom, now: datetime) -> str:
    if not is_unseen(one, now) or one.unseen_since is None:
        return one.text
    return f"not seen any more for {aged(one.unseen_since, now)}: {one.text}"


# --- what the runbook answers ----------------------------------------------------------------------


def _answers(
    recommendations: Sequence[Recommendation], evidence: Evidence, width: int, glyphs: Glyphs
) -> Iterable[Content]:
    yield _part("The runbook's answer", width, glyphs, "a key shows the plan; nothing runs by itself")
    if not recommendations:
        said = "Nothing: a system that is well is left alone." if evidence.quiet else "None of its lines fits."
        if evidence.symptoms and all(is_unseen(one, evidence.now) for one in evidence.symptoms):
            said = "Nothing now: what was red is not seen any more. It stays listed for a minute, an average for five."
        yield from wrapped(said, width, style=Tone.MUTED)
    if recommendations and (said := waiting(evidence)):
        yield from wrapped(f"{glyphs.busy} {said}", width, style=Tone.ACCENT)
    key = 0
    for number, one in enumerate(recommendations):
        most = _OTHERS if number else _FIRST
        yield Content.assemble(
            (f"{one.issue[:1].upper()}{one.issue[1:]}", Tone.STRONG), f" {glyphs.arrow} ", (one.answer, Tone.STRONG)
        )
        for way in one.ways:
            key += 1
            hand = "" if way.what else f": {way.command}"
            yield from _hanging(Content.styled(f" {key} ", "bold $accent"), f"{way.label}{hand}", width)
        yield from _bullets(one.evidence, "+", most, width, "")
        yield from _bullets(one.against, "-", most, width, Tone.MUTED)


def _bullets(texts: Sequence[str], mark: str, most: int, width: int, style: str) -> Iterable[Content]:
    for text in texts[:most]:
        yield from _hanging(Content.styled(f"   {mark} ", Tone.MUTED), text, width, style)
    if len(texts) > most:
        yield Content.styled(f"     and {len(texts) - most} more", Tone.MUTED)


# --- what changed ----------------------------------------------------------------------------------


def _changes(evidence: Evidence, width: int, glyphs: Glyphs, *, learnt: bool) -> Iterable[Content]:
    yield _part("What changed", width, glyphs, "newest first, 6 h")
    if not learnt:
        yield Content.styled(f"{glyphs.busy} Journals, releases and files are being read.", Tone.ACCENT)
    elif not evidence.changes:
        yield Content.styled("Nothing in the last 6 hours.", Tone.MUTED)
    for one in evidence.changes[:MOST_CHANGES]:
        yield from _change(one, evidence.now, width)
    if len(evidence.changes) > MOST_CHANGES:
        yield Content.styled(f"and {len(evidence.changes) - MOST_CHANGES} more: opsconsole incident report", Tone.MUTED)
    for problem in evidence.known.problems:
        yield from wrapped(f"{glyphs.warning} not seen: {problem}", width, style=Tone.WARNING)


def _change(one: Change, now: datetime, width: int) -> Iterable[Content]:
    word, tone = _WORDS[one.what]
    age = duration(max(0.0, (now - one.at).total_seconds()) // 1)  # whole seconds: `779 ms` is too wide
    head = Content.assemble(
        (f"{one.at.astimezone():%H:%M:%S} ", Tone.MUTED), (f"{age:>5} ", Tone.MUTED),
        (f"{word:<8}", Tone.BAD if one.bad and one.what is not What.ALERT else tone),
    )  # fmt: skip
    yield from _hanging(head, one.text, width, most=2)


# --- the record ------------------------------------------------------------------------------------


def _checklists(incident: Incident, width: int, glyphs: Glyphs) -> Iterable[Content]:
    done = len(incident.items) - len(incident.to_do)
    yield _part("Checklists", width, glyphs, f"{done} of {len(incident.items)} done; t ticks")
    part = ""
    for item in incident.items:
        if item.part != part:
            part = item.part
            yield Content.styled(part, Tone.MUTED)
        tick = incident.ticks.get(item.key)
        by = f"  {tick.who}, {tick.at.astimezone():%H:%M}" if tick else ""
        mark = (f" {glyphs.good if tick else glyphs.off} ", Tone.GOOD if tick else Tone.WARNING)
        yield from _hanging(Content.assemble(mark), f"{item.text}{by}", width, Tone.MUTED if tick else "")


def _notes(incident: Incident, width: int, glyphs: Glyphs) -> Iterable[Content]:
    said = [one for one in incident.entries if one.event not in ("tick", "untick", "saw")]
    yield _part("Said and done", width, glyphs, "n writes a note")
    for one in said[-MOST_CHANGES:]:
        yield from _hanging(Content.styled(f"{one.at.astimezone():%H:%M:%S} ", Tone.MUTED), course.said(one), width)


def _earlier(incidents: Sequence[Incident], now: datetime, width: int, glyphs: Glyphs) -> Iterable[Content]:
    yield _part("Earlier incidents", width, glyphs, f"{len(incidents)} of them; p reads their reports")
    for one in incidents[:MOST_EARLIER]:
        declared = moment(one.declared_at, now) if one.declared_at else ""
        head = Content.styled(f"{one.name:<4} {one.priority}  {declared}  ", Tone.MUTED)
        said = f"{one.title}: {one.resolution}" if one.resolution else one.title
        yield from _hanging(head, f"{said} ({duration(one.age(now))})", width, most=2)


# --- the runbook's pages ---------------------------------------------------------------------------


def _pages(pages: Sequence[Snippet], width: int, glyphs: Glyphs) -> Iterable[Content]:
    yield _part("Where to look", width, glyphs, "from the runbook, with the numbers of now")
    for page in pages:
        yield Content.assemble((page.title, Tone.STRONG), ("   look here first" if page.fits else "", Tone.WARNING))
        for look in page.looks:
            head = Content.styled(f"  {fit(look.what, min(28, width // 3))}  ", Tone.MUTED)
            said = list(_hanging(head, look.now, width, Tone.BAD if look.bad else "", most=2))
            more = Content.styled(printable(look.more if look.bad else ""), Tone.ACCENT)
            fits = said[-1].cell_length + more.cell_length + 2 <= width
            yield from (*said[:-1], Content("  ").join((said[-1], more)) if fits else said[-1])
            if not fits:
                yield from wrapped(look.more, width, indent=head.cell_length, style=Tone.ACCENT)
        yield from wrapped("helps: " + "; ".join(page.helps), width, indent=2, style=Tone.MUTED)
