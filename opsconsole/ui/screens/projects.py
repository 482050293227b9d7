"""In a directory without a stack: the Compose projects on the engine, to choose one of."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from opsconsole.model import Project
from opsconsole.ui.screens.picking import PickingScreen
from opsconsole.ui.widgets.columns import CellText, Column
from opsconsole.ui.widgets.row_table import RowTable
from opsconsole.ui.wording import Tone


def _running(project: Project) -> CellText:
    said = f"{project.running} of {project.total}"
    return (said, Tone.GOOD if project.running == project.total else Tone.WARNING if project.running else Tone.MUTED)


def _directory(project: Project) -> CellText:
    return project.directory or "-"


COLUMNS: tuple[Column[Project], ...] = (
    Column("name", "Project", 12, lambda project: project.name, grow=True, most=40),
    Column("running", "Running", 9, _running, priority=1, order=lambda project: project.running, descending=True),
    Column("directory", "Directory", 16, _directory, priority=2, grow=True, most=80),
    Column(
        "files",
        "Compose files",
        18,
        lambda project: (", ".join(name.rsplit("/", 1)[-1] for name in project.compose_files) or "-", Tone.MUTED),
        priority=3,
        grow=True,
    ),
)


class ProjectsScreen(PickingScreen[Project, Project]):
    keys_line = "Enter open   / filter   q leave"

    def __init__(self, projects: Sequence[Project]) -> None:
        super().__init__()
        self._projects = list(projects)

    def heading(self) -> Content:
        return Content.assemble(
            "Which stack?", ("   no compose file here; these projects are on the engine", Tone.MUTED)
        )

    def make_table(self) -> RowTable[Project]:
        return RowTable(
            COLUMNS,
            marks=False,
            key=lambda project: f"{project.name}\n{project.directory}",
            empty="No Compose project is on this engine. Start one, or run opsconsole --stack DIR.",
        )

    def records(self) -> list[Project]:
        return self._projects

    def taken(self, record: Project) -> None:
        self.dismiss(record)
