"""Every container of the stack: how it is, what it uses, whether it runs what the compose file says.

Keys of its own: `u` (up) starts, `s` stops, `r` restarts, `e` opens a shell, `L` goes to the logs of these
services only (`l` goes to the logs as they were left). Stopped containers are shown while their service is
wanted by the compose file; `a` also shows those left behind by an earlier file or another profile.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from textual.content import Content
from textual.widget import Widget

from opsconsole.model import Container, Snapshot
from opsconsole.operations.containers import Outcome, Target, Verb, apply, summary
from opsconsole.operations.plan import Effect
from opsconsole.text import printable
from opsconsole.ui.keys import Action
from opsconsole.ui.panes import container_rows as cells
from opsconsole.ui.panes.base import Pane
from opsconsole.ui.panes.container_columns import columns
from opsconsole.ui.panes.container_rows import ContainerRow, rows_of, tally
from opsconsole.ui.screens.confirm import ConfirmScreen
from opsconsole.ui.screens.plan_lines import said_of
from opsconsole.ui.shell import open_shell
from opsconsole.ui.widgets.row_table import RowTable
from opsconsole.ui.widgets.sheet import Sheet
from opsconsole.ui.wording import Tone, plural, short_id, sign

if TYPE_CHECKING:
    from opsconsole.operations.plan import Plan

CONSEQUENCE = {
    Verb.START: "It is started as it is; the compose file is not read again.",
    Verb.STOP: "Its service is down until it is started again.",
    Verb.RESTART: "Its service is down for a moment; the compose file is not read again.",
}


class ContainersPane(Pane):
    pane_id = "containers"
    title = "Containers"
    letter = "c"
    topics = frozenset({"usage"})
    sources = ("engine", "stack", "usage")
    actions = (
        Action("details", ("i",), "details", "Show all that is known about the container.", footer=10, shown="Enter"),
        Action("shell", ("e",), "shell", "Open a shell in the container; exit comes back.", footer=20, changes=True),
        Action("restart", ("r",), "restart", "Restart the container, after a question.", footer=21, changes=True),
        Action("stop", ("s",), "stop", "Stop the container, after a question.", footer=22, changes=True),
        Action("start", ("u",), "start", "Start (up) the container, after a question.", footer=22, changes=True),
        Action("logs", ("L",), "its logs", "Go to the logs of this service only, or of the marked ones.", footer=30),
        Action("stopped", ("a",), "all", "Show or hide stopped containers that no wanted service needs.", footer=60),
    )
    DEFAULT_CSS = """
    ContainersPane > .summary { padding: 0 1; height: auto; }
    ContainersPane > .drift { padding: 0 1; height: auto; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = datetime.now(UTC)
        self._all_stopped = False
        self._snapshot: Snapshot | None = None
        self.table: RowTable[ContainerRow] = RowTable(
            columns(self), key=lambda row: row.key, empty="Looking for containers", search=_searched
        )
        self.summary = Sheet(classes="summary")
        self.note = Sheet(classes="drift")

    def body(self) -> Iterable[Widget]:
        yield self.summary
        yield self.table
        yield self.note

    # --- showing -----------------------------------------------------------------------------------

    def show(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self.now = snapshot.sampled_at
        everything = rows_of(snapshot, all_stopped=True)
        rows = everything if self._all_stopped else [row for row in everything if not row.stale]
        hidden = len(everything) - len(rows)
        engine = snapshot.readings.get("engine")
        looked = bool(snapshot.containers) or engine is None or engine.sampled_at is not None
        self.table.say("This stack has no container and no service." if looked else "Waiting for the engine to answer.")
        self.table.show(rows)
        self.summary.paint(lambda width: [self._summary(rows, hidden)])
        self._say_note()

    def _summary(self, rows: Sequence[ContainerRow], hidden: int) -> Content:
        good, total = tally(rows)
        if not total and not hidden:
            return Content.styled("no service, no container is known", Tone.MUTED)
        tone = Tone.GOOD if good == total else Tone.WARNING
        parts: list[tuple[str, str]] = [(f"{sign(tone, self.glyphs)} {good} of {total} well", tone)]
        drifting = sum(1 for row in rows if row.container and row.container.drift)
        if drifting:
            parts.append(
                (
                    f"   {drifting} drifting from the compose file"
                    if self.size.width >= 100
                    else f"   {drifting} drifting",
                    Tone.WARNING,
                )
            )
        if hidden:
            parts.append((f"   {plural(hidden, 'stopped one')} hidden, a shows all", Tone.MUTED))
        if marked := len(self.table.marked):
            parts.append((f"   {marked} marked", Tone.ACCENT))
        return Content.assemble(*parts)

    def _say_note(self) -> None:
        """What is wrong with the row under the cursor, in whole sentences."""
        row = self.table.current
        said = [] if row is None else _troubles(row)
        self.note.paint(
            lambda width: [
                line for text, tone in said for line in Content.styled(printable(text), tone).wrap(width)[:3]
            ]
        )
        self.note.display = bool(said)

    def on_row_table_moved(self, event: RowTable.Moved) -> None:
        self._say_note()

    def on_row_table_marked(self, event: RowTable.Marked) -> None:
        if self._snapshot is not None:
            self.show(self._snapshot)

    def on_row_table_chosen(self, event: RowTable.Chosen) -> None:
        self.action_details()

    # --- keys --------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        targets = self.table.targets if action in ("restart", "stop", "start", "shell", "details", "logs") else ()
        if action in ("restart", "stop", "shell"):
            return any(row.running for row in targets)
        if action == "start":
            return any(row.container is not None and not row.running for row in targets)
        return bool(targets) if action in ("details", "logs") else True

    def action_details(self) -> None:
        from opsconsole.ui.screens.details import DetailsScreen

        if self.table.current is not None and self._snapshot is not None:
            self.app.push_screen(DetailsScreen(self.table.current, self._snapshot))

    def action_stopped(self) -> None:
        self._all_stopped = not self._all_stopped
        if self._snapshot is not None:
            self.show(self._snapshot)

    async def action_logs(self) -> None:
        from opsconsole.ui.panes.logs import LogsPane

        names = list(dict.fromkeys(_service_name(row) for row in self.table.targets))
        pane = await self.console_app.go("logs")
        assert isinstance(pane, LogsPane)
        pane.follow_services(names)

    def action_restart(self) -> None:
        self._ask(Verb.RESTART)

    def action_stop(self) -> None:
        self._ask(Verb.STOP)

    def action_start(self) -> None:
        self._ask(Verb.START)

    def _ask(self, verb: Verb) -> None:
        """Ask first. What is acted on are the ids of this moment, whatever moves in the table meanwhile."""
        if self._refused(verb.value):
            return
        wanted = [row for row in self.table.targets if row.running != (verb is Verb.START)]
        containers = [row.container for row in wanted if row.container is not None]
        if not containers:
            return
        first = containers[0]
        what = first.service or first.name if len(containers) == 1 else plural(len(containers), "container")
        plan = self._plan(verb, containers)
        gone = [one for one in plan.data if one.effect in (Effect.LOST, Effect.REPLACED)]
        said = [
            Content.assemble((printable(one.name), Tone.STRONG), (f"  {short_id(one.id)}", Tone.MUTED))
            for one in containers
        ]
        said += [Content(""), Content.styled(self._consequence(verb, lost=bool(gone)), Tone.MUTED)]
        for one in gone:
            words, tone = said_of(one)
            said.append(Content.styled(f"{printable(one.name)}: {one.what}, {words}: {one.why}", tone))

        def answered(yes: bool | None) -> None:
            if yes:
                self._do(plan)

        question = f"{verb.value.capitalize()} {printable(what)}?"
        if plan.to_accept:
            from opsconsole.ui.screens.agree import ToType, TypeNamesScreen

            names = [ToType(name, "will be LOST") for name in plan.to_accept]
            self.app.push_screen(TypeNamesScreen(question, said, names), answered)
        else:
            self.app.push_screen(ConfirmScreen(question, said, verb.value.capitalize()), answered)

    def _plan(self, verb: Verb, containers: Sequence[Container]) -> Plan:
        """From what is on the screen: no question to the engine, nothing to wait for."""
        from opsconsole.operations import container_plans, memory_only

        snapshot = self._snapshot
        assert snapshot is not None  # there is a row
        stack = snapshot.stack.name if snapshot.stack else containers[0].project
        site = self.console_app.operating.site
        memory = memory_only.kept_in_memory(snapshot.databases)
        directory = site.directory if site else Path(snapshot.stack.directory if snapshot.stack else ".")
        return container_plans.plan(stack, directory, verb, containers, snapshot.volumes, memory)

    def _consequence(self, verb: Verb, *, lost: bool) -> str:
        data = " Its data stays." if verb is not Verb.START and not lost else ""
        return f"On {self._where()}. {CONSEQUENCE[verb]}{data}"

    def _where(self) -> str:
        host = self._snapshot.host.name if self._snapshot and self._snapshot.host else ""
        endpoint = self._snapshot.engine.endpoint if self._snapshot and self._snapshot.engine else ""
        return printable(" at ".join(part for part in (host or "this host", endpoint) if part))

    def _do(self, plan: Plan) -> None:
        from opsconsole.operations import container_plans

        app = self.console_app
        site, engine = app.operating.site, app.sources.engine
        verb, targets = container_plans.named(plan)
        names = ", ".join(target.name for target in targets)
        app.report(f"{verb.value} {names}: under way", Tone.ACCENT)

        def told(outcomes: list[Outcome]) -> None:
            ok = all(outcome.ok for outcome in outcomes)
            app.report(summary(outcomes), Tone.GOOD if ok else Tone.BAD)
            if app.monitor is not None:
                app.monitor.refresh()

        def work() -> list[Outcome]:
            return container_plans.apply(site, plan) if site is not None else apply(engine, verb, targets)

        app.in_background(work, told, f"{verb.value} {names}")

    def _refused(self, what: str) -> bool:
        if self.console_app.read_only:
            self.console_app.report(f"The console was opened read-only: {what} is refused.", Tone.WARNING)
            return True
        return False

    def action_shell(self) -> None:
        row = self.table.current
        if self._refused("a shell") or row is None or row.container is None or not row.running:
            return
        if self._snapshot is not None and self._snapshot.demo:
            self.console_app.report("The demo stack has no real containers to open a shell in.", Tone.WARNING)
            return
        endpoint = self._snapshot.engine.endpoint if self._snapshot and self._snapshot.engine else ""
        open_shell(self.console_app, endpoint, Target.of(row.container))


def _service_name(row: ContainerRow) -> str:
    return row.container.service or row.container.name if row.container else row.name


def _searched(row: ContainerRow) -> str:
    container = row.container
    texts = [row.name, row.standing.word, cells.image_cell(row), cells.drift_cell(row)[0]]
    if container is not None:
        texts += [container.name, container.id, container.state, cells.ports_text(container.ports)]
    return " ".join(texts)


def _troubles(row: ContainerRow) -> list[tuple[str, str]]:
    container = row.container
    if container is None:
        return [(f"{row.name}: the compose file wants this service, and it has no container.", Tone.WARNING)]
    said: list[tuple[str, str]] = []
    if container.error:
        said.append((f"{row.name}: {container.error}", Tone.BAD))
    if container.health == "unhealthy" and container.health_log:
        last = container.health_log[-1]
        said.append((f"{row.name}: health check exit {last.exit_code}: {' '.join(last.output.split())}", Tone.BAD))
    if container.drift:
        said.append((f"{row.name}: {container.drift}", Tone.WARNING))
    return said
