"""Operations of a stack as they lie on the disk: done, failed, half done, and one that runs as long as a test wants."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from opsconsole.operations import journal
from opsconsole.operations.journal import Entry, Result
from opsconsole.operations.orders import RestoreOrder
from opsconsole.operations.plan import Act, DataEffect, Downtime, Effect, Fate, Kind, Plan, ServiceChange, Step
from opsconsole.operations.plan_facts import Facts
from opsconsole.operations.who import Who

MINA = Who(login="mina", account="root", source="10.20.0.7", host="harbour-prod-1")
COMPOSE = ("docker", "compose", "--project-directory", "/srv/harbour", "--project-name", "harbour")

RESTART = Plan(
    kind=Kind.RESTART,
    stack="harbour",
    directory="/srv/harbour",
    facts=Facts(files={"docker-compose.yml": "4f2c91e"}),
    steps=(
        Step(
            id="restart",
            title="Restart api, worker",
            commands=((*COMPOSE, "restart", "api", "worker"),),
            services=("api", "worker"),
            cuttable=False,
            effect="The same containers start again.",
        ),
        Step(id="gate", title="Gate: wait until api, worker is well", act=Act.GATE, services=("api", "worker")),
    ),
    downtime=(Downtime(service="api", seconds=4), Downtime(service="worker", seconds=4)),
    services=("api", "worker"),
    only=("api", "worker"),
)

DEPLOY = Plan(
    kind=Kind.DEPLOY,
    stack="harbour",
    directory="/srv/harbour",
    facts=Facts(files={"docker-compose.yml": "4f2c91e"}, commit="4f2c91e0"),
    steps=(
        Step(id="preflight", title="Preflight: variables, ports, disk, data services", act=Act.PREFLIGHT,
             effect="Nothing is changed."),
        Step(id="pull", title="Pull mongo:6.0, redis:7", act=Act.PULL,
             commands=((*COMPOSE, "pull", "mongodb", "redis"),)),
        Step(id="build", title="Build api, worker", commands=((*COMPOSE, "build", "api", "worker"),),
             effect="New images; what runs goes on."),
        Step(id="record", title="Record release r8", act=Act.RECORD_RELEASE, release="r8"),
        Step(id="recreate:api", title="Recreate api if it changed", act=Act.RECREATE, services=("api",),
             commands=((*COMPOSE, "up", "--detach", "--no-deps", "--no-build", "api"),), turns_back=True,
             cuttable=False, effect="api runs the new image."),
        Step(id="gate:api", title="Gate: wait until api is well", act=Act.GATE, services=("api",)),
        Step(id="soak", title="Soak: watch for 60 s whether everything stays well", act=Act.SOAK),
        Step(id="good", title="Mark r8 good, keep the last 5", act=Act.MARK_GOOD, release="r8"),
    ),
    way_back=(
        Step(id="return", title="Return to release r7: recreate what differs from it, gate each service",
             act=Act.RETURN, release="r7", cuttable=False,
             effect="Same images and configuration as recorded; data stays."),
    ),
    returns_to="r7",
    release="r8",
    data=(
        DataEffect(name="harbour_mongo", what="volume", database="mongodb"),
        DataEffect(name="harbour_redis", what="volume", database="redis"),
        DataEffect(name="./uploads", what="bind mount"),
    ),
    downtime=(Downtime(service="api", seconds=6),),
    changes=(
        ServiceChange(service="api", fate=Fate.PERHAPS, why=("image harbour-api is built",)),
        ServiceChange(service="mongodb", fate=Fate.UNCHANGED),
        ServiceChange(service="redis", fate=Fate.UNCHANGED),
    ),
    services=("api",),
)  # fmt: skip

LOSING = msgspec.structs.replace(
    DEPLOY,
    data=(
        *DEPLOY.data[1:],
        DataEffect(
            name="harbour_mongo",
            what="volume",
            database="mongodb",
            left_behind=True,
            why="mongodb would use the new volume harbour_mongodb and come up empty",
        ),
        DataEffect(name="redis", what="412 Redis keys", database="redis", effect=Effect.LOST,
                   why="this Redis saves nothing (no RDB, no AOF)"),
    ),
    notes=("no release has what runs now: it is recorded as r7 first",),
)  # fmt: skip

RESTORE = Plan(
    kind=Kind.RESTORE,
    stack="harbour",
    directory="/srv/harbour",
    facts=Facts(files={"docker-compose.yml": "4f2c91e"}, commit="4f2c91e0"),
    steps=(
        Step(id="check", title="Read every byte of 20260312_113200", act=Act.CHECK_BACKUP,
             effect="Hashes, documents, keys and files. Nothing is touched when anything is wrong."),
        Step(id="safety-backup", title="Safety backup of MongoDB, Redis, uploads/", act=Act.SAFETY_BACKUP,
             effect="Into /srv/harbour/backups; published once every byte is on the disk and reads back."),
        Step(id="stop-applications", title="Stop api, worker, nginx", services=("api", "worker", "nginx"),
             commands=(("docker", "stop", "harbour-api-1", "harbour-worker-1", "harbour-nginx-1"),),
             effect="Nobody writes meanwhile; databases stay up.", turns_back=True),
        Step(id="load:mongo", title="Load MongoDB beside the live data and compare", act=Act.LOAD, turns_back=True),
        Step(id="load:redis", title="Load Redis beside the live data and compare", act=Act.LOAD, turns_back=True),
        Step(id="load:files", title="Load files beside the live data and compare", act=Act.LOAD, turns_back=True),
        Step(id="swap:mongo", title="Put MongoDB in place", act=Act.SWAP, cuttable=False, turns_back=True),
        Step(id="swap:redis", title="Put Redis in place", act=Act.SWAP, cuttable=False, turns_back=True),
        Step(id="swap:files", title="Put files in place", act=Act.SWAP, cuttable=False, turns_back=True),
        Step(id="start-applications", title="Start api, worker, nginx", services=("api", "worker", "nginx")),
        Step(id="gate", title="Gate: wait until api, worker, nginx is well", act=Act.GATE),
        Step(id="clear:new-stays", title="Remove what was there before", act=Act.CLEAR_BESIDE, cuttable=False,
             effect="The safety backup keeps it: `opsconsole restore --undo` brings it back."),
    ),
    way_back=(Step(id="swap-back", title="Put the data of before back in its place", act=Act.SWAP_BACK),),
    returns_to="the data of before",
    data=(
        DataEffect(name="mongodb", what="MongoDB", effect=Effect.REPLACED, database="mongodb",
                   why="12 collections of harbour with 8,603,483 documents come in place of 12 collections with "
                   "8,607,552; about 4,069 documents newer than the backup would go (an estimate, by _id)"),
        DataEffect(name="redis", what="Redis", effect=Effect.REPLACED, database="redis",
                   why="48,522 keys of the backup come in place of all that are there now"),
        DataEffect(name="/srv/harbour/uploads", what="directory", effect=Effect.REPLACED,
                   why="by uploads: 140,233 files and directories; what is there now is in the safety backup"),
    ),
    downtime=(Downtime(service="api"), Downtime(service="worker"), Downtime(service="nginx")),
    services=("api", "worker", "nginx"),
    notes=("20260312_113200 was taken 2026-03-12 11:32:00: everything since then is put aside",
           "users and roles of MongoDB stay as they are (--users takes those of the backup)"),
    restore=RestoreOrder(backup="20260312_113200", parts=("mongo", "redis", "files")),
    confirm="harbour",
)  # fmt: skip


BUILD_OUTPUT = """\
$ docker compose --project-directory /srv/harbour --project-name harbour build api worker
#1 [api internal] load build definition from Dockerfile
#1 transferring dockerfile: 412B done
#2 [api internal] load metadata for docker.io/library/node:22-alpine
#5 [api 2/5] WORKDIR /app
#6 [api 3/5] COPY package.json package-lock.json ./
#7 [api 4/5] RUN npm ci --omit=dev
#7 4.112 added 214 packages in 4s
#8 [api 5/5] COPY . .
#9 [worker 4/5] RUN npm ci --omit=dev
"""


class OperationSamples:
    """A stack's directory with operations in it, at times before `now`."""

    def __init__(self, directory: Path, now: datetime) -> None:
        self.directory = directory
        self.now = now
        self.places: list[Path] = []
        self._alive: list[int] = []

    def close(self) -> None:
        """The operations that run are killed."""
        for fd in self._alive:
            os.close(fd)
        self._alive.clear()

    def add(
        self,
        plan: Plan,
        ago: timedelta,
        events: Sequence[tuple[float, dict[str, Any]]],
        *,
        output: str = "",
        runs: bool = False,
        number: int = 0,
    ) -> Path:
        """An operation that began so long ago; `events` as (seconds after the beginning, fields of the record)."""
        began = self.now - ago
        name = f"{began.astimezone(UTC):%Y%m%dT%H%M%S}000Z-{plan.kind.value}-{number:06x}"
        place = journal.create(self.directory, name, plan)
        from opsconsole.operations.plan import title

        first = {"event": "begin", "operation": name, "kind": plan.kind.value, "who": MINA, "title": title(plan)}
        lines = []
        for n, (seconds, fields) in enumerate([(0.0, first), *events]):
            at = began + timedelta(seconds=seconds)
            lines.append(msgspec.json.encode(Entry(n=n, at=at, previous=journal.START, **fields)))
        (place / "journal.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
        (place / "output.log").write_text(output)
        self.places.append(place)
        if runs:
            self._alive.append(journal.mark_alive(place))
        return place

    def more(self, place: Path, seconds: float, fields: dict[str, Any]) -> None:
        """Another record of an operation, so long after it began."""
        records = journal.read(place)
        one = Entry(n=len(records), at=records[0].at + timedelta(seconds=seconds), previous=journal.START, **fields)
        with (place / "journal.jsonl").open("ab") as file:
            file.write(msgspec.json.encode(one) + b"\n")


def step(plan: Plan, at: int, since: float, took: float, result: Result = Result.DONE, **fields: Any) -> list[Any]:
    """The two records of a step."""
    one = (*plan.steps, *plan.way_back)[at]
    end = (since + took, {"event": "step-end", "step": one.id, "result": result, "seconds": took, **fields})
    return [*begun(plan, at, since), end]


def begun(plan: Plan, at: int, since: float) -> list[Any]:
    """The first record of a step. All output is of the build."""
    one = (*plan.steps, *plan.way_back)[at]
    ids = [step.id for step in plan.steps]
    built = "build" in ids and (one.id not in ids or ids.index(one.id) > ids.index("build"))
    where = len(BUILD_OUTPUT) if built else 0
    return [(since, {"event": "step", "step": one.id, "title": one.title, "output_from": where})]


def samples(directory: Path, now: datetime) -> OperationSamples:
    """Two days of a stack: a failure that went back, a good deploy, a restart; nothing runs."""
    made = OperationSamples(directory, now)
    deployed: list[Any] = []
    times = ((0.3, 1.4), (1.8, 6.0), (8.0, 31.0), (39.2, 1.1), (40.5, 3.2), (43.9, 6.4), (50.4, 60.0), (110.5, 0.4))
    for at, (since, took) in enumerate(times):
        deployed += step(DEPLOY, at, since, took, text="healthy" if at == 5 else "")
    done = {"event": "end", "result": Result.DONE, "text": "deployed", "seconds": 111.0, "state": ("running: 12",)}
    made.add(DEPLOY, timedelta(days=1, hours=3), [*deployed, (111.0, done)], output=BUILD_OUTPUT, number=1)
    failing: list[Any] = []
    for at, (since, took) in enumerate([(0.3, 1.5), (1.9, 5.0), (7.0, 28.0), (35.2, 1.0), (36.4, 3.0)]):
        failing += step(DEPLOY, at, since, took)
    problem = "harbour-api-1 is unhealthy: connect ECONNREFUSED 172.20.0.5:27017"
    failing += step(DEPLOY, 5, 39.5, 32.0, Result.FAILED, problem=problem)
    failing += [(71.6, {"event": "way-back", "problem": problem, "text": "back to r7"})]
    failing += step(DEPLOY, 8, 71.7, 9.0, text="r7 runs, checked by its digests")
    end = {
        "event": "end", "result": Result.ROLLED_BACK, "seconds": 81.0, "problem": problem,
        "hint": "See `opsconsole logs`.", "last_lines": ("api  | MongoServerSelectionError: connect ECONNREFUSED",),
        "state": ("running: harbour-api-1, harbour-mongodb-1, harbour-redis-1, harbour-worker-1",), "release": "r7",
    }  # fmt: skip
    made.add(DEPLOY, timedelta(hours=5), [*failing, (81.0, end)], output=BUILD_OUTPUT, number=2)
    restarted = [*step(RESTART, 0, 0.2, 4.1), *step(RESTART, 1, 4.4, 3.0, text="healthy")]
    end = {"event": "end", "result": Result.DONE, "seconds": 7.6, "state": ("running: 12",)}
    made.add(RESTART, timedelta(minutes=40), [*restarted, (7.6, end)], number=3)
    return made


def running_deploy(made: OperationSamples) -> Path:
    """A deploy that builds since half a minute."""
    events = [*step(DEPLOY, 0, 0.3, 1.4), *step(DEPLOY, 1, 1.8, 6.0), *begun(DEPLOY, 2, 8.0)]
    events += [(20.0, {"event": "progress", "text": "building worker", "done": 9, "total": 14, "unit": "stages"})]
    return made.add(DEPLOY, timedelta(seconds=34), events, output=BUILD_OUTPUT, runs=True, number=4)


def half_done(made: OperationSamples) -> Path:
    """A restart whose process was killed while it ran."""
    events = [*step(RESTART, 0, 0.2, 4.1), *begun(RESTART, 1, 4.4)]
    return made.add(RESTART, timedelta(minutes=12), events, number=5)
