"""What becomes of the data when containers are made anew or restarted. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from opsconsole.operations import layer_files, mounts
from opsconsole.operations.deploy_look import Known
from opsconsole.operations.facts import Look
from opsconsole.operations.plan import DataEffect, Effect
from opsconsole.operations.stack_plans import data_effects


def data_of(look: Look, known: Known, moving: set[str], memory: Sequence[tuple[str, int]]) -> tuple[DataEffect, ...]:
    """What becomes of the data when these services' containers are made anew."""
    going = [one for one in look.containers if one.service in moving]
    written = {one.name: known.own_files[one.name] for one in going if one.name in known.own_files}
    return (
        *mounts.compare(look, moving),
        *layer_files.effects(written, look.volumes),
        *data_effects(going, (), memory),
    )


def emptied(look: Look, restarted: set[str]) -> Iterator[DataEffect]:
    """What lives in memory goes with a restart, too."""
    stopping = [one for one in look.containers if one.service in restarted]
    return (one for one in data_effects(stopping, look.volumes, ()) if one.effect is not Effect.SAFE)
