"""A running operation as it is read on the screen: how far it is, and how it ended. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from textual.content import Content

from opsconsole.operations import plan as plans
from opsconsole.operations.attached import Standing
from opsconsole.operations.course import Course, Mark
from opsconsole.operations.journal import Result, exit_code
from opsconsole.operations.past import Expected
from opsconsole.operations.plan import Kind
from opsconsole.text import printable
from opsconsole.ui.widgets.lines import cut, flowed, wrapped
from opsconsole.ui.widgets.progress_lines import progress_lines
from opsconsole.ui.wording import Glyphs, Tone, clock, moment, plural

RESULTS: dict[Result, tuple[str, Tone]] = {
    Result.DONE: ("done", Tone.GOOD),
    Result.FAILED: ("FAILED", Tone.BAD),
    Result.REFUSED: ("refused: nothing was done", Tone.WARNING),
    Result.CANCELLED: ("cancelled at a safe point: what was done stays done", Tone.WARNING),
    Result.ROLLED_BACK: ("FAILED and ROLLED BACK: the stack is as it was before", Tone.BAD),
    Result.ROLLBACK_FAILED: ("FAILED, and THE WAY BACK FAILED TOO", Tone.BAD),
}
_DONE = {Kind.DEPLOY: "deployed", Kind.UPDATE: "updated and deployed", Kind.ROLLBACK: "rolled back as asked",
         Kind.STOP: "stopped", Kind.START: "started", Kind.RESTART: "restarted", Kind.REMOVE: "removed",
         Kind.EMERGENCY_STOP: "everything is stopped", Kind.BACKUP: "backed up", Kind.VERIFY: "verified: all is right",
         Kind.PRUNE: "pruned", Kind.RESTORE: "restored"}  # fmt: skip


def result_words(course: Course) -> tuple[str, Tone]:
    """How it ended, in words: `deployed`, `FAILED and ROLLED BACK: ...`."""
    end, plan = course.end, course.plan
    if end is None or end.result is None:
        return "", Tone.PLAIN
    if end.result is not Result.DONE or plan is None:
        return RESULTS[end.result]
    words = end.text or _DONE.get(plan.kind, "done")
    if plan.resolves:
        words = "undone" if plan.as_undo else "finished"
    return (f"{words}, but THERE IS LESS DATA than before", Tone.BAD) if course.less else (words, Tone.GOOD)


def end_words(course: Course) -> tuple[str, Tone]:
    """One sentence for the messages."""
    title = heading(course, "the operation").plain
    if course.end is None:
        return f"{title}: HALF DONE, its process was killed.", Tone.BAD
    words, tone = result_words(course)
    took = f" after {clock(course.end.seconds)}" if course.end.seconds is not None else ""
    problem = f": {course.end.problem.rstrip('.')}" if course.end.problem else ""
    return f"{title}: {words}{took}{problem}.", tone


def mark_of(mark: Mark, glyphs: Glyphs) -> tuple[str, Tone]:
    return {
        Mark.DONE: (glyphs.good, Tone.GOOD),
        Mark.FAILED: (glyphs.bad, Tone.BAD),
        Mark.RUNNING: (glyphs.busy, Tone.ACCENT),
        Mark.TO_COME: (glyphs.off, Tone.MUTED),
    }[mark]


# --- while it runs ---------------------------------------------------------------------------------


def state_lines(
    course: Course,
    standing: Standing,
    expected: Expected,
    now: datetime,
    width: int,
    glyphs: Glyphs,
    *,
    cancel_asked: str = "",
) -> list[Content]:
    """Who began it and when, how far it is, and how long it takes."""
    begin = course.begin
    who = [
        Content.styled(f"by {printable(begin.who.words() if begin.who else '?')}", Tone.MUTED),
        Content.styled(f"begun {moment(begin.at, now)}", Tone.MUTED),
        Content.styled(printable(begin.operation), Tone.MUTED),
    ] if begin else [Content.styled("It is being started.", Tone.MUTED)]  # fmt: skip
    said, times = _standing(course, standing, glyphs), _times(course, standing, expected, now)
    if standing is Standing.RUNNING:
        # The step on a line of its own: what stands below must not move with the length of its title.
        lines = [cut(said, width, glyphs), *flowed([times, *who], width, gap=3)]
    else:
        lines = flowed([said, times, *who], width, gap=3)
    if standing is Standing.RUNNING:
        if course.turned is not None:
            back = f"{glyphs.warning} On its way {printable(course.turned.text)}: {course.turned.problem}"
            lines += wrapped(back, width, style=Tone.WARNING)
        if cancel_asked:
            lines += wrapped(f"{glyphs.warning} Asked to end at the next safe point: {cancel_asked}", width,
                             style=Tone.WARNING)  # fmt: skip
        if (at := course.progress) is not None:
            lines += progress_lines(at.text, at.done, at.total, at.unit, width, glyphs)
    return lines


def _standing(course: Course, standing: Standing, glyphs: Glyphs) -> Content:
    if standing is Standing.ENDED:
        words, tone = result_words(course)
        mark = glyphs.good if tone is Tone.GOOD else glyphs.bad if tone is Tone.BAD else glyphs.warning
        return Content.styled(f"{mark} {words}", f"bold {tone}" if tone is not Tone.BAD else tone)
    if standing is Standing.HALF_DONE:
        return Content.styled(f"{glyphs.bad} HALF DONE: its process was killed", Tone.BAD)
    if standing is Standing.NOTHING_DONE:
        return Content.styled(f"{glyphs.bad} ended before it did anything", Tone.BAD)
    begun = [one for one in course.steps if one.mark is not Mark.TO_COME]
    said = printable(f"step {len(begun)} of {len(course.steps)}: {begun[-1].title}") if begun else "begins"
    return Content.styled(f"{glyphs.busy} {said}", "bold $accent")


def _times(course: Course, standing: Standing, expected: Expected, now: datetime) -> Content:
    if standing in (Standing.BEGINNING, Standing.NOTHING_DONE):
        return Content("")
    if standing is Standing.HALF_DONE:
        return Content("")
    took = course.seconds(now)
    said = f"{clock(took)}" if standing is Standing.RUNNING else f"after {clock(took)}"
    if expected.seconds is None:
        wanted = ", how long it takes is not known yet" if standing is Standing.RUNNING else ""
        return Content.assemble(said, (wanted, Tone.MUTED))
    over = standing is Standing.RUNNING and took > 2 * expected.seconds + 5
    times = "the last time" if expected.of == 1 else f"the last {expected.of} times"
    return Content.assemble(
        said, (f" of about {clock(max(1, round(expected.seconds)))} ({times})", Tone.WARNING if over else Tone.MUTED)
    )


def result_lines(
    course: Course, standing: Standing, width: int, glyphs: Glyphs, *, last_words: str = ""
) -> list[Content]:
    """Everything that an error had to say, and what state the system is in now."""
    lines: list[Content] = []
    if standing is Standing.HALF_DONE:
        lines += wrapped(_left_words(course), width, style=Tone.BAD)
        lines += wrapped("F finishes it, U goes back to how it was. Both show a plan first.", width, style=Tone.ACCENT)
    if standing is Standing.NOTHING_DONE:
        lines += wrapped(f"Nothing was done. {last_words}".strip(), width, style=Tone.BAD)
    lines += _less(course, width, glyphs)
    for said, tone in _end(course):
        lines += wrapped(said, width, style=tone)
    return lines


def _left_words(course: Course) -> str:
    at = course.current
    done = len([one for one in course.steps if one.mark is Mark.DONE])
    to_come = len([one for one in course.steps if one.mark is Mark.TO_COME])
    inside = f"cut off in the step {course.steps[at].title}, which may have happened or not; " if at is not None else ""
    return f"Its process was killed, or the machine went down: {inside}{plural(done, 'step')} done, {to_come} to come."


def _end(course: Course) -> Iterator[tuple[str, Tone]]:
    end = course.end
    if end is None:
        return
    bad = end.result is not Result.DONE
    if end.problem:
        changed = end.problem.removeprefix("the stack changed since the plan was made: ")
        if end.result is Result.REFUSED and changed != end.problem:
            yield "The stack changed since the plan was made:", Tone.WARNING
            yield from ((f"  {line}", Tone.WARNING) for line in changed.split("; "))
        else:
            yield end.problem, Tone.BAD if bad else Tone.WARNING
    failed = course.failed
    if failed is not None and failed.ended is not None and bad:
        yield f"in the step: {failed.title}", Tone.PLAIN
        if failed.ended.command:
            yield f"command: {plans.shown(failed.ended.command)}", Tone.PLAIN
        if failed.ended.exit_codes:
            yield f"exit code: {' '.join(map(str, failed.ended.exit_codes))}", Tone.PLAIN
    if end.last_lines:
        yield "its last lines:", Tone.MUTED
        yield from ((f"  | {line}", Tone.PLAIN) for line in end.last_lines)
    yield from ((f"now {line}", Tone.STRONG) for line in end.state)
    if end.hint:
        yield end.hint, Tone.ACCENT
    if end.by_hand:
        yield "Run by hand, in this order:", Tone.BAD
        yield from ((f"  $ {line}", Tone.STRONG) for line in end.by_hand)
    if end.release:
        yield f"release {end.release}", Tone.MUTED
    if end.result is not None:
        yield f"exit code of the operation: {exit_code(end.result, end.less)}", Tone.MUTED


def _less(course: Course, width: int, glyphs: Glyphs) -> list[Content]:
    """What the guard has to say; nothing when all data is there."""
    guarded = course.guarded
    lines = [line for note in (guarded.notes if guarded else ()) for line in wrapped(f"data: {note}", width)]
    if course.less:
        lines += wrapped(f"{glyphs.bad} LESS DATA than before:", width, style=Tone.BAD)
        lines += [line for less in course.less for line in wrapped(less, width, indent=2, style=Tone.BAD)]
        lines += wrapped(guarded.hint, width, style=Tone.ACCENT) if guarded else []
        lines += wrapped("R here chooses what of the newest good backup is restored.", width, style=Tone.ACCENT)
    return lines


def cancel_words(course: Course) -> list[str]:
    """What a cancel means at this moment."""
    at = course.current
    current = course.steps[at] if at is not None else None
    if current is None:
        first = "It ends before the next step."
    elif current.cuttable:
        first = f"The step that runs ({current.title}) is ended."
    else:
        first = f"The step that runs ({current.title}) is not cut short: it is waited for."
    if course.returns:
        to = (course.plan.returns_to if course.plan else "") or "how it was"
        return [first, f"Then it goes back to {to}, as it does after a failure."]
    return [first, "No further step is begun. What was done until then stays done."]


def heading(course: Course, name: str) -> Content:
    title = course.begin.title if course.begin and course.begin.title else ""
    if not title:
        title = plans.title(course.plan) if course.plan else name
    return Content(printable(title[:1].upper() + title[1:]))
