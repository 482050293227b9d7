"""What an act of a step may use of the operation that runs it, and how it says that it failed.

An act is a function `act(operation, step) -> fields of its step-end record`. `MODULES` says where each one
stands.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from opsconsole.config import Config
from opsconsole.model import Container
from opsconsole.operations import plan as plans
from opsconsole.operations.commands import Ran
from opsconsole.operations.journal import Result
from opsconsole.operations.plan import Plan, Step
from opsconsole.stack.git_program import Account

if TYPE_CHECKING:
    from opsconsole.operations.backup_scope import Scope

Fields = dict[str, object]
"""Of a journal's record, by name."""

URGENT = "emergency stop"
"""A cancel that begins so ends also a command that is otherwise waited for, and no way back is taken."""


class Operation(Protocol):
    """The operation that runs, as its acts see it."""

    @property
    def directory(self) -> Path:
        """Of the stack."""

    @property
    def place(self) -> Path:
        """Of the operation: plan, journal, output."""

    @property
    def plan(self) -> Plan: ...

    @property
    def config(self) -> Config: ...

    @property
    def project(self) -> str: ...

    @property
    def secrets(self) -> tuple[str, ...]: ...

    @property
    def ended(self) -> Stopped | None:
        """How it has failed, for what runs after that; None before."""

    def run_command(
        self,
        command: tuple[str, ...],
        seconds: float,
        *,
        cuttable: bool = True,
        environment: Mapping[str, str] | None = None,
        holds_lock: bool = True,
        account: Account | None = None,
    ) -> Ran:
        """Run one command; its output goes into output.log. Never raises for a command that fails. With `holds_lock`
        the stack stays locked as long as the command lives, also when we are killed. `account`: run it as that."""

    def containers(self) -> tuple[Container, ...]:
        """Of the stack, as the engine knows them now. Raises SourceError."""

    def scope(self) -> Scope:
        """What belongs into a backup of the stack, and the way to its databases, as they were when an act first asked.
        Raises SourceError."""

    def cancel(self) -> str:
        """Why the operation is to end at the next safe point, "" when it is not."""

    def progress(self, text: str, done: int | None = None, total: int | None = None, unit: str = "") -> None:
        """Tell watchers how far the step is: a record of its own, so not more often than once a second."""


Act = Callable[[Operation, Step], Fields]


MODULES: dict[str, tuple[plans.Act, ...]] = {
    "gate_act": (plans.Act.GATE,),
    "hooks": (plans.Act.HOOK,),
    "preflight": (plans.Act.PREFLIGHT,),
    "deploy_acts": (plans.Act.PULL, plans.Act.RECORD_RELEASE, plans.Act.RECREATE, plans.Act.MARK_GOOD),
    "probing": (plans.Act.PROBES, plans.Act.SOAK),
    "return_acts": (plans.Act.RETURN,),
    "tree_acts": (plans.Act.PUT_ASIDE, plans.Act.MOVE_TREE, plans.Act.PUT_BACK, plans.Act.GIT),
    "file_acts": (plans.Act.RESTORE_FILES, plans.Act.FILES_BACK),
    "backup_acts": (plans.Act.SAVE, plans.Act.SAFETY_BACKUP, plans.Act.VERIFY, plans.Act.PRUNE, plans.Act.COPY),
    "exporting": (plans.Act.IMPORT,),
    "restore_acts": (
        plans.Act.CHECK_BACKUP,
        plans.Act.PUT_TOGETHER,
        plans.Act.LOAD,
        plans.Act.SWAP,
        plans.Act.SWAP_BACK,
        plans.Act.CLEAR_BESIDE,
        plans.Act.USERS,
    ),
    "set_acts": (
        plans.Act.MAKE_KEY,
        plans.Act.REMOVE_KEY,
        plans.Act.RENEW,
        plans.Act.INITIATE,
        plans.Act.LEAVE_SET,
        plans.Act.COMPARE_DATA,
    ),
    "database_acts": (
        plans.Act.ABORT,
        plans.Act.END_CLIENT,
        plans.Act.VALIDATE,
        plans.Act.REBUILD_INDEX,
        plans.Act.FLUSH,
    ),
}
"""Module -> the acts in its ACTS. Commands are run here; the two of an emergency stop are the runner's own."""


def of_plan(plan: Plan) -> dict[plans.Act, Act]:
    """What runs each act of the plan. Only their modules are imported, some need a database's driver (0.1 s); and they
    are now, before anything is done: nothing of a newer console that is installed meanwhile is loaded midway."""
    wanted = {one.act for one in (*plan.steps, *plan.way_back, *plan.on_failure)}
    found: dict[plans.Act, Act] = {plans.Act.COMMANDS: run_commands}
    for module, acts in MODULES.items():
        if not wanted.isdisjoint(acts):
            found |= importlib.import_module(f"opsconsole.operations.{module}").ACTS
    return found


class Stopped(Exception):
    """The operation ends here with `result`."""

    def __init__(
        self,
        result: Result,
        problem: str = "",
        hint: str = "",
        last_lines: tuple[str, ...] = (),
        by_hand: tuple[str, ...] = (),
    ) -> None:
        super().__init__(problem)
        self.result = result
        self.problem = problem
        self.hint = hint
        self.last_lines = last_lines
        self.by_hand = by_hand


class Failed(Exception):
    """A step's act failed: what is recorded of it, and how the operation ends."""

    def __init__(self, fields: Fields, stopped: Stopped) -> None:
        super().__init__(stopped.problem)
        self.fields = fields
        self.stopped = stopped


def cancelled(operation: Operation, one: Step) -> Failed:
    """A cancel was asked for while the act was at work."""
    return Failed({}, Stopped(Result.CANCELLED, f"cancelled in the step {one.title}: {operation.cancel()}"))


def run_commands(
    operation: Operation,
    one: Step,
    environment: Mapping[str, str] | None = None,
    *,
    holds_lock: bool = True,
    account: Account | None = None,
) -> Fields:
    """The commands of a step, one after the other. Raises Failed at the first that fails."""
    from opsconsole.operations import plan

    codes: list[int] = []
    fields: Fields = {}
    for command in one.commands:
        ran = operation.run_command(
            command,
            one.seconds,
            cuttable=one.cuttable,
            environment=environment,
            holds_lock=holds_lock,
            account=account,
        )
        codes.append(ran.exit_code)
        fields = {
            "command": command,
            "exit_codes": tuple(codes),
            "output_from": ran.output_from,
            "output_to": ran.output_to,
            "output_sha256": ran.output_sha256,
        }
        if ran.exit_code or ran.problem:
            why = ran.problem or f"exit code {ran.exit_code}"
            result = Result.CANCELLED if ran.cut else Result.FAILED
            raise Failed(fields, Stopped(result, f"{plan.shown(command)}: {why}", "", ran.last_lines))
    return fields
