"""The act of a gate, and what a container that failed had to say: its log goes with it when it is made anew."""

from __future__ import annotations

from collections.abc import Sequence

from opsconsole.operations import acts, origin
from opsconsole.operations.acts import Failed, Fields, Operation, Stopped
from opsconsole.operations.gates import gate
from opsconsole.operations.journal import Result
from opsconsole.operations.plan import Act, Ending, Step

_LOG_LINES = "100"
_LOG_SECONDS = 20.0
HINT = "Above is the end of its log; the last 100 lines of it are in `opsconsole history ID`."


def gated(operation: Operation, one: Step) -> Fields:
    """Act.GATE. Of a deploy it is about services: their containers, whatever they are called."""
    names = one.services
    if one.release:
        containers = operation.containers()
        names = tuple(found.name for found in containers if found.service in one.services) or names
        if origin.untouched(operation, containers, names):
            return {"text": "unchanged"}
    verdict = gate(
        operation.containers,
        names,
        ending=one.ending,
        cancelled=lambda: bool(operation.cancel()),
        limit=one.seconds,
    )
    if verdict.cancelled:
        raise acts.cancelled(operation, one)
    if verdict.problem:
        raise failed(operation, verdict.problem, verdict.failed)
    well = "its work is done" if one.ending is Ending.MUST else "healthy"
    return {"text": f"weak gate: {', '.join(verdict.weak)}" if verdict.weak else well}


def failed(operation: Operation, problem: str, names: Sequence[str]) -> Failed:
    """What a service's failure is recorded as. Its log is read now: on the way back its container goes."""
    last: tuple[str, ...] = ()
    fields: Fields = {}
    for name in names:
        ran = operation.run_command(("docker", "logs", "--tail", _LOG_LINES, name), _LOG_SECONDS, cuttable=False)
        if not fields and ran.exit_code == 0:
            last = tuple(line for line in ran.last_lines if not line.startswith("$ docker logs"))
            fields = {
                "output_from": ran.output_from,
                "output_to": ran.output_to,
                "output_sha256": ran.output_sha256,
            }
    return Failed(fields, Stopped(Result.FAILED, problem, HINT if last else "See `opsconsole logs`.", last))


ACTS: dict[Act, acts.Act] = {Act.GATE: gated}
