"""The mount comparison: what a new configuration would do to today's data. Pure parts, and Compose's own behaviour."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsconsole.model import Container, Mount, Service, VolumeKind
from opsconsole.operations import mounts, plan_text, release_making
from opsconsole.operations.facts import Look
from opsconsole.operations.ground import Ground
from opsconsole.operations.plan import DataEffect, Effect, Kind, Plan
from opsconsole.roles import DATA_PATHS
from opsconsole.sources.volumes import EngineVolume, volume_rows
from opsconsole.stack.rendered import Rendered, ServiceConfig, VolumeConfig
from tests.operation_stack import OperationStack
from tests.parts.engine import Engine
from tests.parts.leftovers import remove, run_name

IMAGES = {"mongo": "mongo:6.0", "cache": "redis:7", "web": "shop-web"}


def named(name: str, destination: str, **fields: object) -> Mount:
    return Mount(kind="volume", name=name, destination=destination, **fields)  # type: ignore[arg-type]


def bind(source: str, destination: str, **fields: object) -> Mount:
    return Mount(kind="bind", source=source, destination=destination, **fields)  # type: ignore[arg-type]


def anonymous(destination: str, name: str = "") -> Mount:
    return Mount(kind="volume", name=name, destination=destination, anonymous=True)


def running(service: str, *has: Mount, number: int = 1, command: str = "") -> Container:
    return Container(
        id=f"{service}{number}", name=f"shop-{service}-{number}", project="shop", service=service, number=number,
        image=IMAGES.get(service, "shop-other"), command=command, state="running", mounts=has,
    )  # fmt: skip


def wanted(service: str, *has: Mount, **fields: object) -> ServiceConfig:
    image = fields.pop("image", IMAGES.get(service, "shop-other"))
    return ServiceConfig(name=service, image=str(image), mounts=has, **fields)  # type: ignore[arg-type]


def look(
    containers: list[Container],
    services: list[ServiceConfig],
    *,
    there: dict[str, Ground] | None = None,
    ground: dict[str, Ground] | None = None,
    options: dict[str, dict[str, str]] | None = None,
    declared: list[VolumeConfig] | None = None,
    outside: tuple[str, ...] = (),
    labelled: tuple[str, ...] = (),
) -> Look:
    """`there`: the engine's volumes and what lies in them; those of the containers are there anyway."""
    names = {mount.name for one in containers for mount in one.mounts if mount.name}
    states = {**dict.fromkeys(names, Ground.FILLED), **(there or {})}
    raw = [
        {"Name": name, "Driver": "local", "Labels": {"com.docker.compose.project": "shop"} if name in labelled else {}}
        for name in states
    ]
    return Look(
        name="shop",
        directory="/srv/shop",
        containers=tuple(containers),
        volumes=volume_rows(containers, raw, "shop"),
        rendered=Rendered(
            name="shop",
            services={one.name: one for one in services},
            volumes={one.name: one for one in declared or []},
        ),
        engine_volumes={
            name: EngineVolume(name=name, driver="local", path=f"/v/{name}", options=(options or {}).get(name, {}))
            for name in states
        },
        ground={**{f"/v/{name}": state for name, state in states.items()}, **(ground or {})},
        outside_binds=outside,
    )


def only(effects: tuple[DataEffect, ...]) -> DataEffect:
    assert len(effects) == 1, effects
    return effects[0]


# --- one rule after the other ----------------------------------------------------------------------


def test_the_same_mounts_are_safe() -> None:
    here = [named("shop_db", "/data/db"), bind("/srv/shop/uploads", "/app/uploads")]
    effects = mounts.compare(look([running("mongo", *here)], [wanted("mongo", *here)]))
    assert [(one.name, one.effect, one.left_behind, one.why) for one in effects] == [
        ("shop_db", Effect.SAFE, False, ""), ("/srv/shop/uploads", Effect.SAFE, False, "")
    ]  # fmt: skip
    assert effects[0].database == "mongodb" and not effects[0].needs_acceptance


TODAY = named("shop_db", "/data/db")


@pytest.mark.parametrize(
    ("new", "fields", "words"),
    [
        (
            [named("shop_mongodb", "/data/db")],
            {},
            "shop_db -> shop_mongodb: mongo would come up EMPTY; today's data stays in the volume shop_db",
        ),
        (
            [named("shop_mongodb", "/data/db")],
            {"there": {"shop_mongodb": Ground.FILLED}},
            "mongo would come up with what is there, not with today's data",
        ),
        ([bind("/srv/db", "/data/db")], {"ground": {"/srv/db": Ground.MISSING}}, "mongo would come up EMPTY"),
        ([bind("/srv/db", "/data/db")], {"ground": {"/srv/db": Ground.EMPTY}}, "shop_db -> /srv/db"),
        ([bind("/srv/db", "/data/db")], {}, "mongo would come up without today's data"),
        ([Mount(kind="tmpfs", destination="/data/db")], {}, "memory (tmpfs): mongo would come up EMPTY, in memory"),
        ([], {}, "has no mount for mongo:/data/db: `up` may carry it over this once, and the next"),
        ([anonymous("/data/db")], {}, "has a volume without a name for mongo:/data/db"),
        ([named("shop_db", "/data/elsewhere")], {}, "moves from /data/db to /data/elsewhere"),
        ([named("shop_db", "/data/db", read_only=True)], {}, "becomes read only: mongo could no longer write"),
        ([named("shop_db", "/data")], {}, "shop_db -> shop_db (db): mongo would come up without today's data"),
        ([TODAY, named("shop_new", "/data/db/journal")], {}, ""),
    ],
)  # fmt: skip
def test_a_database_that_would_miss_its_data_must_be_accepted_by_name(
    new: list[Mount], fields: dict[str, object], words: str
) -> None:
    found = look([running("mongo", TODAY)], [wanted("mongo", *new)], **fields)  # type: ignore[arg-type]
    effect = next(one for one in mounts.compare(found) if one.database)
    assert effect.name == "shop_db" and words in effect.why
    assert effect.needs_acceptance is bool(words)
    made = Plan(kind=Kind.DEPLOY, stack="shop", directory="/srv/shop", data=(effect,))
    assert made.to_accept == (("shop_db",) if words else ())
    assert ("shop_db  volume, LEFT BEHIND: " in plan_text.as_text(made)) is bool(words)


def test_a_mount_above_or_below_the_database_counts() -> None:
    above = bind("/srv/data", "/data")
    nested = [above, named("shop_db", "/data/db")]
    effect = next(one for one in mounts.compare(look([running("mongo", above)], [wanted("mongo", *nested)])))
    assert effect.needs_acceptance and "/srv/data -> shop_db: mongo would come up EMPTY" in effect.why
    same = [bind("/srv/data/db", "/data/db")]
    assert not only(mounts.compare(look([running("mongo", above)], [wanted("mongo", *same)]))).needs_acceptance
    moved = wanted("mongo", above, command=("mongod", "--dbpath", "/data/other"))
    assert only(mounts.compare(look([running("mongo", above)], [moved]))).needs_acceptance


def test_files_inside_the_container_and_in_memory_are_lost() -> None:
    cache = running("cache", Mount(kind="tmpfs", destination="/data"))
    found = look([running("mongo"), cache], [wanted("mongo", TODAY), wanted("cache", named("shop_cache", "/data"))])
    assert {(one.name, one.effect, one.database) for one in mounts.compare(found) if one.needs_acceptance} == {
        ("mongo:/data/db", Effect.LOST, "mongodb"), ("cache:/data", Effect.LOST, "redis")
    }  # fmt: skip


def test_a_volume_without_a_name_goes_along_only_under_the_same_service_and_path() -> None:
    old = running("mongo", anonymous("/data/db", "f" * 64))
    stays = only(mounts.compare(look([old], [wanted("mongo")])))
    assert (
        not stays.left_behind and "Compose carries it over" in stays.why and stays.name == "mongo's volume ffffffffffff"
    )
    renamed = only(mounts.compare(look([old], [wanted("database", image="mongo:6.0")])))
    assert renamed.needs_acceptance and "a service under another name does not get it" in renamed.why
    given = only(mounts.compare(look([old], [wanted("mongo", named("shop_db", "/data/db"))])))
    assert given.needs_acceptance and "-> shop_db: mongo would come up EMPTY" in given.why
    second = running("mongo", anonymous("/data/db", "e" * 64), number=2)
    fewer = mounts.compare(look([old, second], [wanted("mongo", replicas=1)]))
    assert [one.needs_acceptance for one in fewer] == [True, False] and "this replica goes away" in fewer[0].why


def test_a_renamed_service_takes_its_volume_with_it_and_a_dropped_one_leaves_it() -> None:
    old = [running("mongo", TODAY)]
    taken = only(mounts.compare(look(old, [wanted("database", TODAY, image="mongo:6.0")])))
    assert not taken.needs_acceptance and "mongo is no longer in the configuration; database uses it" in taken.why
    elsewhere = only(mounts.compare(look(old, [wanted("web", named("shop_db", "/look"))])))
    assert elsewhere.needs_acceptance and "nothing uses it any more" in elsewhere.why
    # Also where only the new name is asked for; and two servers on one directory are refused.
    other = look(old, [wanted("database", named("shop_new", "/data/db"), image="mongo:6.0")])
    assert only(mounts.compare(other, ["database"])).needs_acceptance and mounts.obstacles(other) == ()
    assert mounts.compare(other, ["web"]) == ()
    same = look(old, [wanted("database", TODAY, image="mongo:6.0")])
    assert mounts.compare(same, ["database"]) == ()
    assert "stop it first: docker stop shop-mongo-1" in mounts.obstacles(same, ["database"])[0]
    uploads = [running("web", named("shop_uploads", "/app/uploads"))]
    dropped = only(mounts.compare(look(uploads, [])))
    assert dropped.left_behind and not dropped.needs_acceptance


def test_a_source_that_was_taken_away() -> None:
    here = bind("/srv/db", "/data/db")
    old = msgspec.structs.replace(running("mongo", here), started_at=datetime(2026, 1, 31, tzinfo=UTC))
    for ground, words in ((Ground.MISSING, "does not exist any more"), (Ground.EMPTY, "is an empty directory now")):
        gone = only(mounts.compare(look([old], [wanted("mongo", here)], ground={"/srv/db": ground})))
        assert gone.needs_acceptance and words in gone.why
    for ground in (Ground.FILLED, Ground.UNKNOWN):
        assert not only(mounts.compare(look([old], [wanted("mongo", here)], ground={"/srv/db": ground}))).why
    # A Redis that never saved has nothing there.
    store = bind("/srv/db", "/data")
    cache = msgspec.structs.replace(running("cache", store), started_at=datetime(2026, 1, 31, tzinfo=UTC))
    assert not only(mounts.compare(look([cache], [wanted("cache", store)], ground={"/srv/db": Ground.EMPTY}))).why
    new = only(mounts.compare(look([], [wanted("web", here)], ground={"/srv/db": Ground.MISSING})))
    assert new.why == "does not exist: an empty directory is made"


def test_options_of_a_volume_paths_outside_and_what_compose_refuses() -> None:
    other = [VolumeConfig(name="shop_db", options={"type": "nfs"})]
    changed = only(mounts.compare(look([running("mongo", TODAY)], [wanted("mongo", TODAY)], declared=other)))
    assert not changed.left_behind and "its driver or options change" in changed.why
    shared = bind("/srv/shared", "/shared")
    outside = mounts.compare(look([running("web", shared)], [wanted("web", shared)], outside=("/srv/shared",)))
    assert "leads out of the stack's directory" in only(outside).why
    external = [VolumeConfig(name="elsewhere", external=True)]
    strict = wanted("web", named("elsewhere", "/e"), shared, strict_binds=("/srv/shared",))
    found = look([running("mongo", TODAY)], [strict], declared=external, ground={"/srv/shared": Ground.MISSING})
    assert [line.partition(";")[0] for line in mounts.obstacles(found)] == [
        "web: the external volume elsewhere does not exist", "web: /srv/shared does not exist, and nobody makes it"
    ]  # fmt: skip
    assert mounts.obstacles(found, ["other"]) == ()


def test_after_down_a_renamed_volume_is_still_found() -> None:
    new = [wanted("mongo", named("shop_mongodb", "/data/db"))]
    found = look([], new, there={"shop_db": Ground.FILLED}, labelled=("shop_db",))
    effect = only(mounts.compare(found))
    assert effect.needs_acceptance and effect.name == "shop_db" and "mongo would come up EMPTY" in effect.why
    filled = look([], new, there={"shop_db": Ground.FILLED, "shop_mongodb": Ground.FILLED}, labelled=("shop_db",))
    assert not only(mounts.compare(filled)).needs_acceptance
    assert mounts.compare(look([], new, there={"shop_db": Ground.EMPTY}, labelled=("shop_db",))) == ()
    assert mounts.compare(found, ["mongo"]) == (effect,) and mounts.compare(found, ["web"]) == ()


def test_mounts_taken_from_another_service_are_its_own() -> None:
    keeper = wanted("keeper", TODAY)
    taken = look([running("mongo", TODAY)], [wanted("mongo", volumes_from=("keeper",)), keeper])
    assert not only(mounts.compare(taken)).needs_acceptance
    circle = look([running("mongo", TODAY)], [wanted("mongo", volumes_from=("mongo",))])
    assert only(mounts.compare(circle)).needs_acceptance


def test_a_release_made_of_what_runs_has_the_mounts_of_its_containers() -> None:
    """The files were edited before the first deploy: the way back must not lead to their new volume."""
    has = (
        named("shop_db", "/data/db"),
        bind("/srv/shop/conf", "/etc/mongo", read_only=True),
        bind("/srv/shop/key", "/run/secrets/key", read_only=True),
        anonymous("/data/configdb", "f" * 64),
    )
    container = msgspec.structs.replace(running("mongo", *has), config_hash="old", image_id="sha256:1")
    memory = {"type": "tmpfs", "target": "/tmp"}
    new = {"image": "mongo:6.0", "volumes": [{"type": "volume", "source": "new", "target": "/data/db"}, memory]}
    raw = {"services": {"mongo": new}, "volumes": {"new": {"name": "shop_new"}}}
    services = (Service(name="mongo", image="mongo:6.0", config_hash="new"),)
    seen = look([container], [])
    seen = msgspec.structs.replace(seen, services=services, rendered=Rendered(name="shop", raw=raw))
    made = release_making.found(seen, services, {}, {}, 1, "", datetime(2026, 1, 31, tzinfo=UTC))
    kept = json.loads(made.compose)
    assert made.release.services[0].drifted
    assert kept["services"]["mongo"]["volumes"] == [
        memory,
        {"type": "volume", "target": "/data/db", "read_only": False, "source": "shop_db"},
        {"type": "bind", "target": "/etc/mongo", "read_only": True, "source": "/srv/shop/conf",
         "bind": {"create_host_path": True}},
        {"type": "volume", "target": "/data/configdb", "read_only": False},
    ]  # fmt: skip
    assert kept["volumes"]["shop_db"] == {"name": "shop_db", "external": True}
    assert kept["volumes"]["new"] == {"name": "shop_new"} and new["volumes"][0]["source"] == "new"


# --- what Compose really does ----------------------------------------------------------------------

STORE = """
services:
  {service}:
    image: redis:7
    command: redis-server --save 3600 1
    stop_grace_period: 1s
    volumes: [{mounts}]
volumes: {{data: {{}}, renamed: {{}}}}
"""


def test_compose_does_what_the_comparison_says(engine: Engine, tmp_path: Path) -> None:
    project = f"{run_name()}mounts"
    (tmp_path / ".env").write_text(f"COMPOSE_PROJECT_NAME={project}\n")
    stack = OperationStack(tmp_path, project, engine)

    def write(mounts_: str, service: str = "cache") -> DataEffect:
        (tmp_path / "compose.yaml").write_text(STORE.format(mounts=mounts_, service=service))
        return next((one for one in mounts.compare(stack.look()) if one.database), DataEffect(name="", what=""))

    def keys(service: str = "cache") -> int:
        stack.compose("up", "--detach")
        return int(stack.compose("exec", service, "redis-cli", "dbsize"))

    def volumes() -> set[str]:
        return set(engine.docker("volume", "ls", "--quiet").split())

    try:
        assert not write('"data:/data"').name and keys() == 0
        stack.compose("exec", "cache", "redis-cli", "set", "greeting", "halo")
        stack.compose("exec", "cache", "redis-cli", "save")
        assert not write('"data:/data"').needs_acceptance
        # No mount at all, and one without a name: carried over this once.
        for silent in ("", '"/data"'):
            effect = write(silent)
            assert effect.needs_acceptance and effect.name == f"{project}_data" and "once" in effect.why
            assert keys() == 1
        effect = write('"renamed:/data"')
        assert f"{project}_data -> {project}_renamed: cache would come up EMPTY" in effect.why
        assert keys() == 0 and f"{project}_data" in volumes()
        effect = write('"data:/data"')
        assert "cache would come up with what is there" in effect.why and keys() == 1
        effect = write("", "store")
        assert effect.needs_acceptance and "cache is no longer in the configuration" in effect.why
        assert keys("store") == 0
    finally:
        remove(engine, also=project)


# --- laws ------------------------------------------------------------------------------------------

PATHS = ("/data", "/data/db", "/data/configdb", "/app/uploads", "/bitnami/mongodb", "/srv/x")
NAMES = st.sampled_from(["shop_a", "shop_b", "shop_c"])
MOUNTS = st.one_of(
    st.builds(named, NAMES, st.sampled_from(PATHS)),
    st.builds(bind, st.sampled_from(["/srv/a", "/srv/b"]), st.sampled_from(PATHS)),
    st.builds(lambda path: Mount(kind="tmpfs", destination=path), st.sampled_from(PATHS)),
)
SETS = st.lists(MOUNTS, max_size=4, unique_by=lambda mount: mount.destination)
SERVICES = st.sampled_from(["mongo", "cache", "web"])
TODAYS = st.dictionaries(SERVICES, SETS, max_size=3)
GROUNDS = st.dictionaries(st.sampled_from(["/srv/a", "/srv/b", "/v/shop_a", "/v/shop_b"]), st.sampled_from(Ground))


@settings(max_examples=200, deadline=None)
@given(TODAYS, TODAYS, GROUNDS)
def test_laws(today: dict[str, list[Mount]], then: dict[str, list[Mount]], ground: dict[str, Ground]) -> None:
    containers = [running(name, *has) for name, has in today.items()]
    services = [wanted(name, *has) for name, has in then.items()]
    found = look(containers, services, ground=ground)
    copy = msgspec.structs.replace(found)
    effects = mounts.compare(found)
    assert mounts.compare(found) == effects and found == copy  # pure
    assert len({(one.name, one.database) for one in effects}) == len(effects)
    named_for = {(one.name, one.database): one for one in effects if one.database}
    for name, role in (("mongo", "mongodb"), ("cache", "redis")):
        paths = [path for path in DATA_PATHS[role] if landing(today.get(name, []), path)]
        for path in (paths or DATA_PATHS[role][:1]) if name in today else ():
            # Every database path of today is in the answer, and safe only where it leads to the same place again.
            old, new = landing(today[name], path), landing(then.get(name, []), path)
            mine = named_for.get((old.name or old.source or f"{name}:{old.destination}", role)) if old else None
            mine = mine or named_for.get((f"{name}:{path}", role))
            assert mine is not None, effects
            same = old and new and old.kind != "tmpfs" and inside(old, path) == inside(new, path)
            moved = any(landing(then.get(name, []), other) for other in DATA_PATHS[role] if other != path)
            if name in then and not moved:
                assert same or mine.needs_acceptance, (mine, effects)


def landing(mounts_: list[Mount], path: str) -> Mount | None:
    """The deepest mount over a path."""
    over = [one for one in mounts_ if f"{path}/".startswith(f"{one.destination}/")]
    return max(over, key=lambda one: len(one.destination), default=None)


def inside(mount: Mount, path: str) -> str:
    return f"{mount.kind} {mount.name}{mount.source}{path.removeprefix(mount.destination)}"


@settings(max_examples=100, deadline=None)
@given(TODAYS)
def test_the_same_configuration_leaves_nothing_behind(today: dict[str, list[Mount]]) -> None:
    found = look(
        [running(name, *has) for name, has in today.items()], [wanted(name, *has) for name, has in today.items()]
    )
    assert not any(one.left_behind for one in mounts.compare(found))
    assert {one.effect for one in mounts.compare(found)} <= {Effect.SAFE, Effect.LOST, Effect.REPLACED}
    gone = {one.name for one in mounts.compare(found) if one.effect is not Effect.SAFE}
    in_containers = [row for row in found.volumes if row.kind in (VolumeKind.TMPFS, VolumeKind.LAYER)]
    assert not any(one.database for one in mounts.compare(found) if one.effect is Effect.REPLACED)
    assert len(gone) == len({(row.used_by[0].service, row.used_by[0].destination) for row in in_containers})
