"""Does a container run what the compose file says: only what can be told is claimed."""

from __future__ import annotations

from opsconsole.model import Container, Service, Stack
from opsconsole.stack.drift import untellable, with_drift

WEB = Service(name="web", image="web:1", config_hash="a" * 64, image_id="sha256:1")


def stack(*services: Service, command: str = "docker compose 2.40.3") -> Stack:
    return Stack(name="shop", directory="/srv/shop", compose_command=command, services=services or (WEB,))


def container(version: str = "2.40.3", **more: object) -> Container:
    facts: dict[str, object] = {
        "id": "1",
        "name": "shop-web-1",
        "project": "shop",
        "service": "web",
        "config_hash": "a" * 64,
        "image_id": "sha256:1",
        "labels": (("com.docker.compose.version", version),),
    }
    return Container(**{**facts, **more})  # type: ignore[arg-type]


def drift_of(one: Container, among: Stack) -> str:
    return with_drift([one], among)[0].drift


def test_what_runs_as_written_has_no_drift() -> None:
    assert drift_of(container(), stack()) == ""


def test_another_configuration_is_drift() -> None:
    assert drift_of(container(config_hash="b" * 64), stack()).startswith("runs another configuration")


def test_a_newer_image_under_the_same_name_is_drift() -> None:
    assert drift_of(container(image_id="sha256:0"), stack()) == (
        "runs an older image than web:1 is now: the next `up` recreates it"
    )
    assert drift_of(container(image_id=""), stack()) == ""


def test_a_service_that_is_gone_is_drift_but_not_when_no_service_is_known() -> None:
    assert drift_of(container(service="old"), stack()) == "service old is no longer in the compose file"
    assert with_drift([container()], Stack(name="shop", directory="/"))[0].drift == ""


def test_a_hash_by_another_generation_of_compose_is_not_compared_and_said_once() -> None:
    old = container("1.29.2", config_hash="c" * 64)
    assert drift_of(old, stack()) == ""
    assert "created by Compose 1.29.2 and this host has 2.40.3" in untellable([old, old], stack())
    assert untellable([container()], stack()) == ""
    assert untellable([old], stack(command="")) == ""


def test_unknown_hashes_claim_nothing() -> None:
    assert drift_of(container(config_hash=""), stack()) == ""
    assert drift_of(container(), stack(Service(name="web"))) == ""


def test_other_projects_and_one_off_runs_are_left_alone() -> None:
    assert drift_of(container(project="other", service="x"), stack()) == ""
    one_off = container(config_hash="b", labels=(("com.docker.compose.oneoff", "True"),))
    assert drift_of(one_off, stack()) == ""


def test_drift_that_is_over_is_taken_back() -> None:
    assert drift_of(container(drift="runs another configuration"), stack()) == ""
