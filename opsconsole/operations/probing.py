"""The stack's health endpoints during a deploy, and the soak: what is well has to stay well for a while."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from opsconsole.config import Config
from opsconsole.model import Container, Probe, SourceError
from opsconsole.operations import acts, gate_act, journal, origin
from opsconsole.operations.acts import Failed, Fields, Operation, Stopped
from opsconsole.operations.journal import Result
from opsconsole.operations.plan import Act, Step
from opsconsole.operations.stack_plans import RUNNING

if TYPE_CHECKING:
    from opsconsole.stack.discover import StackDiscovery

_BEFORE = "probes-before.json"
_POLL_SECONDS = 1.0
_SAY_SECONDS = 5.0


def discovery(operation: Operation) -> StackDiscovery:
    """What knows the endpoints: one for all questions of an act, for it asks Compose once."""
    from opsconsole.stack.discover import StackDiscovery

    return StackDiscovery(operation.directory, operation.config, project=operation.project, drift=False)


def probes_now(operation: Operation, known: StackDiscovery) -> tuple[Probe, ...]:
    """Every health endpoint of the stack, asked once. Raises SourceError when the stack cannot be looked at."""
    from opsconsole.sources.http import HttpProbes

    containers = operation.containers()
    stack = known.look(containers)
    asked = HttpProbes()
    try:
        return asked.look(stack, containers)
    finally:
        asked.close()


def remember(operation: Operation) -> None:
    """Keep which endpoints fail before anything is changed: those are not the deploy's doing."""
    with suppress(SourceError, OSError):
        ill = [one.endpoint.url for one in probes_now(operation, discovery(operation)) if not one.ok]
        fd = journal.open_private(operation.place / _BEFORE, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        with open(fd, "wb") as file:
            file.write(msgspec.json.encode(ill))


def probes(operation: Operation, one: Step) -> Fields:
    """Wait until every endpoint answers. One that was found, not configured, and failed before, is only named."""
    ill, endpoints = _ill_before(operation), discovery(operation)
    began = time.monotonic()
    while True:
        found = probes_now(operation, endpoints)
        bad = [probe for probe in found if not probe.ok]
        counted = [probe for probe in bad if counts(probe, operation.config, ill)]
        if not counted:
            named = f"; as before: {_said(bad)}" if bad else ""
            return {"text": f"{len(found) - len(bad)} of {len(found)} endpoints answer{named}" if found else "none"}
        if operation.cancel():
            raise acts.cancelled(operation, one)
        if time.monotonic() - began > one.seconds:
            problem = f"not well after {one.seconds:.0f} s: {_said(counted)}"
            raise Failed({}, Stopped(Result.FAILED, problem, "See `opsconsole logs`."))
        time.sleep(_POLL_SECONDS)


def counts(probe: Probe, config: Config, ill_before: Sequence[str]) -> bool:
    """Whether a failing probe fails the deploy: always when the operator named it."""
    return bool(config.probes) or probe.endpoint.url not in ill_before


def soak(operation: Operation, one: Step) -> Fields:
    """Watch. A container that ends, starts again, is replaced or gets ill fails the deploy, and so does a probe."""
    ill, endpoints = _ill_before(operation), discovery(operation)
    first = {container.name: container for container in operation.containers() if container.service in one.services}
    began = last_said = last_probed = time.monotonic()
    while (passed := time.monotonic() - began) < one.seconds:
        _check(operation, first, passed)
        if operation.cancel():
            raise acts.cancelled(operation, one)
        if passed and time.monotonic() - last_probed >= _SAY_SECONDS:
            last_probed = time.monotonic()
            _probe_again(operation, endpoints, ill, passed)
        if time.monotonic() - last_said >= _SAY_SECONDS:
            last_said = time.monotonic()
            operation.progress("watching", done=int(passed), total=int(one.seconds), unit="seconds")
        time.sleep(min(_POLL_SECONDS, max(0.0, one.seconds - passed)))
    _check(operation, first, one.seconds)
    return {"text": f"well for {one.seconds:g} s"}


def _check(operation: Operation, first: dict[str, Container], passed: float) -> None:
    name, problem = worse(first, operation.containers())
    if problem:
        raise gate_act.failed(operation, f"after {passed:.0f} s {name} {problem}", (name,))


def worse(first: dict[str, Container], now: Sequence[Container]) -> tuple[str, str]:
    """(container, what has become worse since), two "" when nothing has. What was ill at first is not watched."""
    there = {one.name: one for one in now}
    for name, was in first.items():
        one = there.get(name)
        if was.state not in RUNNING or was.health == "unhealthy":
            continue
        if one is None or one.id != was.id:
            return name, "is gone or was replaced"
        if one.state not in RUNNING:
            if one.exit_code == 0 and one.restart_policy.partition(":")[0] in ("", "no", "on-failure"):
                continue  # a job that is done
            return name, f"ended with exit code {one.exit_code}"
        if (one.restarts or 0) > (was.restarts or 0) or one.state == "restarting":
            return name, f"crashed and was started again ({one.restarts} restarts)"
        if one.health == "unhealthy":
            return name, "is unhealthy"
    return "", ""


def _probe_again(operation: Operation, known: StackDiscovery, ill: Sequence[str], passed: float) -> None:
    bad = [probe for probe in probes_now(operation, known) if not probe.ok and counts(probe, operation.config, ill)]
    if not bad:
        return
    time.sleep(_POLL_SECONDS)  # one lost answer is no failure
    urls = {probe.endpoint.url for probe in bad}
    again = [probe for probe in probes_now(operation, known) if not probe.ok and probe.endpoint.url in urls]
    if again:
        raise Failed({}, Stopped(Result.FAILED, f"after {passed:.0f} s {_said(again)}", "See `opsconsole logs`."))


def _ill_before(operation: Operation) -> tuple[str, ...]:
    try:
        return tuple(msgspec.json.decode((origin.first_place(operation) / _BEFORE).read_bytes(), type=list[str]))
    except (OSError, msgspec.MsgspecError):
        return ()


def _said(probes: Sequence[Probe]) -> str:
    return "; ".join(f"{one.endpoint.name}: {one.problem}" for one in probes)


ACTS: dict[Act, acts.Act] = {Act.PROBES: probes, Act.SOAK: soak}
