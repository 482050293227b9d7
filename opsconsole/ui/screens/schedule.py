"""The schedule of backups: how it is installed, what comes next, what was done last, who hears of it. Looks only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from textual.content import Content

from opsconsole.model import Record, SourceError
from opsconsole.ui.panes.backup_rows import local_time
from opsconsole.ui.screens.reading import ReadingScreen
from opsconsole.ui.widgets.lines import fact, fit, section, wrapped
from opsconsole.ui.wording import Glyphs, Tone, age, ago, sign

if TYPE_CHECKING:
    from opsconsole.operations.site import Site
    from opsconsole.schedule.state import ScheduleState

_KIND = 13  # cells


class Known(Record, frozen=True):
    """What the screen shows. `lines`: what is installed, as it is written."""

    state: ScheduleState
    place: str = ""
    lines: tuple[str, ...] = ()
    copied: str = ""
    told: str = ""


class ScheduleScreen(ReadingScreen):
    def __init__(self, site: Site) -> None:
        super().__init__()
        self._site = site
        self._known: Known | SourceError | None = None

    def heading(self) -> Content:
        return Content("Schedule of backups")

    def on_mount(self) -> None:
        super().on_mount()
        site, now = self._site, self.console_app.clock()

        def read() -> Known | SourceError:
            try:
                return look(site, now)
            except SourceError as error:
                return error

        def have(found: Known | SourceError) -> None:
            self._known = found
            if self.is_attached:
                self.say()

        self.console_app.aside(read, have, "schedule")

    def lines(self, width: int) -> Sequence[Content]:
        found, glyphs = self._known, self.glyphs
        if found is None:
            return [Content.styled(f"{glyphs.busy} Looking.", Tone.ACCENT)]
        if isinstance(found, SourceError):
            return wrapped(f"{found.problem}. {found.hint}".strip(), width, style=Tone.BAD)
        return list(schedule_lines(found, self.console_app.clock(), width, glyphs))


def look(site: Site, now: datetime) -> Known:
    """A few files, `crontab -l` and systemd's units. Raises SourceError."""
    from opsconsole.backups.copying import chosen_place
    from opsconsole.notifying import ways
    from opsconsole.schedule import installing, telling
    from opsconsole.schedule.state import state

    config = site.config()
    there = installing.installed(telling.stack_name(site, config))
    return Known(
        state=state(site.directory, config, now, project=site.project),
        place=", ".join(one.place for one in there),
        lines=tuple(line for one in there for line in one.text.splitlines()),
        copied=chosen_place(config.copy),
        told=", ".join(ways(config.notify)),
    )


def schedule_lines(known: Known, now: datetime, width: int, glyphs: Glyphs) -> Iterator[Content]:
    """Problems first."""
    state = known.state
    for problem in state.problems:
        yield from wrapped(f"{glyphs.warning} {problem}", width, style=Tone.WARNING)
    yield section("Installed", width, glyphs, known.place)
    if not state.installed:
        yield Content.styled(f"{glyphs.off} not installed: backups are made by hand only", Tone.WARNING)
        how = "`opsconsole schedule install` shows the exact lines, asks, and writes them."
        yield from wrapped(f"{glyphs.arrow} {how}", width, style=Tone.ACCENT)
    for line in known.lines if state.installed else ():
        yield from wrapped(line, width, indent=2, style=Tone.MUTED)
    if state.installed:
        yield fact("last tick", ago(state.ticked, now))
    yield Content("")
    yield section("Comes next", width, glyphs, "" if state.installed else "if it were installed")
    for due in state.coming:
        when = age(due.at, now) if due.at > now else "due now"
        yield Content.assemble(fit(due.kind.value, _KIND), local_time(due.at)[:16], (f"  {when}", Tone.MUTED))
    if not state.coming:
        yield Content.styled("nothing: see [schedule] in opsconsole.toml", Tone.MUTED)
    yield Content("")
    yield section("Was done last", width, glyphs)
    for run in state.last:
        tone = Tone.BAD if run.problem else Tone.GOOD
        said = " ".join(filter(None, (run.outcome.value, run.backup, run.problem)))
        yield Content.assemble(
            fit(run.kind.value, _KIND),
            local_time(run.began)[:16],
            (f"  {sign(tone, glyphs)} ", tone),
            fit(said, 200).rstrip(),
        )
    if not state.last:
        yield Content.styled("nothing yet", Tone.MUTED)
    yield Content("")
    yield section("And then", width, glyphs)
    if state.newest_good_at is not None or state.too_old:
        newest = f"{state.newest_good} {ago(state.newest_good_at, now)}" if state.newest_good_at else "none"
        yield fact(
            "newest good backup", newest + (", TOO OLD" if state.too_old else ""), Tone.BAD if state.too_old else ""
        )
    yield fact("copied to", known.copied or "nowhere: see [copy] in opsconsole.toml")
    yield fact("who is told", known.told or "nobody: see [notify] in opsconsole.toml")
