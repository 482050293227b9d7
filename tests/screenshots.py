"""`make screenshots`: the pictures in `screenshots/`, painted by the real program on the demo stack.

The clock stands still at a moment of its own and the demo is a function of seed and clock, so a picture
changes only when the program does.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from opsconsole.backups.manifest import HeldCollection, HeldKeys
from opsconsole.backups.opening import Opened, OpenPart
from opsconsole.demo import DemoSources, demo_sources
from opsconsole.demo.drill import THRESHOLDS
from opsconsole.demo.drill_room import DrillRoom
from opsconsole.model import BackupState, Snapshot, SourceState
from opsconsole.monitor import Monitor
from opsconsole.operations.plan import Plan
from opsconsole.operations.site import Site
from opsconsole.ui.app import ConsoleApp
from opsconsole.ui.panes.logs import LogsPane
from opsconsole.ui.screens.plan import PlanScreen
from opsconsole.ui.screens.restore import RestoreScreen
from tests import operation_samples
from tests.operation_samples import DEPLOY, LOSING, RESTORE

FOLDER = Path(__file__).parents[1] / "screenshots"
MOMENT = datetime(2026, 3, 12, 14, 32, 10, tzinfo=UTC)


@dataclass(frozen=True)
class Picture:
    """One picture: its file name, what is typed first, the size of the terminal."""

    name: str
    keys: Sequence[str] = ()
    size: tuple[int, int] = (120, 40)
    theme: str = "dark"
    ascii_only: bool = False
    operations: str = ""  # "past", "running", "half done": what lies in the stack's directory
    plan: Plan | None = None  # shown before the keys
    restore: bool = False  # the newest good backup is restored by the keys
    drill: str = ""  # the incident that is practised


PICTURES = (
    Picture("overview"),
    Picture("attention", ["enter"]),
    Picture("containers", ["c"]),
    Picture("container", ["c", "enter"]),
    Picture("volumes", ["v"]),
    Picture("logs", ["l"]),
    Picture("metrics", ["m"]),
    Picture("alerts", ["m"], size=(160, 50)),
    Picture("metrics-day", ["m", "6"], size=(160, 40)),
    Picture("databases", ["D"]),
    Picture("work", ["D", "w", "tab", "tab"], size=(120, 30)),
    Picture("health", ["H"], size=(140, 40)),
    Picture("backups", ["b"], size=(180, 44)),
    Picture("backup", ["b", "j", "enter"], size=(120, 50)),
    Picture("restore", ["j", "j", "j", "space"], operations="past", restore=True),
    Picture("restore-second", ["b", "t", "left", "minus"], operations="past"),
    Picture("plan-restore", ["b"], operations="past", plan=RESTORE),
    Picture("backups-80x24", ["b"], size=(80, 24)),
    Picture("deploy", ["d"]),
    Picture("plan", ["d"], operations="past", plan=DEPLOY),
    Picture("plan-loss", ["enter"], operations="past", plan=LOSING),
    Picture("operation", ["W"], operations="running"),
    Picture("operation-failed", ["h", "j", "enter"], operations="past"),
    Picture("half-done", operations="half done"),
    Picture("history", ["h", "j"], operations="past"),
    Picture("incident", ["exclamation_mark"], drill="crash-loop-after-deploy"),
    Picture("incident-80x24", ["exclamation_mark"], drill="changed-env", size=(80, 24)),
    Picture("maintenance", ["d", "t"]),
    Picture("persistence", ["v", "p"]),
    Picture("help", ["question_mark"]),
    Picture("overview-80x24", size=(80, 24)),
    Picture("logs-80x24", ["l"], size=(80, 24)),
    Picture("overview-200x60", size=(200, 60)),
    Picture("overview-light", theme="light"),
    Picture("overview-ascii", ascii_only=True, size=(80, 24)),
    Picture("operation-80x24", ["W"], operations="running", size=(80, 24)),
)


def complete(snapshot: Snapshot | None) -> bool:
    """Whether every source is on the screen; rates need a second sample."""
    if snapshot is None or any(reading.state is not SourceState.OK for reading in snapshot.readings.values()):
        return False
    running = [container for container in snapshot.containers if container.state == "running"]
    rates = all(container.usage and container.usage.cpu_percent is not None for container in running)
    sized = all(volume.size_at for volume in snapshot.volumes if volume.size_bytes is not None)
    return rates and sized and bool(snapshot.host and snapshot.host.cpu_percent is not None)


@contextmanager
def site_of(picture: Picture) -> Iterator[Site | None]:
    """A directory with operations in it, for a picture that shows some."""
    if not picture.operations:
        yield None
        return
    with tempfile.TemporaryDirectory() as directory:
        made = operation_samples.samples(Path(directory), MOMENT)
        if picture.operations == "running":
            operation_samples.running_deploy(made)
        elif picture.operations == "half done":
            operation_samples.half_done(made)
        try:
            yield Site(directory=Path(directory))
        finally:
            made.close()


@contextmanager
def room_of(sources: DemoSources) -> Iterator[DrillRoom | None]:
    """Where a drill's incident is worked on."""
    if sources.drill is None:
        yield None
        return
    with tempfile.TemporaryDirectory() as directory:
        yield DrillRoom(sources.drill, Path(directory), sources.backups.look_inside)


def restoring(app: ConsoleApp) -> RestoreScreen:
    """The screen that a restore is chosen on, for the newest good backup of the demo."""
    assert app.snapshot is not None
    backup = next(one for one in app.snapshot.backups if one.state is BackupState.GOOD)
    inside = app.sources.backups.look_inside(backup)
    parts = tuple(
        OpenPart(
            kind=part.kind,
            name=part.name,
            path=part.files[0].path,
            collections=tuple(msgspec.convert(one, HeldCollection, from_attributes=True) for one in part.collections),
            keys=tuple(msgspec.convert(one, HeldKeys, from_attributes=True) for one in part.keys),
            members=part.members,
            size=part.content_size,
            users=part.kind == "mongo",
        )
        for part in inside.parts
    )
    return RestoreScreen(backup, Opened(id=backup.id, taken_at=backup.taken_at, parts=parts))


@asynccontextmanager
async def painted(picture: Picture) -> AsyncIterator[ConsoleApp]:
    """The console after the keys of a picture, when it has stopped changing."""
    sources = demo_sources(clock=lambda: MOMENT, drill=picture.drill)
    limits = THRESHOLDS if picture.drill else None
    monitor = Monitor(sources, thresholds=limits, clock=lambda: MOMENT)
    with site_of(picture) as site, room_of(sources) as room:
        app = ConsoleApp(
            monitor, theme=picture.theme, ascii_only=picture.ascii_only, clock=lambda: MOMENT, site=site, room=room
        )
        async with app.run_test(size=picture.size, notifications=True) as pilot:
            await asyncio.to_thread(monitor.wait_until_settled, 15)
            while not complete(app.snapshot) or (site and not app.operating.looked):
                await pilot.pause(0.05)
            if picture.plan is not None:
                app.push_screen(PlanScreen("", plan=picture.plan))
                await pilot.pause()
            if picture.restore:
                app.push_screen(restoring(app))
                await pilot.pause()
            await pilot.press(*picture.keys)
            # The visible pane decides how many processes are listed: see a sample that was taken for it.
            sampled = app.snapshot.host if app.snapshot else None
            monitor.refresh()
            while not app.snapshot or app.snapshot.host is sampled or not complete(app.snapshot):
                await pilot.pause(0.05)
            while isinstance(app.pane, LogsPane) and (not app.pane.following.is_open or app.pane.following.catching_up):
                await pilot.pause(0.05)
            # What has arrived is painted on a timer: wait until two looks at the screen are alike.
            before, now = "", app.export_screenshot(title="opsconsole")
            while before != now:
                await pilot.pause(0.5)
                before, now = now, app.export_screenshot(title="opsconsole")
            if app.faults:
                raise app.faults[0]
            yield app


async def paint(picture: Picture) -> str:
    """The SVG of one picture."""
    async with painted(picture) as app:
        return app.export_screenshot(title="opsconsole")


def self_contained(svg: str) -> str:
    """Without the web font that the export names (a picture should not ask anybody), with every space kept."""
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    svg = svg.replace("Fira Code, monospace", "Fira Code, DejaVu Sans Mono, monospace")
    # librsvg drops the no-break spaces that a text begins with, unless it is told to keep them.
    return svg.replace("<svg ", '<svg xml:space="preserve" ', 1)


def main() -> int:
    converter = shutil.which("rsvg-convert")
    if converter is None:
        print("rsvg-convert is missing: apt-get install librsvg2-bin fonts-dejavu-core", file=sys.stderr)
        return 1
    wanted = set(sys.argv[1:])
    FOLDER.mkdir(exist_ok=True)
    for picture in PICTURES:
        if wanted and picture.name not in wanted:
            continue
        svg = FOLDER / f"{picture.name}.svg"
        svg.write_text(self_contained(asyncio.run(paint(picture))))
        png = svg.with_suffix(".png")
        subprocess.run([converter, "--width", "1200", str(svg), "-o", str(png)], check=True, timeout=60)
        print(png.relative_to(FOLDER.parent))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
