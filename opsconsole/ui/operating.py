"""What the console has to do with operations: it sees what runs, makes plans, begins them, watches and stops.

Nothing about a running operation lives here: the runner has it, and its journal. Leave the console, and it goes on.
"""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from textual.content import Content

from opsconsole.model import Backup, SourceError
from opsconsole.text import printable
from opsconsole.ui.widgets.operation_line import OperationLine
from opsconsole.ui.wording import Tone, plural

if TYPE_CHECKING:
    from opsconsole.operations.beginning import Begun
    from opsconsole.operations.course import Course
    from opsconsole.operations.plan import Plan
    from opsconsole.operations.requests import Request
    from opsconsole.operations.site import Site
    from opsconsole.operations.unfinished import HalfDone
    from opsconsole.operations.watch import Running, Seen, Watch
    from opsconsole.ui.app import ConsoleApp

NO_SITE = "This is the demo: nothing is operated on. On a real stack this shows a plan first."
NOTHING_OF_IT = "This is the demo: nothing is operated on."


class Operating:
    """Of one console. `site` is None for the demo, where there is nothing to operate on."""

    def __init__(self, app: ConsoleApp, site: Site | None) -> None:
        self.app = app
        self.site = site
        self.running: tuple[Running, ...] = ()  # newest first, whoever began them
        self.half_done: tuple[HalfDone, ...] = ()  # newest first
        self.unseen = ""  # why the operations of the stack cannot be seen
        self._watch: Watch | None = None
        self._stopped = False
        self._begun: dict[str, subprocess.Popen[bytes]] = {}  # by operation, for as long as its process lives
        self.looked = False  # what is half done at the start was said
        self._ours: set[str] = set()  # operations that were begun or watched here
        self._told: set[str] = set()  # those of them whose end was said

    # --- what runs -----------------------------------------------------------------------------------

    def start(self) -> None:
        site = self.site
        if site is None:
            return

        def changed(seen: Seen) -> None:
            self.app.call_later(self._saw, seen)

        def watch() -> None:
            from opsconsole.operations.watch import Watch  # 15 ms, in which the screen is painted

            self._watch = Watch(site.directory, changed)
            if not self._stopped:
                self._watch.run()

        threading.Thread(target=watch, name="operations", daemon=True).start()

    def stop(self) -> None:
        self._stopped = True
        if self._watch is not None:
            self._watch.stop()

    def _saw(self, seen: Seen) -> None:
        gone = {one.operation for one in self.running} - {one.operation for one in seen.running}
        self.running, self.half_done, self.unseen = seen.running, seen.half_done, seen.problem
        for name, process in list(self._begun.items()):
            if process.poll() is not None:
                del self._begun[name]
        self.say()
        if self.half_done and not self.looked:
            self.offer(self.half_done[0])
        self.looked = True
        for name in gone & self._ours:
            self._tell_end(name)
        for node in (self.app.pane, self.app.screen):
            changed = getattr(node, "operations_changed", None)
            if changed is not None:
                changed()

    def say(self) -> None:
        """Show what runs on every screen that is open."""
        now = self.app.clock()
        for screen in self.app.screen_stack:
            shown = getattr(screen, "operation", "")  # what it tells all of already
            running = [one for one in self.running if one.operation != shown]
            half_done = [one for one in self.half_done if one.operation != shown]
            for line in screen.query(OperationLine):
                line.show(running, half_done, self.unseen, now, self.app.glyphs)

    def is_resolved(self, name: str) -> bool:
        """Whether a half-done operation was finished or undone in the meantime, or is not known as one yet."""
        return name not in {one.operation for one in self.half_done}

    @property
    def watched_here(self) -> list[str]:
        """Operations that this console began, or shows now, and that still run."""
        shown = [getattr(screen, "operation", "") for screen in self.app.screen_stack]
        running = {one.operation for one in self.running}
        begun = [name for name, process in self._begun.items() if process.poll() is None]
        return list(dict.fromkeys([*begun, *(name for name in shown if name in running)]))

    @property
    def last_begun(self) -> str:
        """The id of the newest operation that was begun here, "" for none."""
        return next(reversed(self._begun), "")

    # --- ways in -------------------------------------------------------------------------------------

    def refused(self, *, changes: bool = False, plans: bool = True) -> bool:
        """Say so when there is nothing to operate on, or when what only `changes` something is asked of a console that
        only looks. `plans`: on a real stack a plan would come."""
        if self.site is None:
            self.app.report(NO_SITE if plans else NOTHING_OF_IT, Tone.WARNING)
        elif changes and self.app.read_only:
            self.app.report("Refused: this console is read-only; nothing was done.", Tone.WARNING)
            return True
        return self.site is None

    def plan(self, request: Request, words: str, begun: Callable[[], None] = lambda: None) -> None:
        """Make the plan of a request and show it. `begun` is called when it runs."""
        if self.refused():
            return
        from opsconsole.ui.screens.plan import PlanScreen

        self.app.push_screen(PlanScreen(words, request, begun=begun))

    def restore(self, backup: Backup) -> None:
        """Choose what of a backup is restored; then its plan."""
        from opsconsole.ui.panes.backup_rows import is_restorable

        if self.refused(changes=True):
            return
        if not is_restorable(backup):
            self.app.report(f"{backup.id} is {backup.state}: it cannot be restored by itself.", Tone.WARNING)
            return
        from opsconsole.ui.screens.restore import RestoreScreen

        self.app.push_screen(RestoreScreen(backup))

    def restore_newest(self) -> None:
        """The same with the newest good backup, looked for now: an operation may just have made it."""
        stack = self.app.snapshot.stack if self.app.snapshot is not None else None
        if self.refused(changes=True) or stack is None:
            return

        def look() -> Backup | SourceError:
            from opsconsole.backups.catalog import Catalog
            from opsconsole.backups.naming import latest

            try:
                return latest(Catalog().look(stack))
            except SourceError as error:
                return error

        def found(one: Backup | SourceError) -> None:
            if isinstance(one, SourceError):
                self.app.report(f"Nothing to restore: {one.problem}. {one.hint}", Tone.BAD)
            else:
                self.restore(one)

        self.app.aside(look, found, "newest backup")

    def export(self, backup: Backup, collections: Sequence[str], directory: str, server: str = "") -> None:
        """Write collections of a backup as JSON into a directory, and say how that went. `server`: of several the one
        that they are of."""
        site = self.site
        if site is None or self.refused(changes=True):
            return

        def write() -> tuple[str, Tone]:
            from opsconsole.operations import exporting

            where = Path(directory).expanduser().absolute()
            if not where.is_dir():
                return f"{where} is no directory; nothing was exported.", Tone.BAD
            wanted = exporting.Wanted(backup=backup.id, paths=tuple(collections), server=server)
            try:
                done = exporting.export(site.scope(), site.config(), wanted, where)
            except SourceError as error:
                return f"Nothing was exported: {error.problem}. {error.hint}", Tone.BAD
            documents = sum(one.documents for _, one in done.values())
            files = f"{plural(len(done), 'file')} with {plural(documents, 'document')}"
            return f"{files} of {backup.id} in {where}.", Tone.GOOD

        self.app.report(f"Collections of {backup.id} are being written to {directory}.", Tone.MUTED)
        self.app.in_background(write, lambda said: self.app.report(*said), f"export from {backup.id}")

    def attach(self) -> None:
        """Watch what runs; else see to what is half done."""
        if self.running:
            self.open(self.running[0].operation)
        elif self.half_done:
            self.offer(self.half_done[0])
        else:
            self.app.report("No operation runs. h shows the past ones.", Tone.MUTED)

    def open(self, operation: str) -> None:
        """Show an operation of this stack, whoever began it."""
        if self.site is not None:
            self.watch(self.place(operation), process=self._begun.get(operation))

    def place(self, operation: str) -> Path:
        assert self.site is not None
        return self.site.directory / ".opsconsole" / "operations" / operation

    def watch(
        self,
        place: Path,
        *,
        process: subprocess.Popen[bytes] | None = None,
        request: Request | None = None,
        words: str = "",
    ) -> None:
        from opsconsole.ui.screens.operation import OperationScreen

        for screen in self.app.screen_stack:
            if isinstance(screen, OperationScreen) and screen.attached.place == place and screen.is_current:
                return
        if process is not None or place.name in {one.operation for one in self.running}:
            self._ours.add(place.name)
        self.app.push_screen(OperationScreen(place, process=process, request=request, words=words))

    def offer(self, one: HalfDone) -> None:
        from opsconsole.ui.screens.half_done import HalfDoneScreen

        def chosen(what: str | None) -> None:
            if what == "look":
                self.open(one.operation)
            elif what in ("finish", "undo"):
                from opsconsole.operations.requests import Request

                self.plan(Request(what=what, operation=one.operation), f"{what} {one.title}")

        more = len(self.half_done) - 1
        self.app.push_screen(HalfDoneScreen(one, more, self.app.read_only), chosen)

    # --- the question and the beginning ----------------------------------------------------------------

    def target(self) -> Content:
        """What it is done to, and where: `shop on web-1`."""
        snapshot = self.app.snapshot
        name = snapshot.stack.name if snapshot is not None and snapshot.stack is not None else ""
        host = snapshot.host.name if snapshot is not None and snapshot.host is not None else ""
        return Content.assemble(
            (printable(name or "this stack"), Tone.STRONG),
            " on ",
            (printable(host or socket.gethostname()), Tone.STRONG),
        )

    def confirm(self, plan: Plan, then: Callable[[bool], None]) -> None:
        """Ask once more: with the names of the data typed, where that is at stake."""
        from opsconsole.operations import plan as plans
        from opsconsole.ui.screens import plan_lines
        from opsconsole.ui.screens.agree import AgreeScreen, ToType, TypeNamesScreen

        title = plans.title(plan)
        question = f"{title[:1].upper()}{title[1:]}?"
        said = [
            self.target(),
            plan_lines.summary(plan, self.app.glyphs),
            *(Content.styled(printable(sentence), Tone.WARNING) for sentence in plan.asks),
        ]
        names = [ToType(name, plan.what_becomes_of(name)) for name in plan.to_accept]
        if plan.confirm:
            names.append(ToType(plan.confirm, plan_lines.replaced(plan), "Type the name of the stack to agree"))
        if names:
            self.app.push_screen(TypeNamesScreen(question, said, names), lambda agreed: then(bool(agreed)))
        else:
            self.app.push_screen(AgreeScreen(question, said, "Run it"), lambda agreed: then(bool(agreed)))

    def begin(self, plan: Plan, then: Callable[[Begun | SourceError], None]) -> None:
        """Start the process of a plan that was agreed to."""
        site = self.site
        assert site is not None

        def start() -> Begun | SourceError:
            from opsconsole.operations import beginning

            try:
                return beginning.begin(site, plan)
            except SourceError as error:
                return error
            except OSError as error:
                return SourceError(f"the process of the operation cannot be started: {error.strerror or error}")

        def started(begun: Begun | SourceError) -> None:
            if not isinstance(begun, SourceError):
                self._begun[begun.place.name] = begun.process
                self._ours.add(begun.place.name)
            if self._watch is not None:
                self._watch.look_now()
            then(begun)

        self.app.in_background(start, started, f"begin the {plan.kind.value.replace('-', ' ')}")

    def ended(self, course: Course, operation: str, *, shown: bool = True) -> None:
        """Say how an operation of ours ended, once: with its screen open among the messages only."""
        if self._watch is not None:
            self._watch.look_now()
        if operation in self._told or operation not in self._ours:
            return
        self._told.add(operation)
        from opsconsole.ui.screens import operation_lines

        said, tone = operation_lines.end_words(course)
        if shown:
            self.app.note(said, tone)
        else:
            self.app.report(f"{said} h shows all of it.", tone)

    def _tell_end(self, operation: str) -> None:
        """An operation is over. Its screen says so if it is open; else the status line does."""
        if any(getattr(screen, "operation", "") == operation for screen in self.app.screen_stack):
            return
        place = self.place(operation)

        def read() -> Course:
            from opsconsole.operations import journal
            from opsconsole.operations.course import course

            try:
                return course(journal.read_plan(place), journal.read(place))
            except SourceError:
                return course(None, journal.read(place))

        self.app.aside(read, lambda found: self.ended(found, operation, shown=False), "operation")

    # --- a report --------------------------------------------------------------------------------------

    def save_report(self, place: Path) -> None:
        """Ask where to, and write the whole operation as Markdown there."""
        from opsconsole.ui.widgets.log_save import SaveScreen

        def chosen(path: str | None) -> None:
            if path is not None:
                self.app.in_background(
                    lambda: _written(place, path), lambda said: self.app.report(*said), "save the operation"
                )

        screen = SaveScreen("Save the operation", "Plan, course and output as Markdown", f"./{place.name}.md")
        self.app.push_screen(screen, chosen)


def _written(place: Path, path: str) -> tuple[str, Tone]:
    from opsconsole.operations import report
    from opsconsole.ui.widgets.log_save import write_pieces

    try:
        text = report.markdown(place)
    except (SourceError, OSError) as error:
        return f"The operation cannot be read: {error}", Tone.BAD
    _, problem = write_pieces(path, [text])
    return (problem, Tone.BAD) if problem else (f"Saved as {path}.", Tone.GOOD)
