"""Remove: what goes, what stays, what somebody has to name before. On the real engine, as it is typed."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from opsconsole.cli import main
from opsconsole.commands import carrying_out
from opsconsole.config import Config
from opsconsole.model import Container, Mount, SourceError, Volume, VolumeKind, VolumeUse
from opsconsole.operations import chain, journal, places, remove_plans
from opsconsole.operations.facts import Look, container_facts
from opsconsole.operations.journal import Result
from opsconsole.operations.plan import Effect, Plan
from opsconsole.operations.plan_facts import Facts
from opsconsole.operations.plan_text import as_text
from opsconsole.operations.remove_plans import Holdings
from opsconsole.sources.belongings import Belongings, Image, Network, belongings, tagged
from opsconsole.sources.layers import own_files
from tests.operation_stack import FIXTURE, OperationStack
from tests.parts.engine import Engine
from tests.parts.leftovers import remove, run_name

PROJECT = "com.docker.compose.project"
_numbers = itertools.count(1)


# --- the plan --------------------------------------------------------------------------------------


def container(service: str, state: str = "running", depends: str = "", **fields: object) -> Container:
    labels = (("com.docker.compose.depends_on", depends),)
    return Container(
        id=f"id-{service}", name=f"shop-{service}-1", project="shop", service=service, state=state, labels=labels,
        **fields,  # type: ignore[arg-type]
    )  # fmt: skip


def there(*containers: Container, volumes: tuple[Volume, ...] = (), **fields: object) -> Holdings:
    look = Look(
        name="shop", directory="/srv/shop", containers=containers, volumes=volumes,
        facts=Facts(containers=container_facts(containers)),
    )  # fmt: skip
    return Holdings(look=look, **fields)  # type: ignore[arg-type]


def volume(kind: VolumeKind, name: str, database: str = "", at: str = "/data") -> Volume:
    use = VolumeUse(service="store", container="shop-store-1", destination=at)
    return Volume(key=f"{kind}:{name}", kind=kind, name=name, used_by=(use,), database=database)


def commands(plan: Plan) -> list[str]:
    return [" ".join(command) for step in plan.steps for command in step.commands]


def test_what_others_depend_on_is_stopped_last() -> None:
    made = remove_plans.remove(
        there(
            container("store"),
            container("api", depends="store:service_healthy:true,cache:service_started:false"),
            container("cache", "exited"),
            container("web", depends="api:service_started:false"),
            container("worker", depends="store:service_started:false"),
        )
    )
    assert commands(made) == [
        "docker stop shop-web-1",
        "docker stop shop-api-1 shop-worker-1",
        "docker stop shop-store-1",
        "docker container rm shop-store-1 shop-api-1 shop-cache-1 shop-web-1 shop-worker-1",
    ]
    circle = remove_plans.remove(there(container("a", depends="b:x:y"), container("b", depends="a:x:y")))
    assert commands(circle)[-1] == "docker container rm shop-a-1 shop-b-1"
    assert made.to_accept == ("shop",)


def test_every_piece_of_data_is_named_with_what_becomes_of_it() -> None:
    volumes = (
        volume(VolumeKind.NAMED, "shop_data", "mongodb"),
        volume(VolumeKind.BIND, "/srv/shop/uploads"),
        volume(VolumeKind.ANONYMOUS, "f" * 64, "mongodb", "/data/db"),
        volume(VolumeKind.ANONYMOUS, "e" * 64, at="/data/configdb"),
        volume(VolumeKind.TMPFS, "shop-store-1:/cache", at="/cache"),
        volume(VolumeKind.LAYER, "shop-store-1:/data", "redis"),
    )
    one_off = (volume(VolumeKind.ANONYMOUS, "d" * 64, "mongodb", "/scratch"),)
    made = remove_plans.remove(there(container("store"), volumes=volumes, their_volumes=one_off), memory=[("cache", 7)])
    assert [(one.name, one.effect, one.left_behind) for one in made.data] == [
        ("shop_data", Effect.SAFE, False),
        ("/srv/shop/uploads", Effect.SAFE, False),
        ("store:/data/db", Effect.SAFE, True),
        ("store:/data/configdb", Effect.SAFE, True),
        ("store:/cache", Effect.REPLACED, False),
        ("store:/data", Effect.LOST, False),
        ("store:/scratch", Effect.LOST, False),
        ("cache", Effect.LOST, False),
    ]
    assert made.to_accept == ("shop", "store:/data/db", "store:/data", "store:/scratch", "cache")
    assert f"stays on the disk as {'f' * 12}; the next start gets a new, empty one" in as_text(made)


def test_files_that_are_in_no_volume_are_named() -> None:
    one = container(
        "web", mounts=(Mount(kind="bind", destination="/srv/www/uploads"), Mount(kind="volume", destination="/data"))
    )
    changed = (
        "/tmp", "/tmp/x", "/run/pid", "/sbin", "/sbin/docker-init", "/srv", "/srv/www", "/srv/www/uploads", "/data/db",
        "/srv/www/cache/__pycache__/a", "/srv/www-old", "/srv/www-old/page", "/srv/www/page", "/empty",
    )  # fmt: skip
    raw = [{"Path": path, "Kind": 1} for path in changed] + [{"Path": "/gone", "Kind": 2}]
    assert own_files(raw, one) == ("/empty", "/srv/www-old/page", "/srv/www/page")
    layer = (volume(VolumeKind.LAYER, "shop-store-1:/data", "redis"),)
    files = {"shop-web-1": ("/a", "/b"), "shop-store-1": ("/data/dump.rdb",)}
    made = remove_plans.remove(there(one, container("store"), volumes=layer, own_files=files, unseen=("shop-api-1",)))
    assert [(one.name, one.what) for one in made.data] == [
        ("store:/data", "files inside the container"), ("shop-web-1", "2 files in no volume")
    ]  # fmt: skip
    assert made.to_accept == ("shop", "store:/data", "shop-web-1"), "--yes answers for none of it"
    assert "shop-web-1   2 files in no volume, LOST: /a, /b" in as_text(made) and "shop-api-1" in made.notes[1]


def test_what_others_use_stays() -> None:
    found = Belongings(
        networks=(Network(name="shop_default"), Network(name="shop_back", others=("other-web-1",))),
        images=(
            Image(id="sha256:1", own_tags=("shop-web:latest",), release_tags=("opsconsole/shop/web:r3",)),
            Image(id="sha256:2", own_tags=("mongo:6.0",), others=("other-db-1",)),
            Image(id="sha256:3", own_tags=("shop-api:latest",), other_tags=("registry/api:7",)),
            Image(id="sha256:4"),
            Image(id="sha256:5", other_tags=("somebody:1",)),
            Image(id="sha256:6", release_tags=("opsconsole/shop/web:r2",)),
        ),
    )
    made = remove_plans.remove(there(container("web", "exited"), belongings=found))
    assert commands(made)[1:] == [
        "docker network rm shop_default", "docker image rm shop-web:latest shop-api:latest sha256:4"
    ]  # fmt: skip
    text = as_text(made)
    assert "network shop_back stays: other-web-1 uses it" in text and "image mongo:6.0 stays: other-db-1" in text
    assert "image shop-api:latest loses this name only: it is registry/api:7" in text
    assert "the images of releases stay (2); --releases" in text
    more = remove_plans.remove(there(container("web", "exited"), belongings=found), releases=True)
    assert "opsconsole/shop/web:r3" in commands(more)[-1] and "opsconsole/shop/web:r2" in commands(more)[-1]
    assert "no rollback finds them after this" in as_text(more)


def test_which_networks_and_images_are_the_stacks() -> None:
    def row(name: str, project: str, image: str, id: str, network: str = "") -> dict[str, object]:
        labels = {PROJECT: project} if project else {}
        networks = {network: {"NetworkID": f"id-{network}"}} if network else {}
        return {
            "Id": name, "Names": [f"/{name}"], "Labels": labels, "Image": image, "ImageID": id,
            "NetworkSettings": {"Networks": networks},
        }  # fmt: skip

    built = {PROJECT: "shop", "com.docker.compose.service": "web"}
    images: list[dict[str, object]] = [
        {"Id": "1", "RepoTags": ["mongo:6.0", "mongo:6"]},
        {"Id": "2", "RepoTags": ["shop-web:latest", "opsconsole/shop/web:r1"], "Labels": built},
        {"Id": "3", "RepoTags": ["<none>:<none>"], "Labels": built},  # an older build
        {"Id": "4", "RepoTags": ["mine/on-top:1"], "Labels": built},  # built on theirs by somebody else
        {"Id": "5", "RepoTags": ["shop-admin-web:latest"], "Labels": {PROJECT: "shop-admin"}},
        {"Id": "6", "RepoTags": None},  # pulled by digest
        {"Id": "7", "RepoTags": ["redis:7"]},  # pulled anew: the container still has the one before
        {"Id": "8", "RepoTags": None},
        {"Id": "9", "RepoTags": ["opsconsole/shop-admin/web:r1"]},
    ]
    rows = [
        row("shop-db-1", "shop", "mongo:6.0", "1"),
        row("shop-web-1", "shop", "shop-web", "2", "shop_default"),
        row("shop-mail-1", "shop", "mail@sha256:abc", "6"),
        row("shop-cache-1", "shop", "8", "8"),
        row("other-db-1", "other", "mongo:6.0", "1"),
        row("by-hand", "", "alpine", "99", "shop_back"),
    ]
    networks = [
        {"Name": "shop_default", "Id": "id-shop_default", "Labels": {PROJECT: "shop"}},
        {"Name": "shop_back", "Id": "id-shop_back", "Labels": {PROJECT: "shop"}},
        {"Name": "outside", "Id": "x", "Labels": {}},
    ]
    found = belongings(rows, networks, images, "shop", ["redis:7", "opsconsole/shop/web:r1"])  # type: ignore[arg-type]
    assert found.networks == (Network(name="shop_default"), Network(name="shop_back", others=("by-hand",)))
    by_id = {one.id: one for one in found.images}
    assert by_id.keys() == {"1", "2", "3", "6", "7", "8"}
    assert by_id["1"] == Image(id="1", own_tags=("mongo:6.0",), other_tags=("mongo:6",), others=("other-db-1",))
    assert by_id["2"] == Image(id="2", own_tags=("shop-web:latest",), release_tags=("opsconsole/shop/web:r1",))
    assert by_id["3"] == Image(id="3") and by_id["7"].own_tags == ("redis:7",)
    names = ("mongo", "docker.io/library/mongo:6", "host:5000/a", "a@sha256:1", "a:1@sha256:1", "sha256:1", "")
    assert [tagged(name) for name in names] == ["mongo:latest", "mongo:6", "host:5000/a:latest", "", "a:1", "", ""]


def test_on_a_terminal_the_stacks_name_is_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    made = remove_plans.remove(there(container("web")))
    for stream in ("stdin", "stdout"):
        monkeypatch.setattr(f"sys.{stream}.isatty", lambda: True)
    asked: list[str] = []

    def answers(*given: str) -> None:
        left = list(given)
        monkeypatch.setattr("builtins.input", lambda question: asked.append(question) or left.pop(0))

    for given in (("",), ("yes",), ("shopp",), ("shop", "n")):
        answers(*given)
        with pytest.raises(carrying_out.NotConfirmed, match="nothing was done"):
            carrying_out.confirm(made, yes=False, accepted=())
    answers("shop", "y")
    carrying_out.confirm(made, yes=False, accepted=())
    assert asked[0].startswith("shop ") and "removed" in asked[0] and "Type its name to agree: " in asked[0]


def test_a_project_of_the_same_name_in_another_directory_is_not_taken_away(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    elsewhere = Container(
        id="1", name="shop-web-1", project="shop", service="web",
        labels=(("com.docker.compose.project.working_dir", str(other)),),
    )  # fmt: skip
    assert remove_plans.remove(there(elsewhere)).steps  # that directory has no stack any more
    (other / "compose.yaml").write_text("services: {}\n")
    with pytest.raises(SourceError, match="started from") as error:
        remove_plans.remove(there(elsewhere))
    assert f"--stack {other}" in error.value.hint


# --- on the engine ---------------------------------------------------------------------------------

COMPOSE = """
services:
  cache:  # a database on a volume without a name
    image: {project}/redis:1
    command: ["redis-server", "--appendonly", "yes"]
    stop_grace_period: 1s
  web:
    image: {project}-web:1
    build: {{context: ., dockerfile_inline: "FROM {fixture}\\nLABEL made-for={project}"}}
    init: true
    command: ["sleep", "3600"]
    depends_on: [cache]
    volumes: ["{project}-data:/data", "./uploads:/uploads"]
  old:
    image: {project}-web:1
    init: true
    command: ["sleep", "3600"]
    profiles: [old]
volumes:
  {project}-data: {{name: "{project}-data"}}
"""


@pytest.fixture
def stack(engine: Engine, tmp_path: Path) -> Iterator[OperationStack]:
    project = f"{run_name()}remove{next(_numbers)}"
    (tmp_path / "compose.yaml").write_text(COMPOSE.format(project=project, fixture=FIXTURE))
    (tmp_path / ".env").write_text(f"COMPOSE_PROJECT_NAME={project}\n")
    (tmp_path / "uploads").mkdir()
    (tmp_path / "uploads" / "photo").write_text("kept")
    made = OperationStack(tmp_path, project, engine)
    (tmp_path / "redis").mkdir()
    (tmp_path / "redis" / "Dockerfile").write_text(f"FROM redis:7\nLABEL made-for={project}\n")
    engine.docker("build", "--quiet", "--tag", f"{project}/redis:1", tmp_path / "redis")
    try:
        made.compose("up", "--detach")
        made.compose("exec", "-T", "web", "sh", "-c", "echo kept > /data/file")
        made.compose("exec", "-T", "cache", "redis-cli", "set", "a", "b")
        yield made
    finally:
        remove(engine, also=project)


def mine(engine: Engine, what: str, project: str) -> list[str]:
    """Names of what there is: containers, networks, images or volumes of the project."""
    listing = {
        "container": ["ps", "--all", "--format", "{{.Names}}"],
        "network": ["network", "ls", "--format", "{{.Name}}"],
        "volume": ["volume", "ls", "--format", "{{.Name}}"],
        "image": ["images", "--format", "{{.Repository}}:{{.Tag}}"],
    }[what]
    return sorted(one for one in engine.docker(*listing).split() if one.startswith(project))


def test_remove_and_what_it_leaves(
    stack: OperationStack, engine: Engine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    project, here = stack.project, ["--stack", str(stack.directory)]
    monkeypatch.setattr("sys.stdin", io.StringIO())
    cache = f"{project}-cache-1"
    left = engine.docker("inspect", "--format", "{{range .Mounts}}{{.Name}}{{end}}", cache)
    # An orphan, one-off containers, somebody else's container in our network, and one on our image.
    stack.compose("--profile", "old", "up", "--detach", "old")
    stack.compose("exec", "-T", "web", "sh", "-c", "mkdir -p /home/web && touch /home/web/forgotten")
    stack.compose("run", "--detach", "--rm", "--name", f"{project}-once", "web")
    stack.compose("run", "--detach", "--name", f"{project}-stays", "web")
    outside = f"{project}-outside"
    engine.docker(
        "run", "--detach", "--init", "--name", outside, "--network", f"{project}_default", f"{project}/redis:1",
        "sleep", "600",
    )  # fmt: skip
    engine.docker("tag", f"{project}-web:1", f"opsconsole/{project}/web:r1")
    whole = (stack.directory / "compose.yaml").read_text()
    (stack.directory / "compose.yaml").write_text("services: [broken")

    assert main(["remove", "--plan", *here]) == 0
    shown = capsys.readouterr().out
    assert f"{project}_default stays: {outside} uses it" in shown and f"{project}/redis:1 stays" in shown
    assert "1 file in no volume, LOST: /home/web/forgotten" in shown
    assert "cache:/data" in shown and f"stays on the disk as {left[:12]}" in shown
    assert main(["remove", "--yes", *here]) == 2
    assert f"--accept-loss {project}" in capsys.readouterr().err
    assert main(["remove", "--yes", "--accept-loss", project, *here]) == 2
    assert "--accept-loss cache:/data" in capsys.readouterr().err
    most = ["--yes", "--accept-loss", project, "--accept-loss", "cache:/data"]
    assert main(["remove", *most, *here]) == 2
    said = capsys.readouterr().err
    assert f"{project}-web-1: 1 file in no volume would be lost and no backup holds it (/home/web/forgotten)" in said
    assert f"--accept-loss {project}-web-1" in said
    assert len(mine(engine, "container", project)) == 6

    agreed = [*most, "--accept-loss", f"{project}-web-1"]
    assert main(["remove", *agreed, *here]) == 0
    assert mine(engine, "container", project) == [outside]
    assert engine.docker("inspect", "--format", "{{.State.Running}}", outside) == "true"
    assert mine(engine, "network", project) == [f"{project}_default"]
    assert mine(engine, "image", project) == [f"{project}/redis:1"]
    assert engine.docker("images", "--quiet", f"opsconsole/{project}/web:r1")
    place = places.existing_operations(stack.directory)[-1]
    assert journal.read(place)[-1].result is Result.DONE and chain.verify(stack.directory) == ()

    # The other one has gone. Killed before the images went, and finished: nothing is forgotten.
    engine.docker("rm", "--force", "--volumes", outside)
    (stack.directory / "compose.yaml").write_text(whole)
    stack.compose("up", "--detach")
    made = remove_plans.remove(remove_plans.holdings(stack.directory, Config()), releases=True)
    place, _ = stack.run(made, OPS_KILL_AT="O06.2")
    capsys.readouterr()
    assert main(["operations", "finish", place.name, "--yes", *here]) == 0
    assert [mine(engine, what, project) for what in ("container", "network", "image")] == [[], [], []]
    assert not engine.docker("images", "--quiet", f"opsconsole/{project}/web")
    assert engine.docker("images", "--quiet", "redis:7")  # what it was built on is not the stack's
    assert main(["remove", *agreed, *here]) == 0  # nothing to do is no fault
    assert "no container, network or image" in capsys.readouterr().out

    # Nothing of the data has gone.
    assert mine(engine, "volume", project) == [f"{project}-data"]
    words = ("run", "--rm", "--volume", f"{project}-data:/a", "--volume", f"{left}:/b", FIXTURE, "ls", "-R", "/a", "/b")
    listed = engine.docker(*words)
    engine.docker("volume", "rm", left)
    assert "file" in listed and "appendonlydir" in listed
    assert (stack.directory / "uploads" / "photo").read_text() == "kept"
