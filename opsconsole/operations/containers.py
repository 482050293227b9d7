"""Single containers: what is done to them and what became of it, and a shell in one. By id, never by row or name.

The functions block and never raise: the screen calls them on a thread of its own and shows the outcome.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from opsconsole.model import Container, SourceError
from opsconsole.text import mask_text

if TYPE_CHECKING:
    from opsconsole.sources import EngineSource

SHELL_CHECK_SECONDS = 10.0
# The best shell the container has. Runs inside the container; nothing of it is put together from outside text.
_BEST_SHELL = "command -v bash >/dev/null 2>&1 && exec bash; exec sh"


class Verb(StrEnum):
    START = "start"
    STOP = "stop"
    RESTART = "restart"

    @property
    def done(self) -> str:
        return {"start": "started", "stop": "stopped", "restart": "restarted"}[self.value]


@dataclass(frozen=True, slots=True)
class Target:
    """A container as it was when the key was pressed: what the dialog shows is what is acted on."""

    id: str
    name: str
    service: str

    @classmethod
    def of(cls, container: Container) -> Target:
        return cls(container.id, container.name, container.service)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one target. `problem` is "" when it worked."""

    verb: Verb
    target: Target
    problem: str = ""
    hint: str = ""

    @property
    def ok(self) -> bool:
        return not self.problem

    def said(self) -> str:
        """One line for the operator, whole: a failure text is never cut."""
        if self.ok:
            return f"{self.target.name} {self.verb.done}"
        advice = f" {self.hint.rstrip('.')}." if self.hint else ""
        return f"{self.target.name} was not {self.verb.done}: {self.problem.rstrip('.')}.{advice}"


def apply(engine: EngineSource, verb: Verb, targets: Iterable[Target]) -> list[Outcome]:
    """Do it to each target, one after the other; one that fails does not keep the others from their turn."""
    doing: dict[Verb, Callable[[str], None]] = {
        Verb.START: engine.start,
        Verb.STOP: engine.stop,
        Verb.RESTART: engine.restart,
    }
    outcomes = []
    for target in targets:
        try:
            doing[verb](target.id)
        except SourceError as error:
            outcomes.append(Outcome(verb, target, mask_text(error.problem), error.hint))
        except Exception as error:  # the engine's client has many; none may be lost on a thread
            outcomes.append(
                Outcome(verb, target, mask_text(f"{type(error).__name__}: {error}"), "Run opsconsole doctor.")
            )
        else:
            outcomes.append(Outcome(verb, target))
    return outcomes


def summary(outcomes: Sequence[Outcome]) -> str:
    """`3 restarted: a, b, c`; failures first, each with its whole text."""
    failed = [outcome.said() for outcome in outcomes if not outcome.ok]
    worked = [outcome.target.name for outcome in outcomes if outcome.ok]
    parts = failed
    if worked:
        verb = outcomes[0].verb.done
        parts = [*failed, f"{worked[0]} {verb}" if len(worked) == 1 else f"{len(worked)} {verb}: {', '.join(worked)}"]
    return "; ".join(parts)


# --- shell -----------------------------------------------------------------------------------------


def docker_command(endpoint: str) -> list[str]:
    """The docker client for the same engine that the console watches."""
    return ["docker", "--host", endpoint] if endpoint else ["docker"]


def shell_command(endpoint: str, container_id: str) -> list[str]:
    """An interactive shell in the container: bash if it has one, else sh."""
    return [*docker_command(endpoint), "exec", "-it", container_id, "sh", "-c", _BEST_SHELL]


def shell_problem(endpoint: str, target: Target) -> str:
    """Why no shell can be opened in the container; "" when one can. Blocks for SHELL_CHECK_SECONDS at most."""
    command = [*docker_command(endpoint), "exec", target.id, "sh", "-c", ":"]
    try:
        result = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=SHELL_CHECK_SECONDS, check=False
        )
    except FileNotFoundError:
        return "The docker command is not installed on this host. Install the Docker CLI to open a shell."
    except subprocess.TimeoutExpired:
        return f"{target.name} did not answer within {SHELL_CHECK_SECONDS:.0f} s; no shell was opened."
    except OSError as error:
        return f"The docker command cannot be run: {error}."
    if result.returncode == 0:
        return ""
    said = mask_text(" ".join(result.stderr.decode(errors="replace").split()))
    if result.returncode in (126, 127):
        return f"{target.name} has no shell: its image brings no sh. Look at its logs and its details instead. ({said})"
    return f"No shell could be opened in {target.name}: {said or f'docker ended with {result.returncode}'}"
