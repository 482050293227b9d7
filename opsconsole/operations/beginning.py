"""From a plan that was agreed to, to the process that runs it; and asking that process to end."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple

from opsconsole.model import SourceError
from opsconsole.operations.plan import Kind, Plan
from opsconsole.operations.site import Site


class Begun(NamedTuple):
    """An operation whose process was started."""

    place: Path
    process: subprocess.Popen[bytes]


def begin(site: Site, plan: Plan) -> Begun:
    """Start the process that runs the plan. Raises LockHeld while another operation runs, SourceError."""
    from opsconsole.operations import journal, launch, places

    refuse_while_held(site, plan)
    place = journal.create(site.directory, places.new_id(plan.kind.value), plan)
    process = launch.launch(site.directory, place, config=site.config_file, project=site.project or plan.stack)
    return Begun(place, process)


def refuse_while_held(site: Site, plan: Plan) -> None:
    """Raises LockHeld while another operation changes this stack; an emergency stop does not wait for it."""
    from opsconsole.operations import lock

    if plan.kind is not Kind.EMERGENCY_STOP and (holder := lock.holder_of(site.directory)):
        raise lock.LockHeld(holder)


def ask_cancel(place: Path) -> None:
    """Ask a running operation to end at the next safe point. Raises SourceError when it does not run."""
    from opsconsole.operations import journal, who

    if not journal.is_alive(place):
        raise SourceError(f"{place.name} does not run", "See `opsconsole operations`.")
    try:
        journal.ask_cancel(place, f"asked by {who.current().words()}")
    except OSError as error:
        raise SourceError(f"the request cannot be written to {place}: {error.strerror}") from None
