"""Start, stop and restart of single containers as operations: locked, recorded, by id."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from opsconsole.config import Config
from opsconsole.model import Container, Volume, VolumeKind, VolumeUse
from opsconsole.operations import chain, container_plans, facts, journal, lock, past, places, who
from opsconsole.operations.containers import Outcome, Verb
from opsconsole.operations.plan import Plan
from opsconsole.operations.requests import Request, make_plan
from opsconsole.operations.site import Site
from tests.operation_stack import OperationStack, operation_stack
from tests.parts.engine import Engine


@pytest.fixture(scope="module")
def stack(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperationStack]:
    with operation_stack(engine, tmp_path_factory.mktemp("containers")) as made:
        yield made


def named(stack: OperationStack, verb: Verb, *services: str) -> Plan:
    listed = facts.listed(stack.directory, Config())
    return container_plans.plan(
        stack.project, stack.directory, verb, [one for one in listed if one.service in services]
    )


def apply(stack: OperationStack, made: Plan) -> list[Outcome]:
    return container_plans.apply(Site(directory=stack.directory), made)


def test_the_three_verbs_are_recorded_and_a_broken_file_does_not_matter(stack: OperationStack) -> None:
    before = stack.started()
    compose = stack.directory / "compose.yaml"
    text = compose.read_text()
    compose.write_text("services: [broken")
    try:
        assert [one.said() for one in apply(stack, named(stack, Verb.STOP, "web"))] == [
            f"{stack.project}-web-1 stopped"
        ]
        assert stack.running() == {"store"}
        assert apply(stack, named(stack, Verb.START, "web"))[0].ok
        assert all(one.ok for one in apply(stack, named(stack, Verb.RESTART, "web", "store")))
    finally:
        compose.write_text(text)
    after = stack.started()
    assert after.keys() == before.keys() and all(after[id] > before[id] for id in before)
    known = past.past(stack.directory)
    assert [one.title.removesuffix(f" in the stack {stack.project}") for one in known] == [
        f"restart of {stack.project}-store-1, {stack.project}-web-1",
        f"start of {stack.project}-web-1",
        f"stop of {stack.project}-web-1",
    ]
    assert {one.result for one in known} == {"done"} and known[0].who == who.current()
    assert chain.verify(stack.directory) == () and lock.holder_of(stack.directory) is None
    # Nobody waited until they were well: this teaches nothing about how long a restart takes.
    assert past.seconds_by_service(stack.directory) == {}


def test_one_that_has_vanished_is_said_and_the_next_one_has_its_turn(stack: OperationStack) -> None:
    store, web = facts.listed(stack.directory, Config())
    gone = msgspec.structs.replace(store, id="0" * 64, name="gone-1", service="gone")
    before = stack.started()
    outcomes = apply(stack, container_plans.plan(stack.project, stack.directory, Verb.RESTART, [gone, web]))
    assert [one.ok for one in outcomes] == [False, True]
    place = places.existing_operations(stack.directory)[-1]
    assert outcomes[0].said() == (
        "gone-1 was not restarted: That container no longer exists (docker restart 000000000000: exit code 1)."
        f" See `opsconsole history {place.name}`."
    )
    after = stack.started()
    assert after[web.id] > before[web.id] and after[store.id] == before[store.id]
    end = journal.read(place)[-1]
    assert end.result is journal.Result.FAILED and "No such container" in " ".join(end.last_lines)


def test_while_another_operation_runs_nothing_is_touched(stack: OperationStack) -> None:
    before = stack.started()
    mina = who.Who(login="mina", source="192.0.2.7")
    made = named(stack, Verb.STOP, "web", "store")
    with lock.Lock(stack.directory, lock.new_holder(mina, "deploy of the stack shop", "20260131T020000000Z-deploy-aa")):
        outcomes = apply(stack, made)
    assert [one.ok for one in outcomes] == [False, False] and stack.started() == before
    said = outcomes[0].said()
    assert "was not stopped: deploy of the stack shop by mina from 192.0.2.7 runs since" in said
    assert "operations watch 20260131T020000000Z-deploy-aa" in said
    # Refused by its own process, when the other was a moment faster.
    place, process = None, None
    with lock.Lock(stack.directory, lock.new_holder(mina, "deploy", "x")):
        place, process = stack.begin(made)
        assert process.wait(60) == 2
    assert journal.read(place)[-1].result is journal.Result.REFUSED and stack.started() == before


def test_undo_touches_only_what_was_named(stack: OperationStack) -> None:
    if stack.running() != {"store", "web"}:
        stack.up()
    stack.compose("stop", "--timeout", "1", "store")
    place, _ = stack.run(named(stack, Verb.STOP, "web"), OPS_KILL_AT="O06")
    stack.compose("start", "store")
    made = make_plan(Site(directory=stack.directory), Request(what="undo", operation=place.name))
    assert [step.id.partition(":")[0] for step in made.steps] == ["start", "gate"] and made.services == ("web",)
    assert stack.run(made)[1] == 0
    assert stack.running() == {"store", "web"}


def test_what_lives_in_memory_must_be_named() -> None:
    one = Container(id="1" * 64, name="shop-cache-1", service="cache", state="running")
    use = VolumeUse(service="cache", container="shop-cache-1", destination="/data")
    memory = Volume(key="tmpfs:1", kind=VolumeKind.TMPFS, name="/data", used_by=(use,), database="redis")
    directory = Path("/srv/shop")
    stopped = container_plans.plan("shop", directory, Verb.STOP, [one], [memory], [("cache", 7)])
    assert stopped.to_accept == ("cache:/data", "cache")
    assert container_plans.plan("shop", directory, Verb.START, [one], [memory], [("cache", 7)]).to_accept == ()
