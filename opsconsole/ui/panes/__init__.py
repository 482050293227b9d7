"""The panes, in the order of their tabs. A pane's module is imported when it is first visited."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from opsconsole.ui.keys import EVERYWHERE, IN_LISTS, Action

if TYPE_CHECKING:
    from opsconsole.ui.panes.base import Pane


@dataclass(frozen=True, slots=True)
class PaneEntry:
    pane_id: str
    letter: str
    class_name: str

    def load(self) -> type[Pane]:
        module = import_module(f"opsconsole.ui.panes.{self.pane_id}")
        found: type[Pane] = getattr(module, self.class_name)
        return found


PANES = (
    PaneEntry("overview", "o", "OverviewPane"),
    PaneEntry("containers", "c", "ContainersPane"),
    PaneEntry("volumes", "v", "VolumesPane"),
    PaneEntry("logs", "l", "LogsPane"),
    PaneEntry("metrics", "m", "MetricsPane"),
    PaneEntry("databases", "D", "DatabasesPane"),
    PaneEntry("backups", "b", "BackupsPane"),
    PaneEntry("deploy", "d", "DeployPane"),
    PaneEntry("history", "h", "HistoryPane"),
    PaneEntry("health", "H", "HealthPane"),
)


def entry(pane_id: str) -> PaneEntry:
    return next(each for each in PANES if each.pane_id == pane_id)


@dataclass(frozen=True, slots=True)
class Section:
    """The actions of one place, for help and palette. `pane_id` is "" for what holds in more than one, and that of no
    pane for a screen: what is done there is not in the palette."""

    title: str
    pane_id: str
    actions: tuple[Action, ...]


def sections(first: str = "") -> list[Section]:
    """Every action of the console by place, the pane or screen `first` before the others. Loads the panes."""
    from opsconsole.ui.screens.attention import AttentionScreen
    from opsconsole.ui.screens.exporting import ExportScreen
    from opsconsole.ui.screens.incident import IncidentScreen
    from opsconsole.ui.screens.moment import MomentScreen
    from opsconsole.ui.screens.operation import OperationScreen
    from opsconsole.ui.screens.plan import PlanScreen
    from opsconsole.ui.screens.restore import RestoreScreen
    from opsconsole.ui.screens.work import WorkScreen

    found = [Section("Everywhere", "", EVERYWHERE), Section("In every list", "", IN_LISTS)]
    own = [(each, each.load()) for each in PANES]
    places = [Section(pane.title, each.pane_id, pane.actions) for each, pane in own if pane.actions]
    places.append(Section("In an incident", IncidentScreen.place, IncidentScreen.actions))
    places.append(Section("In attention", AttentionScreen.place, (*AttentionScreen.acts,)))
    places.append(Section("In a plan", PlanScreen.place, PlanScreen.actions))
    places.append(Section("Databases at work", WorkScreen.place, WorkScreen.actions))
    places.append(Section("In a restore", RestoreScreen.place, RestoreScreen.actions))
    places.append(Section("In a restore to a second", MomentScreen.place, MomentScreen.actions))
    places.append(Section("In an export", ExportScreen.place, ExportScreen.actions))
    places.append(Section("In an operation", OperationScreen.place, OperationScreen.actions))
    here = [place for place in places if place.pane_id == first]
    return [*here, *found, *(place for place in places if place not in here)]
