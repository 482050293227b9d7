"""A simulated stack behind the same protocols: for a machine without Docker, for pictures, for runs at scale."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from opsconsole.sources import Sources

if TYPE_CHECKING:
    from opsconsole.alert_keeper import AlertKeeper
    from opsconsole.demo.drill import Drill
    from opsconsole.demo.kept import DemoKept
    from opsconsole.demo.standing import DemoLedger
    from opsconsole.persistence.verdict import Verdict


def _now() -> datetime:
    return datetime.now(UTC)


class DemoSources(Sources):
    """Sources that bring an hour of history along, by the series names of `Snapshot.history`, and what a real stack has
    in `.opsconsole/`: the ticks of its maintenance, its last proof of persistence, what was decided about alerts."""

    past: dict[str, tuple[float, ...]]
    kept: DemoKept
    ledger: DemoLedger
    persistence: Verdict
    drill: Drill | None = None
    keeper: AlertKeeper | None = None


def demo_sources(
    containers: int = 14, seed: int = 7, clock: Callable[[], datetime] = _now, drill: str = ""
) -> DemoSources:
    """The stack "harbour" with this many containers. The same seed and clock show the same numbers and lines.

    `drill` names an incident of `drills.DRILLS`: all is well but for that; "quiet" is a day without one."""
    from opsconsole.alert_keeper import AlertKeeper
    from opsconsole.demo.backups import DemoBackups
    from opsconsole.demo.databases import DemoDatabases
    from opsconsole.demo.decided import decided
    from opsconsole.demo.engine import DemoEngine
    from opsconsole.demo.fleet import Fleet
    from opsconsole.demo.host import DemoHost
    from opsconsole.demo.kept import DemoKept
    from opsconsole.demo.logs import DemoLogs
    from opsconsole.demo.past import past
    from opsconsole.demo.probes import DemoProbes
    from opsconsole.demo.schedule import DemoSchedule
    from opsconsole.demo.stack import DemoStack
    from opsconsole.demo.standing import DemoLedger, proven
    from opsconsole.persistence import kept

    fleet = Fleet(containers, seed, clock)
    host, databases, probes = DemoHost(fleet), DemoDatabases(fleet), DemoProbes(fleet)
    sources = DemoSources(
        stack=DemoStack(fleet),
        engine=DemoEngine(fleet),
        host=host,
        databases=databases,
        probes=probes,
        backups=DemoBackups(datetime.fromtimestamp(fleet.anchor, UTC)),
        logs=DemoLogs(fleet),
        schedule=DemoSchedule(fleet, None),
        demo=True,
    )
    began = datetime.fromtimestamp(fleet.anchor, UTC)
    sources.ledger, sources.persistence = DemoLedger(began), proven(began, calm=bool(drill))
    sources.schedule = DemoSchedule(fleet, kept.proof(sources.persistence))
    sources.past = past(fleet, host, databases, probes)
    sources.kept = DemoKept(fleet, host, databases, probes)
    if drill:
        from opsconsole.demo import calm
        from opsconsole.demo.drill import Drill
        from opsconsole.demo.drills import DRILLS

        sources.drill = Drill(fleet) if drill == "quiet" else DRILLS[drill](fleet)
        calm.calm(sources, fleet, sources.drill)
        sources.counts = sources.drill
    else:
        marks, memory = decided(fleet.anchor)
        sources.keeper = AlertKeeper(marks=marks, memory=memory)
    return sources
