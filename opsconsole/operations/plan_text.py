"""A plan as lines of text: services, steps with their commands, the way back, the data, what it costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from opsconsole.operations.plan import Effect, Fate, Plan, ServiceChange, Step, shown, title
from opsconsole.text import printable

_MARKS = {Effect.SAFE: "  ", Effect.BACKED_UP: "~ ", Effect.REPLACED: "! ", Effect.LOST: "- "}
_FATE_MARKS = {
    Fate.CREATE: "+", Fate.RECREATE: "~", Fate.PERHAPS: "?", Fate.START: ">",
    Fate.RESTART: ">", Fate.RUN: ">",
Fate.REMOVE: "-", Fate.UNCHANGED: " ",
}  # fmt: skip
_FATE_WORDS = {
    Fate.CREATE: "is created",
    Fate.RECREATE: "is recreated",
    Fate.PERHAPS: "is recreated if it has changed by then",
    Fate.START: "is started",
    Fate.RESTART: "is restarted if what it depends on was recreated",
    Fate.RUN: "runs once more",
    Fate.REMOVE: "is removed",
    Fate.UNCHANGED: "stays as it is",
}
_FATE_COUNTS = {
    Fate.CREATE: "to create",
    Fate.RECREATE: "to recreate",
    Fate.PERHAPS: "perhaps",
    Fate.START: "to start",
    Fate.RESTART: "to restart",
    Fate.RUN: "to run",
    Fate.REMOVE: "to remove",
    Fate.UNCHANGED: "unchanged",
}
_NOT_CUT = " *"
_WIDEST = 48


def as_text(plan: Plan) -> str:
    """The plan for a person: what will run, what it costs, what happens to the data."""
    return "\n".join(printable(line) for line in lines(plan)) + "\n"


def lines(plan: Plan) -> Iterator[str]:
    """Not yet printable: names in it come from outside."""
    yield f"Plan: {title(plan)}{_release(plan)}"
    yield ""
    yield from _under("Commits", plan.incoming)
    yield from _under("Configuration", plan.keys)
    yield from _under("Services", tuple(change_lines(plan.changes)))
    if any(not step.cuttable for step in (*plan.steps, *plan.way_back)):
        yield f"Steps ({_NOT_CUT.strip()} is not cut short: a cancel waits for its end)"
    else:
        yield "Steps"
    for number, step in enumerate(plan.steps, 1):
        yield from _step_lines(f"{number}.", step)
    if plan.way_back:
        begins = next((number for number, step in enumerate(plan.steps, 1) if step.turns_back), len(plan.steps))
        yield f"When step {begins} or a later one fails, or a cancel comes then, once:"
        for step in plan.way_back:
            yield from _step_lines("-", step)
    if plan.on_failure:
        yield "When it has failed, after that:"
        for step in plan.on_failure:
            yield from _step_lines("-", step)
    yield ""
    yield from _data_lines(plan)
    yield from _downtime_lines(plan)
    yield from (f"Note: {note}" for note in plan.notes)
    yield _last_line(plan)


def change_lines(changes: Sequence[ServiceChange]) -> Iterator[str]:
    """What becomes of each service and why; those that stay as they are in one line."""
    moving = [one for one in changes if one.fate is not Fate.UNCHANGED]
    width = min(max((len(one.service) for one in moving), default=0), _WIDEST)
    for one in moving:
        yield f"{_FATE_MARKS[one.fate]} {one.service.ljust(width)}  {_FATE_WORDS[one.fate]}"
        yield from (f"    {line}" for line in one.why)
    if staying := [one.service for one in changes if one.fate is Fate.UNCHANGED]:
        yield f"  {_FATE_WORDS[Fate.UNCHANGED]}: {', '.join(staying)}"


def _release(plan: Plan) -> str:
    made = f" -> {plan.release}" if plan.release and not plan.resolves else ""
    return f"{made}, back to {plan.returns_to} if it fails" if plan.returns_to and plan.steps else made


def _under(heading: str, found: tuple[str, ...]) -> Iterator[str]:
    if found:
        yield heading
        yield from (f"  {line}" for line in found)
        yield ""


def _step_lines(number: str, step: Step) -> Iterator[str]:
    yield f"  {number:<2} {step.title}{'' if step.cuttable else _NOT_CUT}"
    yield from (f"       {line}" for line in _commands(step.commands))
    if step.effect:
        yield f"       {step.effect}"


def _commands(commands: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Each as it is typed; several that differ in their last word alone are one line with all of them."""
    if len(commands) > 1 and len({command[:-1] for command in commands}) == 1:
        last = ", ".join(shown(command[-1:]) for command in commands)
        yield f"$ {shown(commands[0][:-1])} SERVICE"
        yield f"  for each SERVICE of {last}, one after the other, where it differs"
    else:
        yield from (f"$ {shown(command)}" for command in commands)


def _data_lines(plan: Plan) -> Iterator[str]:
    yield "Data"
    if not plan.data:
        yield "  no volume, mount or database is touched"
    width = max((len(one.name) for one in plan.data), default=0)
    for one in plan.data:
        because = f": {one.why}" if one.why else ""
        mark = "! " if one.left_behind else _MARKS[one.effect]
        yield f"  {mark}{one.name.ljust(min(width, _WIDEST))}  {one.what}, {one.words.upper()}{because}"


def _downtime_lines(plan: Plan) -> Iterator[str]:
    yield "Downtime"
    if not plan.downtime:
        yield "  none"
    unknown = [one.service for one in plan.downtime if not one.until_started and one.seconds is None]
    for one in plan.downtime:
        if one.until_started:
            yield f"  {one.service}: until it is started again"
        elif one.seconds is not None:
            yield f"  {one.service}: about {max(1, round(one.seconds))} s, as the last time"
    if unknown:
        yield f"  {', '.join(unknown)}: short; how long is not known before the first time"


def _last_line(plan: Plan) -> str:
    words = [one.words for one in plan.data]
    data = [f"{words.count(one)} {one}" for one in (*Effect, *(["left behind"] if "left behind" in words else []))]
    fates = Counter(one.fate for one in plan.changes)
    services = ", ".join(f"{fates[fate]} {said}" for fate, said in _FATE_COUNTS.items() if fates[fate])
    services = f"Services: {services}. " if services else ""
    steps = "1 step" if len(plan.steps) == 1 else f"{len(plan.steps)} steps"
    return f"{steps}. {services}Data: {', '.join(data)}. Fingerprint {plan.fingerprint[:12]}"
