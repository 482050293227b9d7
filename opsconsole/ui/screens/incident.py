"""The incident screen: what is red, what changed, what the runbook answers, and the record of what is said and done.

It recommends; a key leads to the plan, and nothing runs by itself. A second operator sees the same record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from textual import events
from textual.content import Content
from textual.widget import Widget

from opsconsole.alert_findings import one_line
from opsconsole.incident.course import Incident
from opsconsole.incident.evidence import Evidence, Known, gather, headline
from opsconsole.incident.matrix import recommend, ways
from opsconsole.incident.priority import MEANING, Priority, fitting, words
from opsconsole.incident.recommendation import Recommendation, Way
from opsconsole.incident_room import records
from opsconsole.incident_room.room import Room
from opsconsole.model import Snapshot, SourceError
from opsconsole.text import printable
from opsconsole.ui import incident_saving
from opsconsole.ui.keys import Action
from opsconsole.ui.screens import incident_lines
from opsconsole.ui.screens.acting import ON_TOP, ActingScreen
from opsconsole.ui.screens.agree import AgreeScreen
from opsconsole.ui.screens.asking import AskingScreen
from opsconsole.ui.screens.incident_ticks import TickScreen
from opsconsole.ui.widgets.lines import wrapped
from opsconsole.ui.widgets.scrolled import Scrolled
from opsconsole.ui.widgets.sheet import Sheet
from opsconsole.ui.wording import Tone

TOPICS = frozenset({"usage", "host", "databases", "probes", "stack"})
"""What is sampled fast while it is open: what is red may be so for seconds only."""

LOOKED_EVERY = 5.0
"""Seconds between two looks at journals, files and the record."""

_OTHER_WAYS = frozenset("23456789")
"""Keys beside the first: one line of the help is enough for all of them."""

_WRITES = frozenset({"declare", "note", "ticks", "escalate", "close_incident", "bundle"})


class IncidentScreen(ActingScreen):
    place = "incident"
    actions = (
        Action("way(1)", ("1",), "plan", "Show the plan of this way; one that has none is done by hand, and noted.",
               footer=1, shown="1-9", opens=True, palette=False),
        Action("declare", ("D",), "declare", "Open an incident: its priority and what is wrong, in a few words.",
               footer=2, changes=True, opens=True, palette=False),
        Action("note", ("n",), "note", "Write a note into the record.", footer=3, changes=True, opens=True,
               palette=False),
        Action("ticks", ("t",), "tick", "Tick items of the checklists, with your name and the time.", footer=4,
               changes=True, opens=True, palette=False),
        Action("escalate", ("E",), "escalate", "Raise the priority by one, after a question.", footer=5,
               changes=True, opens=True, palette=False),
        Action("close_incident", ("C",), "close it", "Close the incident, after you said what it was.", footer=6,
               changes=True, opens=True, palette=False),
        Action("logs", ("l",), "logs", "Leave for the logs of what is ill.", footer=2, palette=False),
        Action("report", ("S",), "save report", "Save the report as Markdown to a file.", footer=7, palette=False),
        Action("earlier", ("p",), "earlier", "Pick an earlier incident, and read its report.", footer=6, opens=True,
               palette=False),
        Action("bundle", ("B",), "bundle", "Collect logs, inspects, a Snapshot and journals in one file, masked.",
               footer=8, changes=True, opens=True, palette=False),
        Action("close", ("escape", "q"), "back", "Go back; the incident stays open.", footer=1, palette=False),
        *ON_TOP,
    )  # fmt: skip
    DEFAULT_CSS = """
    IncidentScreen Scrolled { height: 1fr; padding: 0 1; }
    IncidentScreen > .incident-said { height: auto; max-height: 4; padding: 0 1; background: $surface; }
    """

    def __init__(self, room: Room | None, about: str = "") -> None:
        """`room` is None in the demo: what is known is shown, and nothing is recorded. `about` is the alert that an
        incident is opened from."""
        super().__init__()
        self.room = room
        self.incident: Incident | None = None  # that is open
        self.last: Incident | None = None  # the newest, open or closed
        self.earlier: Sequence[Incident] = ()  # that are closed, newest first
        self._about = about
        self.evidence: Evidence | None = None
        self.recommendations: Sequence[Recommendation] = ()
        self._known: Known | None = None
        self._looking = False
        self._written = 0  # records that were written here
        self._said: tuple[str, Tone] = ("", Tone.PLAIN)
        self.sheet = Sheet()
        self.said = Sheet(classes="incident-said")

    def body(self) -> Iterable[Widget]:
        yield Scrolled(self.sheet)
        yield self.said

    def opened(self) -> None:
        self.query_one(Scrolled).focus()
        self._say()
        self._look()
        if self.console_app.monitor is not None and self.console_app.pane is not None:
            self.console_app.monitor.focus(self.console_app.pane.topics | TOPICS)
        self.set_interval(LOOKED_EVERY, self._look)
        self.set_interval(1.0, self.say_heading)

    # --- looking -------------------------------------------------------------------------------------

    def receive(self, snapshot: Snapshot) -> None:
        self._say()

    def operations_changed(self) -> None:
        self._look()

    def _look(self) -> None:
        """Read what the disk tells, on a thread."""
        room, snapshot = self.room, self.console_app.snapshot
        if snapshot is None or self._looking:
            return
        if room is None:
            self._known = Known()
            return
        self._looking = True

        written = self._written

        def look() -> tuple[Known, Sequence[Incident], str]:
            known, incidents = Known(), tuple[Incident, ...]()
            try:
                known = room.known(snapshot)
                incidents = records.all_incidents(room.directory)
            except SourceError as error:
                return known, incidents, str(error)
            except Exception as error:  # a fault of ours must be read, not lost on a thread
                return known, incidents, f"unexpected {type(error).__name__}: {error}"
            return known, incidents, ""

        self.console_app.aside(look, lambda found: self._learnt(*found, since=written), "incident")

    def _learnt(self, known: Known, incidents: Sequence[Incident], problem: str, since: int) -> None:
        self._looking = False
        if not self.is_mounted:
            return
        self._known = known
        if since == self._written:  # else what was written since is newer than what was read
            self.incident = next((one for one in incidents if one.is_open), None)
            self.last = self.incident or next(iter(incidents), None)
            self.earlier = [one for one in incidents if not one.is_open]
        if problem:
            self._tell(problem, Tone.BAD)
        self._say()
        self.say_keys()
        about, self._about = self._about, ""
        if about and self.check_action("declare", ()):
            self._ask_declare(about)

    # --- showing -------------------------------------------------------------------------------------

    def heading(self) -> Content:
        drill = self.room.drill if self.room is not None else ""
        can_declare = bool(self.check_action("declare", ()))
        return incident_lines.heading(self.incident, self.console_app.clock(), drill, can_declare=can_declare)

    def _say(self) -> None:
        snapshot = self.console_app.snapshot
        self.say_heading()
        if snapshot is None:
            return
        learnt = self._known is not None
        evidence = gather(snapshot, self._known or Known(), self.console_app.clock())
        found = recommend(evidence) if learnt or self.room is None else ()
        incident, earlier, glyphs = self.incident, self.earlier, self.glyphs
        offered = bool(self.recommendations), self._ill_services()
        self.evidence, self.recommendations = evidence, found
        if offered != (bool(found), self._ill_services()):
            self.say_keys()
        self.sheet.paint(lambda width: incident_lines.lines(
            evidence, found, incident, width, glyphs, learnt=learnt, earlier=earlier
        ))  # fmt: skip

    def _tell(self, text: str, tone: Tone) -> None:
        """What the last key came to: here, and among the messages."""
        self._said = (text, tone)
        self.said.display = bool(text)
        self.said.paint(lambda width: wrapped(text, width, style=tone))
        if text:
            self.console_app.note(text, tone)

    # --- keys ----------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "way":
            number = parameters[0] if parameters else 0
            return isinstance(number, int) and number <= len(ways(self.recommendations))
        if action == "logs":
            return bool(self._ill_services())
        if action in _WRITES and self.console_app.read_only:
            return False
        if action == "declare":
            return self.room is not None and self.incident is None
        if action in ("note", "ticks", "close_incident"):
            return self.incident is not None
        if action == "earlier":
            return bool(self.earlier)
        if action == "report":
            return self.last is not None
        if action == "bundle":
            return self.last is not None and self.console_app.operating.site is not None
        if action == "escalate":
            return self.incident is not None and self.incident.priority is not Priority.P1
        return True

    def on_unmount(self) -> None:
        if self.console_app.monitor is not None and self.console_app.pane is not None:
            self.console_app.monitor.focus(self.console_app.pane.topics)

    def action_close(self) -> None:
        self.dismiss()

    def on_key(self, event: events.Key) -> None:
        if event.key in _OTHER_WAYS:
            event.stop()
            self.action_way(int(event.key))

    def action_way(self, number: int) -> None:
        found = ways(self.recommendations)
        if not 0 < number <= len(found):
            return
        why, way = found[number - 1]
        drill = bool(self.room is not None and self.room.drill)
        if drill or not way.what:
            self._ask_by_hand(why, way, drill=drill)
            return
        from opsconsole.incident_room.ways import request_of

        operating = self.console_app.operating
        if operating.site is None:
            self._tell("This is the demo: on a real stack this shows the plan. `opsconsole demo --incident NAME` "
                       "is for practice.", Tone.WARNING)  # fmt: skip
            return
        operating.plan(request_of(way), way.label, begun=lambda: self._began(why, way, operating.last_begun))

    def _ask_by_hand(self, why: Recommendation, way: Way, *, drill: bool) -> None:
        said = [
            Content(printable(way.label)),
            Content.styled(printable(way.command), Tone.ACCENT),
            Content.styled(
                "A drill: nothing real is touched." if drill else "Run it in a shell; yes writes it into the record.",
                Tone.MUTED,
            ),
        ]

        def agreed(yes: bool | None) -> None:
            if not yes:
                return
            if drill and self.room is not None:
                text = self.room.practise(way)
                self._tell(text, Tone.ACCENT)
            self._began(why, way, "")
            if self.console_app.monitor is not None:
                self.console_app.monitor.refresh()

        self.console_app.push_screen(AgreeScreen(f"{why.issue}: {why.answer}", said, "Done"), agreed)

    def _began(self, why: Recommendation, way: Way, operation: str) -> None:
        """Keep in the record what was begun, and because of which line of the matrix."""
        reason = f"{why.issue}: {'; '.join(why.evidence[:2])}"
        text = f"began: {way.command}" if way.what else f"by hand: {way.command}"
        if self.incident is not None:
            name = self.incident.name
            self._write(lambda room, who: records.append(
                room.directory, name, "action", who, text=text, reason=reason, operation=operation
            ), "")  # fmt: skip

    def action_declare(self) -> None:
        if self.evidence is not None:
            self._ask_declare(self.evidence.title)

    def _ask_declare(self, about: str) -> None:
        evidence = self.evidence
        if evidence is None:
            return
        said = [words(one) for one in MEANING]
        value = f"{fitting(evidence)} {headline(one_line(about))}".strip()
        self.console_app.push_screen(
            AskingScreen("Declare an incident", said, "Priority, then what is wrong, in a few words.", value, _wrong),
            self._declare,
        )

    def _declare(self, text: str | None) -> None:
        if text is None or self.evidence is None:
            return
        first, _, title = text.partition(" ")
        red = self.evidence.red
        self._write(
            lambda room, who: records.declare(room.directory, title, Priority(first.upper()), who, red),
            "It is declared. The clock runs.",
            lambda incident: self._inform(incident, "incident-declared"),
        )

    def _ill_services(self) -> list[str]:
        found = (one.service for one in self.evidence.symptoms) if self.evidence is not None else ()
        return list(dict.fromkeys(name for name in found if name))

    async def action_logs(self) -> None:
        from opsconsole.ui.panes.logs import LogsPane

        names, app = self._ill_services(), self.console_app
        self.dismiss()
        pane = await app.go("logs")
        assert isinstance(pane, LogsPane)
        pane.follow_services(names)

    def action_note(self) -> None:
        def said(text: str | None) -> None:
            if text and self.incident is not None:
                name = self.incident.name
                self._write(lambda room, who: records.note(room.directory, name, text, who), "Noted.")

        self.console_app.push_screen(
            AskingScreen("A note", ["It stands in the record with your name and the time."],
                         "Enter keeps it. Secrets do not belong here."),
            said,
        )  # fmt: skip

    def action_ticks(self) -> None:
        if self.incident is None:
            return

        def tick(key: str, done: bool, then: Callable[[Incident], None]) -> None:
            if self.incident is not None:
                name = self.incident.name
                self._write(lambda room, who: records.tick(room.directory, name, key, who, done=done), "", then)

        self.console_app.push_screen(TickScreen(self.incident, tick))

    def action_escalate(self) -> None:
        if self.incident is None:
            return
        name, priority = self.incident.name, self.incident.priority
        said = [
            Content(f"Now {words(priority)}."),
            Content.styled("A P2 that is not resolved in 30 minutes becomes a P1; who else has to know?", Tone.MUTED),
        ]

        def agreed(yes: bool | None) -> None:
            if yes:
                self._write(
                    lambda room, who: records.escalate(room.directory, name, who),
                    "Escalated.",
                    lambda incident: self._inform(incident, "incident-priority"),
                )

        self.console_app.push_screen(AgreeScreen("Raise the priority by one?", said, "Escalate"), agreed)

    def action_close_incident(self) -> None:
        if self.incident is None or self.evidence is None:
            return
        name = self.incident.name
        red = self.evidence.red
        left = len(self.incident.to_do)
        said = [f"STILL RED: {one}" for one in red[:3]]
        said.append(f"{left} items of the checklists are not ticked." if left else "Every item is ticked.")

        def closed(text: str | None) -> None:
            if text is not None:
                self._write(
                    lambda room, who: records.close(room.directory, name, who, text, red),
                    f"{name} is closed. S saves its report.",
                    lambda incident: self._inform(incident, "incident-closed"),
                )

        self.console_app.push_screen(
            AskingScreen(f"Close {name}", said, "What it was, and what mended it. Esc leaves it open."), closed
        )

    # --- writing -------------------------------------------------------------------------------------

    def _write(
        self,
        work: Callable[[Room, str], Incident],
        said: str,
        then: Callable[[Incident], None] = lambda incident: None,
    ) -> None:
        """Append to the record on a thread, and show what it has become."""
        room = self.room
        if room is None:
            return

        def write() -> Incident | SourceError:
            from opsconsole.operations import who

            try:
                return work(room, who.current().words())
            except SourceError as error:
                return error

        def written(found: Incident | SourceError) -> None:
            if not self.is_mounted:
                return
            if isinstance(found, SourceError):
                self._tell(f"Not written: {found.problem}. {found.hint}".strip(), Tone.BAD)
                return
            self._written += 1
            self.incident, self.last = (found if found.is_open else None), found
            if not found.is_open:
                self.earlier = [found, *(one for one in self.earlier if one.name != found.name)]
            if said:
                self._tell(said, Tone.GOOD)
            self._say()
            self.say_keys()
            then(found)

        self.console_app.in_background(write, written, "write the incident's record")

    def _inform(self, incident: Incident, event: str) -> None:
        """Tell everybody of `[notify]`, and say here who was told. A drill tells nobody."""
        room, site, snapshot = self.room, self.console_app.operating.site, self.console_app.snapshot
        if room is None or room.drill or site is None:
            return
        stack = snapshot.stack.name if snapshot is not None and snapshot.stack is not None else site.directory.name

        def tell() -> str:
            from opsconsole.config import ConfigError
            from opsconsole.incident_room import telling
            from opsconsole.notifying import Event

            try:
                return telling.tell(room.directory, site.config(), stack, incident, Event(event))
            except ConfigError as error:
                return f"Nobody was told: {error}"

        def told(said: str) -> None:
            if said and self.is_mounted:
                failed = "NOT told" in said or "Nobody" in said
                self._tell(f"{self._said[0]} {said}".strip(), Tone.BAD if failed else Tone.GOOD)

        self.console_app.in_background(tell, told, "tell of the incident")

    def action_report(self) -> None:
        if self.room is not None and self.last is not None:
            incident_saving.save_report(self.console_app, self.room, self.last, self._tell)

    def action_earlier(self) -> None:
        from opsconsole.ui.screens.incident_past import EarlierScreen, ReportScreen

        def read(one: Incident | None) -> None:
            snapshot = self.console_app.snapshot
            if one is not None and self.room is not None and snapshot is not None:
                self.console_app.push_screen(ReportScreen(self.room, one, snapshot))

        self.console_app.push_screen(EarlierScreen(self.earlier), read)

    def action_bundle(self) -> None:
        if self.room is not None and self.last is not None:
            incident_saving.collect_bundle(self.console_app, self.room, self.last, self._tell)


def _wrong(text: str) -> str:
    first, _, title = text.partition(" ")
    if first.upper() not in list(Priority):
        return "It begins with P1, P2, P3 or P4."
    return "" if title.strip() else "Say what is wrong behind it."
