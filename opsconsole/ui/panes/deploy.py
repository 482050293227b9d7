"""The menu of deploy.sh under its numbers, beside the facts of the stack it is about."""

from __future__ import annotations

from collections.abc import Iterable

from textual import events
from textual.containers import Container as Box
from textual.content import Content
from textual.widget import Widget

from opsconsole.model import Snapshot, SourceError, Stack
from opsconsole.text import printable
from opsconsole.ui.keys import Action
from opsconsole.ui.panes.backup_rows import empty_said, is_restorable
from opsconsole.ui.panes.base import Pane
from opsconsole.ui.panes.deploy_choices import CONFIGURATION, choices, configurations, rollbacks
from opsconsole.ui.panes.menu_options import EXIT, LOGS, OPTIONS, RESTORE, option
from opsconsole.ui.screens.choosing import Choice, ChoosingScreen
from opsconsole.ui.widgets.lines import fit, section, shorten_middle, wrapped
from opsconsole.ui.widgets.menu import Menu
from opsconsole.ui.widgets.scrolled import Scrolled
from opsconsole.ui.widgets.sheet import Sheet
from opsconsole.ui.wording import Glyphs, Tone, plural

LABEL = 12
SIDE_BY_SIDE = 100  # cells


def facts(snapshot: Snapshot, width: int, glyphs: Glyphs) -> list[Content]:
    """Which stack this is, and where it runs other than its files say."""
    stack = snapshot.stack
    if stack is None:
        return [section("Stack", width, glyphs), Content.styled("Reading the stack's files.", Tone.MUTED)]
    lines = [section("Stack", width, glyphs, stack.name)]
    for label, value in _rows(stack):
        room = max(8, width - LABEL)
        shown = shorten_middle(value, room, ellipsis=glyphs.ellipsis) if value else ""
        lines.append(Content.assemble((fit(label, LABEL), Tone.MUTED), (shown, "") if shown else ("none", Tone.MUTED)))
    for problem in stack.problems:
        lines += wrapped(f"{glyphs.warning} {problem}", width, style=Tone.WARNING)
    return [*lines, Content(""), *drifted(snapshot, stack, width, glyphs)]


def _rows(stack: Stack) -> list[tuple[str, str]]:
    inside = stack.directory.rstrip("/") + "/"
    active = [service for service in stack.services if service.active]
    idle = len(stack.services) - len(active)
    services = plural(len(active), "service") + (f", {idle} more in profiles not in use" if idle else "")
    files = [file.removeprefix(inside) for file in stack.compose_files]
    return [
        ("directory", stack.directory),
        ("compose", ", ".join(files)),
        ("run by", stack.compose_command),
        ("env file", stack.env_file.removeprefix(inside)),
        ("profiles", ", ".join(stack.profiles)),
        ("branch", stack.branch),
        ("commit", stack.commit + (" (with changes that are not committed)" if stack.commit.endswith("+") else "")),
        ("services", services),
        ("settings", stack.config_file.removeprefix(inside)),
        ("backups", stack.backup_directory),
    ]


def drifted(snapshot: Snapshot, stack: Stack, width: int, glyphs: Glyphs) -> list[Content]:
    """Services that run something else than the files say, or do not exist though the files want them."""
    lines = [section("Differs from the files", width, glyphs)]
    existing = {container.service for container in snapshot.containers}
    for container in snapshot.containers:
        if container.drift:
            who = printable(container.service or container.name)
            lines += wrapped(f"{glyphs.warning} {who}: {container.drift}", width, style=Tone.WARNING)
    reading = snapshot.readings.get("engine")
    asked = bool(snapshot.containers) or (reading is not None and reading.sampled_at is not None)
    for service in stack.services:
        if asked and service.active and service.replicas and service.name not in existing:
            said = f"{glyphs.warning} {printable(service.name)}: there is no container of it"
            lines += wrapped(said, width, style=Tone.WARNING)
    if len(lines) == 1:
        said = "Every container runs what the files say." if asked else "Not compared yet."
        lines.append(Content.assemble((f"{glyphs.good} ", Tone.GOOD) if asked else "", said))
    return lines


def _more(width: int) -> list[Content]:
    """What is beside the nine: they keep their numbers."""
    lines = (("R", "Roll back"), ("X", "Emergency stop: everything down within 10 s"), ("h", "History"),
             ("t", "Maintenance: what is due"))  # fmt: skip
    return [Content.assemble(" ", (key, Tone.ACCENT), f"  {said}") for key, said in lines]


class DeployPane(Pane):
    DEFAULT_CSS = """
    DeployPane > Scrolled { height: 1fr; padding: 0 1; }
    DeployPane .deploy-sides { height: auto; layout: vertical; }
    DeployPane .deploy-left { height: auto; width: 1fr; }
    DeployPane .deploy-hint { margin: 1 0; }
    DeployPane .deploy-more { margin-top: 1; }
    DeployPane .deploy-facts { margin-top: 0; }
    DeployPane.-wide .deploy-sides { layout: horizontal; }
    DeployPane.-wide .deploy-left { width: 2fr; min-width: 51; max-width: 64; margin-right: 3; }
    DeployPane.-wide .deploy-facts { width: 3fr; }
    """

    pane_id = "deploy"
    title = "Deploy"
    letter = "d"
    topics = frozenset({"stack", "engine"})
    sources = ("stack", "engine")
    actions = (
        *(
            Action(f"menu({each.number})", (str(each.number),), each.line.partition(" (")[0], f"Menu: {each.line}.")
            for each in OPTIONS
        ),
        Action("rollback", ("R",), "roll back", "Choose where to roll back to; a plan is shown first.", footer=20),
        Action(
            "app.maintenance",
            ("t",),
            "maintenance",
            "Tasks of the runbook: what is proven, what is due.",
            footer=30,
            palette=False,
        ),
        Action("screens(-1)", ("pageup", "ctrl+u"), "Page up", "Move up by a screen.", palette=False),
        Action("screens(1)", ("pagedown", "ctrl+d"), "Page down", "Move down by a screen.", palette=False),
    )

    def __init__(self) -> None:
        super().__init__()
        self._menu = Menu([each.line for each in OPTIONS])
        self._title = Sheet()
        self._more = Sheet(classes="deploy-more")
        self._hint = Sheet(classes="deploy-hint")
        self._facts = Sheet(classes="deploy-facts")
        self._snapshot: Snapshot | None = None

    def body(self) -> Iterable[Widget]:
        self._stand_beside()  # now, while nothing is inside: later all of it would be styled and laid out a second time
        left = Box(self._title, self._menu, self._more, self._hint, classes="deploy-left")
        scrolled = Scrolled(Box(left, self._facts, classes="deploy-sides"))
        scrolled.can_focus = False  # the menu has the focus; PgUp and PgDn move the view
        yield scrolled

    def take_focus(self) -> None:
        self._menu.focus(scroll_visible=False)  # it stands at the top; its place may not be known yet

    def on_resize(self, event: events.Resize) -> None:
        self._stand_beside()

    def _stand_beside(self) -> None:
        self.set_class(self.room.width >= SIDE_BY_SIDE, "-wide")

    def show(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        glyphs = self.glyphs
        said = (
            "Read-only: plans can be looked at." if self.console_app.read_only else "A plan comes before anything runs."
        )
        self._title.paint(lambda width: [section("Menu", width, glyphs)])
        self._more.paint(lambda width: _more(width))
        self._hint.paint(lambda width: wrapped(f"A digit or Enter chooses. {said}", width, style=Tone.MUTED))
        self._facts.paint(lambda width: facts(snapshot, width, glyphs))

    def on_menu_picked(self, event: Menu.Picked) -> None:
        self.call_later(self.action_menu, event.number)

    def action_screens(self, direction: int) -> None:
        self.query_one(Scrolled).action_screens(direction)

    async def action_menu(self, number: int) -> None:
        """Do what stands under this number."""
        self._menu.move_to(number)
        if number == LOGS:
            await self.run_action("app.go('logs')")
        elif number == EXIT:
            await self.run_action("app.leave")
        elif number == RESTORE:
            self._restore()
        else:
            snapshot = self._snapshot
            known = (snapshot.stack, snapshot.databases) if snapshot is not None else ()
            self._choose(option(number).line, choices(number, *known))

    def _restore(self) -> None:
        """Which backup, then what of it."""
        app, snapshot = self.console_app, self._snapshot
        if app.operating.refused(changes=True):
            return
        if snapshot is None or not any(map(is_restorable, snapshot.backups)):
            app.report(empty_said(snapshot) if snapshot is not None else "Looking for backups.", Tone.WARNING)
            return
        from opsconsole.ui.screens.backup_picking import BackupPicking

        self.app.push_screen(
            BackupPicking(option(RESTORE).line, snapshot.backups, app.clock()),
            lambda backup: app.operating.restore(backup) if backup is not None else None,
        )

    def action_rollback(self) -> None:
        site = self.console_app.operating.site
        if site is None:
            self.console_app.operating.refused()
            return

        def read() -> list[Choice]:
            from opsconsole.operations import releases

            try:
                return rollbacks(releases.all_releases(site.directory))
            except SourceError:
                return rollbacks()  # the plan of one of them says why

        self.console_app.aside(read, lambda found: self._choose("Roll back", found), "releases")

    def _choose(self, title: str, found: list[Choice]) -> None:
        """Show the plan of what is meant; ask first which, where it can mean several things."""
        operating = self.console_app.operating
        if operating.refused():
            return
        if len(found) == 1:
            self._plan(found[0])
        else:
            self.app.push_screen(ChoosingScreen(title, found), lambda chosen: self._plan(chosen) if chosen else None)

    def _plan(self, chosen: Choice) -> None:
        if chosen.request.what == "emergency-stop":
            self.console_app.action_emergency_stop()
        elif chosen.request == CONFIGURATION:
            self._choose_configuration()
        else:
            self.console_app.operating.plan(chosen.request, chosen.label)

    def _choose_configuration(self) -> None:
        """Of which release, or of which commit that changed a compose or env file."""
        operating = self.console_app.operating
        site, stack = operating.site, self._snapshot.stack if self._snapshot is not None else None
        assert site is not None  # else it was refused
        files = (*stack.compose_files, stack.env_file) if stack is not None else ()

        def read() -> list[Choice]:
            from opsconsole.operations import releases
            from opsconsole.stack import git_changes

            try:
                kept = releases.all_releases(site.directory)
            except SourceError:
                kept = ()
            try:
                commits = git_changes.commits_of(site.directory, [file for file in files if file])
            except SourceError:
                commits = ()  # no repository, or no git
            return configurations(kept, commits)

        def chosen(one: Choice | None) -> None:
            if one is not None:
                operating.plan(one.request, f"configuration: {one.label}")

        def show(found: list[Choice]) -> None:
            self.app.push_screen(ChoosingScreen("Roll back the configuration to", found), chosen)

        self.console_app.aside(read, show, "configurations")
