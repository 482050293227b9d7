"""Runs one operation from its plan, in a process of its own. Everything it does is in the journal before it does it.

It survives the terminal (SIGHUP is ignored, there is no terminal to read from). SIGTERM and SIGINT, like the file
`cancel`, ask it to end at the next safe point. SIGKILL leaves it half done, and the journal says where.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from opsconsole.config import Config
from opsconsole.model import Container, SourceError
from opsconsole.operations import (
    acts,
    chain,
    commands,
    facts,
    journal,
    lock,
    masking,
    plan,
    plan_facts,
    reserve,
    unfinished,
    who,
)
from opsconsole.operations.acts import URGENT, Failed, Stopped
from opsconsole.operations.guard import Guard
from opsconsole.operations.journal import Journal, Result, exit_code
from opsconsole.operations.plan import Act, Basis, IfFails, Kind, Plan, Step
from opsconsole.operations.stack_plans import RUNNING
from opsconsole.operations.steps import step
from opsconsole.stack.git_program import Account

if TYPE_CHECKING:
    from opsconsole.operations.backup_scope import Scope

_FAILURES = (Result.FAILED, Result.ROLLED_BACK, Result.ROLLBACK_FAILED)


def run(directory: Path, place: Path, config: Config, *, project: str = "") -> int:
    """Run the operation whose plan is in `place`. Returns its exit code; the journal has everything else."""
    alive = journal.mark_alive(place)
    assert alive >= 0  # open until this process ends
    return _Runner(directory, place, config, project).run()


class _Runner:
    def __init__(self, directory: Path, place: Path, config: Config, project: str) -> None:
        self.directory = directory
        self.place = place
        self.config = config
        self.plan: Plan = journal.read_plan(place)
        self._acts = acts.of_plan(self.plan)
        self.project = project or self.plan.stack
        self.secrets = masking.env_file_secrets(directory, config, self.project)
        reserve.keep(directory)
        self._journal = Journal(place, self.secrets, lambda: reserve.give_up(directory))
        self._output = commands.Output(place, self.secrets)
        self._guard = Guard(directory, place, self.plan, config, self.project)
        self._signalled = ""
        self._turned_back = False
        self._settled = False  # the release is good: what comes after only tidies up, and is not cut short
        self._acted = False
        self._failures: list[Stopped] = []  # of steps after which the others have their turn
        self._told: list[str] = []  # failures that do not change the result
        self.ended: Stopped | None = None
        self._scope: Scope | None = None
        self._lock_fd: tuple[int, ...] = ()
        self._others: list[Path] = []  # operations that an emergency stop asked to end

    def run(self) -> int:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._asked_by_signal)
        began = time.monotonic()
        with ExitStack() as held:
            self._begin()
            try:
                self._take_lock(held)
                self._guard.before(self._check_facts())
                step("O03")
                ended = self._steps()
            except Stopped as stopped:
                ended = stopped
            except (SourceError, OSError) as error:
                hint = error.hint if isinstance(error, SourceError) else "See runner.log beside the journal."
                ended = Stopped(Result.FAILED, str(error), hint)
            self._after_failure(ended)
            return self._end(ended, began, self._count_after())

    # --- before ----------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Recorded before anything else: an attempt that is refused is in the history too."""
        chain.opened(self.directory, self.place.name, self.plan.resolves)
        self._journal.write(
            "begin",
            operation=self.place.name,
            kind=self.plan.kind.value,
            who=who.current(),
            title=plan.title(self.plan),
            fingerprint=self.plan.fingerprint,
            plan_sha256=journal.plan_sha256(self.place),
        )

    def _take_lock(self, held: ExitStack) -> None:
        step("O00")
        if self.plan.kind is Kind.EMERGENCY_STOP:
            for other in unfinished.running(self.directory):
                if other != self.place and journal.read_plan(other).kind is not Kind.EMERGENCY_STOP:
                    journal.ask_cancel(other, f"{URGENT} by {who.current().words()}")
                    self._others.append(other)
        else:
            holder = lock.new_holder(who.current(), plan.title(self.plan), self.place.name)
            try:
                self._lock_fd = (held.enter_context(lock.Lock(self.directory, holder)).fd,)
            except lock.LockHeld as error:
                raise Stopped(Result.REFUSED, error.problem, error.hint) from None
        chain.seal_left_open(self.directory)
        step("O01")

    def _check_facts(self) -> facts.Look | None:
        """The look that holds the plan; None where the plan does not depend on one."""
        step("O02")
        if self.plan.basis is Basis.NAMED:
            return None  # an id is never given to another container
        if not self.plan.bound:
            with suppress(SourceError):  # it has to stop the stack, whatever it cannot learn
                self._learn(masking.container_secrets(self.directory, self.config, self.project))
            return None
        from_engine = self.plan.basis is Basis.ENGINE
        looking = facts.engine_look if from_engine else facts.look
        try:
            now = looking(self.directory, self.config, project=self.project)
            more = masking.container_secrets(self.directory, self.config, self.project) if from_engine else ()
        except SourceError as error:
            raise Stopped(Result.REFUSED, error.problem, error.hint) from None
        self._learn((*now.secrets, *more))
        if changed := plan_facts.differences(self.plan.facts, now.facts):
            raise Stopped(
                Result.REFUSED,
                f"the stack changed since the plan was made: {'; '.join(changed)}",
                "Nothing was done. Look at the plan again.",
            )
        return now

    def _learn(self, secrets: tuple[str, ...]) -> None:
        self._output.close()
        self.secrets = tuple(sorted({*self.secrets, *secrets}, key=len, reverse=True))
        self._journal.secrets = self.secrets
        self._output = commands.Output(self.place, self.secrets)

    # --- steps -----------------------------------------------------------------------------------

    def _steps(self) -> Stopped:
        """All steps, or as far as they go and then the way back. How the operation ends."""
        turning = False  # whether a failure from here on is to be undone
        for one in self.plan.steps:
            if asked := self.cancel():
                ended = Stopped(Result.CANCELLED, f"cancelled before the step {one.title}: {asked}")
            else:
                turning = turning or one.turns_back
                if one.act is Act.CLEAR_BESIDE:  # what the way back would need goes
                    self._settled = True
                try:
                    self._do(one)
                    if one.act is Act.MARK_GOOD:
                        self._settled = True
                    turning = turning and not self._settled
                    continue
                except Stopped as stopped:
                    ended = stopped
                    if self._leaves_open(one):
                        self._settled = False
                    elif self._goes_on(one, stopped):
                        turning = turning and not self._settled
                        continue
            return self._way_back(ended) if turning and self.plan.way_back else ended
        if self._failures:
            first = self._failures[0]
            problem = "; ".join(one.problem for one in self._failures)
            return Stopped(Result.FAILED, problem, first.hint, first.last_lines)
        return Stopped(Result.DONE)

    def _goes_on(self, one: Step, failed: Stopped) -> bool:
        """Whether the next step has its turn after this one failed."""
        if one.if_fails is IfFails.IS_TOLD:
            self._told.append(failed.problem)
            return True
        if one.if_fails is IfFails.GOES_ON and failed.result is Result.FAILED:
            self._failures.append(failed)
            return True
        return False

    def _leaves_open(self, one: Step) -> bool:
        """Whether it failed before it was decided which side of a restore stays: nobody would tidy up behind it."""
        if one.act is not Act.CLEAR_BESIDE:
            return False
        from opsconsole.operations import restore_state  # with the drivers of both databases, which only a restore has

        return restore_state.is_open(restore_state.home(self.place))

    def _way_back(self, why: Stopped) -> Stopped:
        """Once. A cancel does not end it, an emergency stop does."""
        if self.cancel().startswith(URGENT):
            return why
        self._turned_back = True
        try:
            self._journal.write("way-back", problem=why.problem, text=f"back to {self.plan.returns_to or 'how it was'}")
        except OSError as error:  # each of its steps is recorded, or not done
            self._told.append(f"that it turned back cannot be recorded: {error}")
        failed: list[tuple[Step, Stopped]] = []
        for number, one in enumerate(self.plan.way_back):
            try:
                self._do(one)
            except Stopped as stopped:
                if self.cancel().startswith(URGENT):
                    return stopped
                if one.if_fails is IfFails.IS_TOLD and not self._leaves_open(one):
                    self._told.append(stopped.problem)
                    continue
                failed.append((one, stopped))
                if one.if_fails is IfFails.ENDS:
                    return self._not_back(why, failed, self.plan.way_back[number:])
        if failed:
            return self._not_back(why, failed, [one for one, _ in failed])
        return Stopped(Result.ROLLED_BACK, why.problem, why.hint, why.last_lines)

    def _not_back(self, why: Stopped, failed: Sequence[tuple[Step, Stopped]], left: Sequence[Step]) -> Stopped:
        ended = _not_back(why, failed, left)
        if self.plan.kind is Kind.RESTORE:  # its containers are started by whoever exchanges the data back
            ended.by_hand = (f"opsconsole operations undo {self.place.name}",)
        return ended

    def _after_failure(self, ended: Stopped) -> None:
        """Run the hooks for a failure. Whatever becomes of them, the result stays."""
        if ended.result not in _FAILURES or not self._acted or self.cancel().startswith(URGENT):
            return
        self._turned_back = True  # a cancel that was asked before does not cut them short
        self.ended = ended
        for one in self.plan.on_failure:
            try:
                self._do(one)
            except Stopped as stopped:
                self._told.append(stopped.problem)

    def _do(self, one: Step) -> None:
        """Raises Stopped, also when it cannot be recorded: what was exchanged before has to go back then, too."""
        try:
            self._record_and_act(one)
        except OSError as error:
            problem = f"{one.title}: it cannot be recorded: {error}"
            raise Stopped(Result.FAILED, problem, "See runner.log beside the journal.") from None

    def _record_and_act(self, one: Step) -> None:
        step("O04")
        self._acted = True
        self._journal.write("step", step=one.id, title=one.title, output_from=self._output.at)
        step("O05")
        began = time.monotonic()
        fields: dict[str, object] = {}
        problem: Stopped | None = None
        try:
            self._refuse_on_a_full_disk()
            fields = self._act(one)
        except Failed as failed:
            fields, problem = failed.fields, failed.stopped
        except (SourceError, OSError) as error:
            hint = error.hint if isinstance(error, SourceError) else ""
            problem = Stopped(Result.FAILED, str(error), hint)
        step("O06")
        result = problem.result if problem else Result.DONE
        said = {"problem": problem.problem, "last_lines": problem.last_lines} if problem else {}
        self._journal.write(
            "step-end", step=one.id, result=result, seconds=round(time.monotonic() - began, 2), **fields, **said
        )
        step("O07")
        if problem:
            raise problem

    def _refuse_on_a_full_disk(self) -> None:
        """What was kept back is for the way back and the last records. A stop in an emergency does not mind."""
        short = self._journal.short_of_room or (reserve.is_needed(self.directory) and self._journal.make_room())
        if short and self.plan.bound and not self._turned_back and not self._settled:
            problem = f"the disk of {self.directory}/.opsconsole is full"
            raise Failed({}, Stopped(Result.FAILED, problem, "Make room there before the next operation."))

    def _act(self, one: Step) -> acts.Fields:
        if one.act in (Act.EVIDENCE, Act.STOP_ALL):
            return self._emergency(one)
        return self._acts[one.act](self, one)

    def _emergency(self, one: Step) -> acts.Fields:
        """The two acts of an emergency stop are ours: they know of other operations."""
        from opsconsole.operations import emergency

        if one.act is Act.EVIDENCE:
            text = emergency.save_evidence(
                self.place, self.directory, self.config, one.services, self.secrets, self.project
            )
            return {"text": text}
        codes: list[int] = []

        def stop(command: tuple[str, ...], seconds: float) -> None:
            codes.append(self.run_command(command, seconds, cuttable=False).exit_code)

        problem = emergency.stop_all(self.directory, self.config, self.project, stop, others=self._others_run)
        if problem:
            raise Failed({"exit_codes": tuple(codes)}, Stopped(Result.FAILED, problem, "Stop them by hand."))
        return {"exit_codes": tuple(codes)}

    def _others_run(self) -> bool:
        return any(journal.is_alive(other) for other in self._others)

    # --- what acts use (acts.Operation) ------------------------------------------------------------

    def run_command(
        self,
        command: tuple[str, ...],
        seconds: float,
        *,
        cuttable: bool = True,
        environment: Mapping[str, str] | None = None,
        holds_lock: bool = True,
        account: Account | None = None,
    ) -> commands.Ran:
        return commands.run(
            command,
            self._output,
            directory=str(self.directory),
            seconds=seconds,
            keep_open=self._lock_fd if holds_lock else (),
            end_now=lambda: bool(asked := self.cancel()) and (cuttable or asked.startswith(URGENT)),
            environment=environment,
            account=account,
        )

    def containers(self) -> tuple[Container, ...]:
        return facts.observe(self.directory, self.config, project=self.project)[0]

    def scope(self) -> Scope:
        from opsconsole.operations import backup_scope

        if self._scope is None:
            self._scope = backup_scope.scope(self.directory, self.config, project=self.project)
        return self._scope

    def cancel(self) -> str:
        asked = journal.cancel_asked(self.place) or self._signalled
        return asked if not (self._turned_back or self._settled) or asked.startswith(URGENT) else ""

    def progress(self, text: str, done: int | None = None, total: int | None = None, unit: str = "") -> None:
        self._journal.write("progress", text=text, done=done, total=total, unit=unit)

    # --- after -----------------------------------------------------------------------------------

    def _count_after(self) -> tuple[str, ...]:
        """What the guard misses, one line each; of an operation that did nothing it is not asked."""
        if not self._acted and not self.plan.resolves:
            return ()
        try:
            return self._guard.after(self._journal, in_haste=self.cancel().startswith(URGENT))
        except OSError as error:
            self._told.append(f"what the guard found cannot be recorded: {error}")
            return ()

    def _end(self, ended: Stopped, began: float, less: tuple[str, ...]) -> int:
        step("O08")
        self._journal.write(
            "end",
            operation=self.place.name,
            result=ended.result,
            text="deployed" if self._deployed(ended) else "",
            seconds=round(time.monotonic() - began, 2),
            problem="; ".join(filter(None, (ended.problem, *self._told))),
            hint=ended.hint,
            last_lines=ended.last_lines,
            by_hand=ended.by_hand,
            state=() if ended.result is Result.REFUSED else self._state(),
            less=less,
        )
        step("O09")
        chain.sealed(self.directory, self.place)
        step("O10")
        self._journal.close()
        self._output.close()
        return exit_code(ended.result, less)

    def _deployed(self, ended: Stopped) -> bool:
        return ended.result is Result.DONE and bool(self.plan.release) and not self.plan.as_undo

    def _state(self) -> tuple[str, ...]:
        """How the stack stands now, as an operator would say it."""
        tree: tuple[str, ...] = ()
        if self.plan.commit_to:
            from opsconsole.operations import tree_acts

            tree = tree_acts.state_lines(self.plan, self)
        try:
            containers = facts.listed(self.directory, self.config, project=self.project)
        except SourceError as error:
            return (f"how the stack stands now is not known: {error.problem}", *tree)
        up = [one.name for one in containers if one.state in RUNNING]
        down = [f"{one.name} ({one.state})" for one in containers if one.state not in RUNNING]
        return tuple(
            line
            for line in (
                f"running: {', '.join(up)}" if up else "nothing runs",
                f"not running: {', '.join(down)}" if down else "",
                *tree,
            )
            if line
        )

    def _asked_by_signal(self, number: int, frame: FrameType | None) -> None:
        self._signalled = f"asked by {signal.Signals(number).name}"


def _not_back(why: Stopped, failed: Sequence[tuple[Step, Stopped]], left: Sequence[Step]) -> Stopped:
    """The way back did not lead there: what failed, and the commands of what is left to do."""
    said = "; ".join(f"{one.title}: {stopped.problem}" for one, stopped in failed)
    first = failed[0][1]
    by_hand = tuple(command for _, stopped in failed for command in stopped.by_hand)
    by_hand = by_hand or tuple(plan.shown(command) for one in left for command in one.commands)
    problem = f"{why.problem}; and the way back failed in the step {said}"
    return Stopped(Result.ROLLBACK_FAILED, problem, first.hint, first.last_lines, by_hand)
