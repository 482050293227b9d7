"""Containers that are replaced: which are what a release has, which hang on one that is gone, and what a Compose that
was killed in the middle has left."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from opsconsole.model import Container
from opsconsole.operations import plan, releases
from opsconsole.operations.acts import Failed, Operation, Stopped
from opsconsole.operations.journal import Result
from opsconsole.operations.release_making import of_service
from opsconsole.operations.releases import KeptService, Release

SHORT_SECONDS = 60.0
STOP_SECONDS = 900.0  # a database that writes out its memory takes its grace period, whatever that is

_HALF_MADE = re.compile(r"^[0-9a-f]{12}_(?P<name>.+)$")
"""What Compose calls a container while it replaces another one; the name stays when it is killed in between."""


def settled(own: Sequence[Container], kept: KeptService) -> bool:
    """Whether the service is as the release has it and nothing is to be done for it."""
    if kept.job and len(own) == 1:
        (job,) = own
        return releases.runs(job, kept) and job.state == "exited" and job.exit_code == 0
    return len(own) == kept.replicas and all(
        kept.hashes and releases.runs(one, kept) and one.state == "running" for one in own
    )


def overtaken(kept: KeptService, own: Sequence[Container], containers: Sequence[Container]) -> bool:
    """Whether what it is to be restarted with was made anew after it was started."""
    made = [one.created_at for name in kept.restarts_with for one in of_service(containers, name) if one.created_at]
    started = [one.started_at for one in own if one.started_at]
    return bool(made and started) and max(made) > min(started)


def cut_off(kept: KeptService, own: Sequence[Container], containers: Sequence[Container]) -> bool:
    """Whether the container whose network (or the like) it shares was made anew: it hangs on the one that is gone."""
    made = [one.created_at for name in kept.joins for one in of_service(containers, name) if one.created_at]
    since = [one.created_at for one in own if one.created_at]
    return bool(made and since) and max(made) > min(since)


def with_labels(release: Release, containers: Sequence[Container]) -> Release:
    """With the hashes that its containers carry: what shares another's network has one that only they tell."""
    services = []
    for kept in release.services:
        seen = [one.config_hash for one in of_service(containers, kept.name) if one.image_id == kept.image_id]
        services.append(msgspec.structs.replace(kept, hashes=tuple(dict.fromkeys((*kept.hashes, *filter(None, seen))))))
    return msgspec.structs.replace(release, services=tuple(services))


def mend(operation: Operation, service: str) -> None:
    """Set right what a Compose that was killed while it replaced a container has left."""
    names = {one.name for one in operation.containers()}
    for one in of_service(operation.containers(), service):
        half = _HALF_MADE.match(one.name)
        if half is None:
            continue
        if half["name"] in names:
            # The engine may be stopping the old one still, and it would be taken for one that stays: wait for its end.
            order(operation, ("docker", "stop", half["name"]), seconds=STOP_SECONDS)
            order(operation, ("docker", "rm", "--force", one.name))
        else:
            # It holds the volumes of the old one without a name: then it is kept.
            order(operation, ("docker", "rename", one.name, half["name"]))


def order(operation: Operation, *commands: tuple[str, ...], seconds: float = SHORT_SECONDS) -> None:
    for command in commands:
        ran = operation.run_command(command, seconds, cuttable=False)
        if ran.exit_code:
            said = ran.last_lines[-1] if ran.last_lines else ran.problem
            raise Failed({}, Stopped(Result.FAILED, f"{plan.shown(command)}: {said}", "", ran.last_lines))
