"""Plans of deploys and their parts, without an engine: what is needed, what counts as well, what is named how."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from opsconsole.config import Config
from opsconsole.config.sections import ProbeSection
from opsconsole.model import Container, Endpoint, Probe, Service
from opsconsole.operations import deploy_changes, plan_text, preflight, probing, releases
from opsconsole.operations.gates import gate
from opsconsole.operations.plan import Ending, Fate, ServiceChange
from opsconsole.operations.releases import KeptService, Release, State
from opsconsole.sources.engine_images import ImageFacts, tag_of

NOW = datetime(2026, 1, 31, 2, tzinfo=UTC)


def container(service: str, **facts: Any) -> Container:
    return Container(
        **{"id": f"id-{service}", "name": f"shop-{service}-1", "service": service, "state": "running", **facts}
    )


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("image: app:${TAG}", ("TAG",)),
        ("a: $PLAIN and ${BRACED}", ("PLAIN", "BRACED")),
        ("a: ${WITH:-default} ${OR-default} ${INSTEAD:+x}", ()),
        ("a: ${NEEDED:?say why}", ("NEEDED",)),
        ("a: $$ESCAPED $${ALSO}", ()),
        ("# a: ${COMMENTED}\nb: ${USED} # ${BEHIND}", ("USED",)),
    ],
)
def test_variables_that_a_compose_file_needs(text: str, names: tuple[str, ...]) -> None:
    assert preflight.required([text]) == names


def test_space_for_images_counts_each_once_and_guesses_what_it_never_saw() -> None:
    services = [Service(name="a", image="x"), Service(name="b", image="x"), Service(name="c", image="new")]
    known = {"x": ImageFacts(id="sha256:1", size_bytes=7)}
    assert preflight.space_for(services, known) == 7 + preflight.UNKNOWN_IMAGE_BYTES


def test_names_of_tags_are_what_a_registry_allows_and_never_the_same_for_two() -> None:
    assert tag_of("my_shop", "back-end", 4) == "opsconsole/my_shop/back-end:r4"
    odd = {tag_of("shop", name, 1) for name in ("Web", "web", "-web", "web_", "web.", "WEB")}
    assert len(odd) == 6 and all(one == one.lower() for one in odd)


# --- gates and soak ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ending", "state", "code", "passes"),
    [
        (Ending.NEVER, "exited", 0, False),
        (Ending.MAY, "exited", 0, True),
        (Ending.MUST, "exited", 0, True),
        (Ending.MAY, "exited", 1, False),
        (Ending.MUST, "exited", 1, False),
        (Ending.MUST, "running", None, False),  # it has to end
    ],
)
def test_a_gate_lets_a_job_end(ending: Ending, state: str, code: int | None, passes: bool) -> None:
    now = [0.0]

    def pause(seconds: float) -> None:
        now[0] += seconds

    one = container("migrate", state=state, exit_code=code)
    verdict = gate(lambda: [one], [one.name], ending=ending, limit=30, clock=lambda: now[0], pause=pause)
    assert (not verdict.problem) is passes and verdict.failed == (() if passes else (one.name,))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, ""),
        ({"restarts": 1}, "crashed and was started again"),
        ({"state": "exited", "exit_code": 7}, "ended with exit code 7"),
        ({"health": "unhealthy"}, "is unhealthy"),
        ({"id": "another"}, "was replaced"),
        ({"state": "exited", "exit_code": 0}, ""),  # a job: nothing restarts it
    ],
)
def test_what_the_soak_takes_for_worse(changed: dict[str, Any], said: str) -> None:
    first = {"shop-web-1": container("web", restarts=0)}
    problem = probing.worse(first, [container("web", **{"restarts": 0, **changed})])[1]
    assert said in problem and bool(problem) is bool(said)


def test_what_was_ill_before_does_not_count_unless_the_operator_named_it() -> None:
    ill = Probe(endpoint=Endpoint(name="web", url="http://127.0.0.1:1/"), ok=False)
    assert probing.counts(ill, Config(), ())
    assert not probing.counts(ill, Config(), ("http://127.0.0.1:1/",))
    named = Config(probes=(ProbeSection(url="http://127.0.0.1:1/"),))
    assert probing.counts(ill, named, ("http://127.0.0.1:1/",))


# --- releases ----------------------------------------------------------------------------------------


def release(number: int, **images: str) -> Release:
    kept = tuple(KeptService(name=name, image_id=image, hashes=(f"hash-{name}",)) for name, image in images.items())
    return Release(number=number, state=State.GOOD, at=NOW, services=kept)


def test_which_release_runs_is_told_by_every_container() -> None:
    kept = [release(1, web="a"), release(2, web="b"), release(3, web="b", db="c")]

    def one(service: str, image: str, carried: str = "") -> Container:
        return container(service, image_id=image, config_hash=carried or f"hash-{service}")

    assert releases.running(kept, [one("web", "b")]) == kept[1]
    assert releases.running(kept, [one("web", "b"), one("db", "c")]) == kept[2]
    assert releases.running(kept, [one("web", "b", "other")]) is None
    assert releases.running(kept, [one("web", "b"), one("new", "d")], ["web", "new"]) is None
    assert releases.running(kept, [one("web", "b"), one("stray", "d")], ["web"]) == kept[1]
    assert releases.running(kept, []) is None


def test_the_same_content_is_images_configuration_replicas_and_env() -> None:
    one = release(1, web="a")
    (web,) = one.services
    assert releases.same_content(one, release(2, web="a"))
    assert not releases.same_content(one, release(2, web="b"))
    assert not releases.same_content(one, msgspec.structs.replace(one, env_hash="other"))
    for change in ({"hashes": ("other",)}, {"replicas": 2}):
        other = msgspec.structs.replace(one, services=(msgspec.structs.replace(web, **change),))
        assert not releases.same_content(one, other)


def test_the_newest_five_are_kept_and_never_less_than_what_runs_and_the_way_back() -> None:
    kept = [release(number, web=str(number)) for number in range(1, 9)]
    assert Config().deploy.keep_releases == 5
    assert releases.surplus(kept, 5, {"r8", "r7"}) == ["r1", "r2", "r3"]
    assert releases.surplus(kept, 5, {"r2", "r8"}) == ["r1", "r3"], "a deploy over a rollback to r2"
    assert releases.surplus(kept[:5], 5, {"r5"}) == []
    states = {3: State.FAILED, 7: State.FAILED, 8: State.CANDIDATE}
    mixed = [msgspec.structs.replace(one, state=states.get(one.number, one.state)) for one in kept]
    assert releases.surplus(mixed, 5, set()) == ["r3", "r7"], "what failed counts as none to go back to"


# --- text --------------------------------------------------------------------------------------------


def test_configuration_is_compared_as_a_container_has_it_and_secrets_are_masked() -> None:
    old = {
        "image": "a", "pull_policy": "never", "command": ["run"], "environment": {"LEVEL": "info", "DB_PASSWORD": "x1"},
        "labels": {"opsconsole.image": "a"}, "depends_on": {"db": {}},
    }  # fmt: skip
    new = {"image": "b", "build": {}, "command": ["run"], "environment": {"LEVEL": "debug", "DB_PASSWORD": "x2"}}
    lines = deploy_changes.configuration_lines(old, new)
    assert len(lines) == 2 and "~ environment.LEVEL: info -> debug" in lines
    assert not any("x1" in line or "x2" in line for line in lines)


def test_what_stays_is_one_line() -> None:
    changes = [
        ServiceChange(service="web", fate=Fate.RECREATE, why=("image app:1 -> app:2",)),
        ServiceChange(service="db", fate=Fate.UNCHANGED),
        ServiceChange(service="cache", fate=Fate.UNCHANGED),
    ]
    assert list(plan_text.change_lines(changes)) == [
        "~ web  is recreated",
        "    image app:1 -> app:2",
        "  stays as it is: db, cache",
    ]
