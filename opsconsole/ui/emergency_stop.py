"""Emergency stop from the console: the question says at once what it costs, and no plan is waited for before it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from textual.content import Content

from opsconsole.model import Snapshot, SourceError
from opsconsole.text import printable
from opsconsole.ui.wording import Tone, plural

if TYPE_CHECKING:
    from opsconsole.operations.beginning import Begun
    from opsconsole.operations.plan import Plan
    from opsconsole.ui.operating import Operating

_RUNNING = ("running", "paused", "restarting")
WORDS = "emergency stop"


def ask(operating: Operating) -> None:
    """Ask, and stop everything when that is agreed to."""
    from opsconsole.ui.screens.agree import AgreeScreen

    app = operating.app
    if app.read_only:
        app.report("This console is read-only: nothing was stopped.", Tone.WARNING)
        return
    if operating.refused() or isinstance(app.screen, AgreeScreen):
        return
    app.push_screen(
        AgreeScreen("EMERGENCY STOP?", list(cost(operating)), "Stop everything"),
        lambda agreed: _stop(operating) if agreed else None,
    )


def cost(operating: Operating) -> Iterator[Content]:
    """What it does and what that costs, in lines."""
    snapshot: Snapshot | None = operating.app.snapshot
    from opsconsole.operations.emergency import GRACE_SECONDS

    running = [one for one in snapshot.containers if one.state in _RUNNING] if snapshot is not None else []
    databases = {one.target.service for one in snapshot.databases if one.target.service} if snapshot else set()
    killed = [name for name in dict.fromkeys(one.service for one in running) if name in databases]
    yield operating.target()
    yield Content.styled(
        f"Stops all {plural(len(running), 'running container')} at once, within 10 s. The whole stack is DOWN until "
        "somebody starts it again.",
        Tone.WARNING,
    )
    yield Content("Logs and states are saved first, 2 s at most. Containers and volumes stay as they are.")
    if killed:
        yield Content(
            printable(
                f"{', '.join(killed)}: killed after {GRACE_SECONDS} s if it needs longer; its own log repairs it."
            )
        )
    if operating.running:
        yield Content(printable(f"{operating.running[0].title} runs: it is asked to end and not waited for."))


def _stop(operating: Operating) -> None:
    from opsconsole.operations.requests import Request

    site, app = operating.site, operating.app
    assert site is not None

    def make() -> Plan | SourceError:
        from opsconsole.operations import requests

        try:
            return requests.make_plan(site, Request(what="emergency-stop"))
        except SourceError as error:
            return error
        except Exception as error:  # a fault of ours must be read, not lost on a thread
            return SourceError(f"unexpected {type(error).__name__}: {error}", "docker stop NAME stops by hand.")

    def made(plan: Plan | SourceError) -> None:
        from opsconsole.operations.stack_plans import NothingToDo

        if isinstance(plan, NothingToDo):
            app.report(f"Emergency stop: {plan.problem}.", Tone.WARNING)
        elif isinstance(plan, SourceError):
            app.report(f"EMERGENCY STOP WAS NOT DONE: {plan.problem}. {plan.hint}".strip(), Tone.BAD)
        elif plan.to_accept:
            operating.confirm(plan, lambda agreed: _begin(operating, plan) if agreed else None)
        else:
            _begin(operating, plan)

    app.report("Emergency stop: the engine is asked what runs.", Tone.ACCENT)
    app.in_background(make, made, WORDS)


def _begin(operating: Operating, plan: Plan) -> None:
    from opsconsole.operations.requests import Request

    def begun(result: Begun | SourceError) -> None:
        if isinstance(result, SourceError):
            stop_unrecorded(operating, result.problem)
        else:
            request = Request(what="emergency-stop")
            operating.watch(result.place, process=result.process, request=request, words=WORDS)

    operating.begin(plan, begun)


def stop_unrecorded(operating: Operating, why: str) -> None:
    """The stop alone, where its journal cannot be written."""
    site, app = operating.site, operating.app
    assert site is not None
    app.report(f"{why}. Stopping without a journal and without evidence.", Tone.WARNING)

    def stop() -> str:
        from opsconsole.operations import emergency

        try:
            return emergency.stop_unrecorded(site.directory, site.config(), site.project)
        except SourceError as error:
            return str(error)

    def stopped(problem: str) -> None:
        if problem:
            app.report(f"{problem}. Stop them by hand: docker stop NAME", Tone.BAD)
        else:
            app.report("Nothing of the stack runs any more.", Tone.GOOD)

    app.in_background(stop, stopped, WORDS)
