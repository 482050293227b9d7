"""Whether a registry has newer images: asked of a registry that a real engine reaches, and what that proves."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from opsconsole.maintenance import images
from opsconsole.maintenance.evidence import Limits, proofs
from opsconsole.maintenance.images import Asked, Image, State
from opsconsole.model import Container, Snapshot
from tests.parts.engine import Engine
from tests.parts.leftovers import run_name
from tests.parts.registry import Registry, registry

NOW = datetime(2026, 1, 18, 12, 0, tzinfo=UTC)


def imported(engine: Engine, name: str, content: bytes) -> str:
    """The id of a new image of one file, of this name."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        member = tarfile.TarInfo("VERSION")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    words = ["docker", "import", "-", name]
    return subprocess.run(words, input=packed.getvalue(), capture_output=True, check=True).stdout.decode().strip()


@pytest.fixture
def place(engine: Engine) -> Iterator[tuple[Registry, str]]:
    """A registry, and the name of an image in it; what the engine has of that is gone afterwards."""
    with registry() as server:
        name = f"{server.place}/{run_name()}image:1"
        yield server, name
        engine.docker("image", "rm", "--force", name, f"{name}-before", f"{name}-own", check=False)


def container(service: str, name: str, image_id: str) -> Container:
    return Container(id=service, name=service, service=service, image=name, image_id=image_id)


def test_a_registry_is_asked_through_the_engine(engine: Engine, place: tuple[Registry, str], tmp_path: Path) -> None:
    server, name = place
    old = imported(engine, name, b"old")
    engine.docker("push", name)
    engine.docker("tag", name, f"{name}-before")  # as a release keeps it
    new = imported(engine, name, b"new")
    engine.docker("push", name)
    own = imported(engine, f"{name}-own", b"own")
    stack = [
        container("worker", name, old),
        container("api", name, old),
        container("web", name, new),
        container("built", f"{name}-own", own),
        container("bound", f"{name.removesuffix(':1')}@sha256:{'0' * 64}", new),
    ]
    found = images.ask_registries(stack, NOW)
    by_services = {one.services: one for one in found.images}
    assert {services: one.state for services, one in by_services.items()} == {
        ("api", "worker"): State.NEWER,
        ("web",): State.CURRENT,
        ("built",): State.OWN,
        ("bound",): State.CURRENT,
    }
    assert "the registry has sha256:" in by_services["api", "worker"].said
    images.write(tmp_path, found)
    assert images.read(tmp_path) == found and (tmp_path / ".opsconsole" / images.NAME).stat().st_mode & 0o777 == 0o600

    server.manifests.clear()
    (gone,) = images.ask_registries(stack[:1], NOW).images
    assert (gone.state is State.UNKNOWN and "manifest unknown" in gone.said) or "does not have" in gone.said
    server.shutdown()
    server.server_close()
    (away,) = images.ask_registries(stack[:1], NOW).images
    assert away.state is State.UNKNOWN and "its registry could not be asked" in away.said and "refused" in away.said


def run(created_days: int, image_id: str = "sha256:1") -> Container:
    return Container(
        id="1", name="api", service="api", image="mongo:6", image_id=image_id,
        image_created=NOW - timedelta(days=created_days),
    )  # fmt: skip


def said_of(one: Container, state: State | None, days_ago: int = 3) -> tuple[bool, str]:
    kept = Image(name="mongo:6", image_id="sha256:1", services=("api",), state=state) if state else None
    asked = Asked(at=NOW - timedelta(days=days_ago), images=(kept,)) if kept else None
    proof = proofs(Snapshot(sampled_at=NOW, containers=(one,)), None, NOW, Limits(), asked)["security-updates"]
    return proof.holds, proof.said


def test_what_a_registry_said_proves_for_a_month_and_of_that_image_alone() -> None:
    assert said_of(run(200), State.CURRENT) == (True, "no registry has a newer image; asked 3 days ago")
    assert said_of(run(5), State.NEWER) == (False, "a registry has newer images of mongo:6; asked 3 days ago")
    for state in (State.UNKNOWN, State.OWN):
        assert said_of(run(200), state)[0] is False and said_of(run(5), state)[0] is True
    assert said_of(run(200), State.CURRENT, days_ago=32)[0] is False, "that was too long ago"
    assert said_of(run(5, "sha256:2"), State.NEWER)[0] is True, "it was deployed since"
    holds, said = said_of(run(200), None)
    assert not holds and said.endswith("built 200 days ago; no registry was asked lately")
