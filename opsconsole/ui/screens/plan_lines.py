"""A plan as it is read on the screen: its steps, what each runs, what becomes of the data. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from textual.content import Content

from opsconsole.operations import plan as plans
from opsconsole.operations.course import Part
from opsconsole.operations.plan import Act, DataEffect, Effect, Fate, IfFails, Plan, Step
from opsconsole.text import printable
from opsconsole.ui.widgets.lines import fit, joined, longest, section, wrapped
from opsconsole.ui.wording import Glyphs, Tone, duration, plural

_TONES = {Effect.SAFE: Tone.GOOD, Effect.BACKED_UP: Tone.GOOD, Effect.REPLACED: Tone.WARNING, Effect.LOST: Tone.BAD}
_NAME = 44


@dataclass(frozen=True, slots=True)
class PlanStep:
    """One line of the list of steps."""

    number: str  # "3", of the way back and after a failure "-"
    step: Step
    part: Part
    key: str


def steps_of(plan: Plan) -> list[PlanStep]:
    """The steps, then those of the way back, then those after a failure."""
    found = [PlanStep(str(at), step, Part.STEPS, f"s{at}") for at, step in enumerate(plan.steps, 1)]
    found += [PlanStep("-", step, Part.WAY_BACK, f"b{at}") for at, step in enumerate(plan.way_back)]
    return found + [PlanStep("-", step, Part.ON_FAILURE, f"f{at}") for at, step in enumerate(plan.on_failure)]


def loses(one: DataEffect) -> bool:
    return one.effect is Effect.LOST or one.left_behind


def said_of(one: DataEffect) -> tuple[str, Tone]:
    """What becomes of it in a word or two, and how bad that is."""
    if loses(one):
        return one.words.upper(), Tone.BAD
    return one.words.upper() if one.effect is Effect.REPLACED else one.words, _TONES[one.effect]


def summary(plan: Plan, glyphs: Glyphs) -> Content:
    """One line that stays in sight: what it costs."""
    lost = [one.name for one in plan.data if loses(one)]
    replaced = [one.name for one in plan.data if one.effect is Effect.REPLACED]
    kept = len(plan.data) - len([one for one in plan.data if loses(one) or one.effect is Effect.REPLACED])
    return joined(
        [
            plural(len(plan.steps), "step"),
            (printable(f"{glyphs.bad} LOST or left behind: {', '.join(lost)}"), Tone.BAD) if lost else "",
            (printable(f"{glyphs.warning} replaced: {', '.join(replaced)}"), Tone.WARNING) if replaced else "",
            (f"{glyphs.good} {plural(kept, 'piece')} of data kept", Tone.GOOD) if kept else "",
            (f"{glyphs.good} no data is touched", Tone.GOOD) if not plan.data else "",
            _down(plan),
        ],
        f" {glyphs.dot} ",
    )


def replaced(plan: Plan) -> str:
    """What is agreed to by a restore, in a sentence without its end."""
    names = [one.name for one in plan.data if one.effect is Effect.REPLACED]
    of = plan.restore.backup if plan.restore is not None else "the backup"
    if not names:
        return f"What {of} holds is put beside what is live"
    return f"{', '.join(names)} would be replaced by what {of} holds"


def _down(plan: Plan) -> tuple[str, str]:
    if not plan.downtime:
        return "no downtime", Tone.GOOD
    stays = [one.service for one in plan.downtime if one.until_started]
    if stays:
        who = f"{', '.join(stays[:3])}{' ...' if len(stays) > 3 else ''}"
        return printable(f"{who} {'stay' if len(stays) > 1 else 'stays'} down"), Tone.WARNING
    known = [one.seconds for one in plan.downtime if one.seconds is not None]
    long = f"about {duration(max(known))}" if len(known) == len(plan.downtime) else "a moment"  # as the last times
    return f"{plural(len(plan.downtime), 'service')} down for {long}", Tone.WARNING


def detail(plan: Plan, chosen: PlanStep | None, width: int, glyphs: Glyphs) -> list[Content]:
    """What the chosen step runs and changes, then data, downtime, notes and what the plan was made from."""
    lines: list[Content] = []
    if chosen is not None:
        lines += [*_step(plan, chosen, width, glyphs), Content("")]
    lines += [*_data(plan, width, glyphs), Content("")]
    lines += _changes(plan, width, glyphs)
    lines += _downtime(plan, width, glyphs)
    lines += _listed("Commits", plan.incoming, width, glyphs)
    lines += _listed("Configuration", plan.keys, width, glyphs)
    if plan.notes or plan.asks:
        lines += [Content(""), section("Notes", width, glyphs)]
        for note in (*plan.asks, *plan.notes):
            lines += _bullet(glyphs.warning, note, width, Tone.WARNING)
    return [*lines, Content(""), *_made_from(plan, width, glyphs)]


def _step(plan: Plan, chosen: PlanStep, width: int, glyphs: Glyphs) -> list[Content]:
    step = chosen.step
    heading = {
        Part.STEPS: f"Step {chosen.number} of {len(plan.steps)}",
        Part.WAY_BACK: "The way back",
        Part.ON_FAILURE: "After a failure",
    }[chosen.part]
    lines = [section(heading, width, glyphs), *wrapped(step.title, width, style=Tone.STRONG)]
    lines += [line for said, tone in _meaning(plan, step, chosen.part) for line in wrapped(said, width, style=tone)]
    for command in step.commands:
        lines += _command(plans.shown(command), width)
    if step.act is not Act.COMMANDS and not step.commands:
        lines += wrapped(f"opsconsole does this itself ({step.act.value}).", width, style=Tone.MUTED)
    if step.services and len(step.services) > 1:
        lines += wrapped(f"for {', '.join(step.services)}", width, style=Tone.MUTED)
    return lines


def _meaning(plan: Plan, step: Step, part: Part) -> Iterator[tuple[str, Tone]]:
    if step.effect:
        yield step.effect, Tone.PLAIN
    if step.asks:
        yield step.asks, Tone.WARNING
    if not step.cuttable:
        yield "It is not cut short: a cancel waits for its end.", Tone.MUTED
    if part is Part.STEPS and step.turns_back and plan.way_back:
        yield f"From here on a failure goes back to {plan.returns_to or 'how it was'}, once.", Tone.ACCENT
    if step.if_fails is IfFails.GOES_ON:
        yield "When it fails the next steps have their turn all the same; the operation has failed.", Tone.MUTED
    if step.if_fails is IfFails.IS_TOLD:
        yield "When it fails that is said, and nothing else changes.", Tone.MUTED


def _command(text: str, width: int) -> list[Content]:
    lines = Content(printable(text)).wrap(max(8, width - 2), overflow="fold")
    return [
        Content.assemble(("$ " if at == 0 else "  ", Tone.ACCENT), line.stylize(Tone.ACCENT))
        for at, line in enumerate(lines)
    ]


def _data(plan: Plan, width: int, glyphs: Glyphs) -> list[Content]:
    lines = [section("Data", width, glyphs)]
    if not plan.data:
        return [*lines, *wrapped("No volume, mount or database is touched.", width, style=Tone.MUTED)]
    name = min(longest((one.name for one in plan.data), 8, _NAME), max(8, width // 2))
    worst_first = sorted(plan.data, key=lambda one: (not loses(one), one.effect is not Effect.REPLACED))
    for one in worst_first:
        word, tone = said_of(one)
        mark = glyphs.bad if tone is Tone.BAD else glyphs.warning if tone is Tone.WARNING else glyphs.good
        lines.append(
            Content.assemble(
                (f"{mark} {word:<12}", tone),
                (fit(one.name, name, ellipsis=glyphs.ellipsis), tone if tone is Tone.BAD else Tone.PLAIN),
                (f"  {printable(one.what)}{_database(one)}", Tone.MUTED),
            )
        )
        if one.why:
            lines += wrapped(one.why, width, indent=2, style=tone if tone is Tone.BAD else Tone.MUTED)
    return lines


def _database(one: DataEffect) -> str:
    return f" of {one.database}" if one.database and one.database not in one.what.lower() else ""


_FATES: dict[Fate, tuple[str, Tone]] = {
    Fate.CREATE: ("is created", Tone.ACCENT),
    Fate.RECREATE: ("is recreated", Tone.WARNING),
    Fate.PERHAPS: ("is recreated if its image comes out as another one", Tone.WARNING),
    Fate.START: ("is started", Tone.ACCENT),
    Fate.RUN: ("runs once more", Tone.ACCENT),
    Fate.REMOVE: ("is removed", Tone.WARNING),
    Fate.UNCHANGED: ("stays as it is", Tone.MUTED),
}


def _changes(plan: Plan, width: int, glyphs: Glyphs) -> list[Content]:
    if not plan.changes:
        return []
    lines = [section("Services", width, glyphs)]
    name = longest((one.service for one in plan.changes), 6, 30)
    for one in plan.changes:
        said, tone = _FATES[one.fate]
        lines.append(Content.assemble(fit(one.service, name, ellipsis=glyphs.ellipsis), "  ", (said, tone)))
        for why in one.why:
            lines += wrapped(why, width, indent=4, style=Tone.MUTED)
    return [*lines, Content("")]


def _listed(title: str, said: tuple[str, ...], width: int, glyphs: Glyphs) -> list[Content]:
    if not said:
        return []
    return [Content(""), section(title, width, glyphs), *(line for one in said for line in wrapped(one, width))]


def _downtime(plan: Plan, width: int, glyphs: Glyphs) -> list[Content]:
    lines = [section("Downtime", width, glyphs)]
    if not plan.downtime:
        return [*lines, Content.styled("none", Tone.GOOD)]
    name = longest((one.service for one in plan.downtime), 6, 30)
    for one in plan.downtime:
        if one.until_started:
            said = "until it is started again"
        elif one.seconds is None:
            said = "short; how long is not known before the first time"
        else:
            said = f"about {max(1, round(one.seconds))} s, as the last time"
        lines.append(Content.assemble(fit(one.service, name, ellipsis=glyphs.ellipsis), "  ", (said, Tone.WARNING)))
    return lines


def _made_from(plan: Plan, width: int, glyphs: Glyphs) -> list[Content]:
    lines = [section("Made from", width, glyphs)]
    said = f"Fingerprint {plan.fingerprint[:12]}: the stack as it is now."
    if plan.bound:
        said += " If anything of it changes before this runs, nothing is done and the differences are shown."
    lines += wrapped(said, width, style=Tone.MUTED)
    if plan.release:
        lines += wrapped(f"It makes the release {plan.release}.", width, style=Tone.MUTED)
    return lines


def _bullet(mark: str, text: str, width: int, tone: Tone) -> list[Content]:
    lines = wrapped(text, max(8, width - 2))
    return [Content.assemble((f"{mark} " if at == 0 else "  ", tone), line) for at, line in enumerate(lines)]
