"""What lies in `.opsconsole/` of the simulated stack: its last proof of persistence, and who ticked what."""

from __future__ import annotations

from datetime import datetime, timedelta

from opsconsole.backups.faults import Level
from opsconsole.backups.keeping import Keeping, redis_keeping
from opsconsole.backups.twin import Twin
from opsconsole.demo.backups import DemoBackups
from opsconsole.demo.roles import NAME
from opsconsole.demo.stack import MONGODB, REDIS, TARGETS
from opsconsole.maintenance.due import Tick, slot
from opsconsole.maintenance.ticks import Ticks
from opsconsole.model import Mount, Stack
from opsconsole.persistence.facts import Database, Facts, Took
from opsconsole.persistence.scoring import judge
from opsconsole.persistence.verdict import Verdict
from opsconsole.runbook_tasks import RUNBOOK

_DID = {  # task -> who, how long ago
    "error-logs": ("mina from 10.0.0.7", timedelta(hours=4)),
    "security-logs": ("ole", timedelta(days=9)),
    "dependencies": ("mina from 10.0.0.7", timedelta(hours=27)),
    "documentation": ("ole", timedelta(days=8)),
    "security-audit": ("ole", timedelta(days=44)),
    "infrastructure": ("mina from 10.0.0.7", timedelta(days=101)),
}


class DemoLedger:
    """See `maintenance.listing.Keeps`. What is ticked is forgotten at the end."""

    def __init__(self, began: datetime) -> None:
        every = {one.name: one.every for one in RUNBOOK}
        self._ticks = [
            Tick(task=name, slot=slot(every[name], began - ago).name, at=began - ago, who=who)
            for name, (who, ago) in sorted(_DID.items(), key=lambda item: -item[1][1])
        ]

    def read(self) -> Ticks:
        return Ticks(ticks=tuple(self._ticks))

    def add(self, tick: Tick) -> None:
        self._ticks.append(tick)


def proven(began: datetime, *, calm: bool = False) -> Verdict:
    """Of an hour ago: all but where one Redis writes; on a `calm` day that, too."""
    at = began - timedelta(hours=1)
    backups = DemoBackups(began).look(Stack(name=NAME, directory=""))
    tested = next(one for one in backups if one.checked_level == Level.RESTORED)
    took = Took(seconds=611.4, at=tested.checked_at or at, how=f"test restore of {tested.id}")
    databases = tuple(_database(one.kind, one.name, calm) for one in TARGETS)
    return judge(Facts(stack=NAME, databases=databases, backups=backups, took=took), at)


def _database(kind: str, name: str, calm: bool) -> Database:
    if kind == MONGODB.kind:
        return Database(
            kind=kind,
            name=name,
            keeping=Keeping(
                program="MongoDB 6.0.19", directory="/data/db", lasts=True, said="storage engine wiredTiger, journal on"
            ),
            mounts=(Mount(kind="volume", destination="/data/db", name=f"{NAME}_mongodb-data"),),
            twin=Twin(survived=True, way="a container of mongo:6.0.19", seconds=2.1),
        )
    named = calm or name == REDIS.name
    name_of_volume = f"{NAME}_redis-data" if named else ""
    said = redis_keeping({"aof_enabled": "1" if named else "0"}, {"dir": "/data", "save": "3600 1 300 100 60 10000"})
    return Database(
        kind=kind,
        name=name,
        keeping=said,
        mounts=(Mount(kind="volume", destination="/data", name=name_of_volume, anonymous=not named),),
        twin=Twin(survived=True, way="a container of redis:7.2.5-alpine", seconds=0.4),
    )
