"""Runs one operation from its plan, in a process of its own. Everything it does is in the journal before it does it.

It survives the terminal (SIGHUP is ignored, there is no terminal to read from). SIGTERM and SIGINT, like the file
`cancel`, ask it to end at the next safe point. SIGKILL leaves it half done, and the journal says where.
"""

from __future__ import annotations

import signal
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from types import FrameType

from opsconsole.config import Config
from opsconsole.model import Container, SourceError
from opsconsole.operations import chain, commands, emergency, facts, journal, lock, plan, unfinished, who
from opsconsole.operations.gates import gate
from opsconsole.operations.journal import Journal, Result
from opsconsole.operations.plan import Act, Kind, Plan, Step
from opsconsole.operations.stack_plans import RUNNING
from opsconsole.operations.steps import step

URGENT = "emergency stop"
"""A cancel that begins so ends also a command that is otherwise waited for."""

EXIT_CODES = {Result.DONE: 0, Result.FAILED: 1, Result.REFUSED: 2, Result.CANCELLED: 5}
"""3 and 4 are kept for a deploy that went back to the release before, or could not."""


class _Stopped(Exception):
    """The operation ends here with `result`."""

    def __init__(self, result: Result, problem: str = "", hint: str = "", last_lines: tuple[str, ...] = ()) -> None:
        super().__init__(problem)
        self.result = result
        self.problem = problem
        self.hint = hint
        self.last_lines = last_lines


def run(directory: Path, place: Path, config: Config, *, project: str = "") -> int:
    """Run the operation whose plan is in `place`. Returns its exit code; the journal has everything else."""
    alive = journal.mark_alive(place)
    assert alive >= 0  # open until this process ends
    return _Runner(directory, place, config, project).run()


class _Runner:
    def __init__(self, directory: Path, place: Path, config: Config, project: str) -> None:
        self._directory = directory
        self._place = place
        self._config = config
        self._plan: Plan = journal.read_plan(place)
        self._project = project or self._plan.stack
        self._secrets = facts.env_file_secrets(directory, config, self._project)
        self._journal = Journal(place, self._secrets)
        self._output = commands.Output(place, self._secrets)
        self._signalled = ""
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
                self._check_facts()
                step("O03")
                for one in self._plan.steps:
                    self._do(one)
                ended = _Stopped(Result.DONE)
            except _Stopped as stopped:
                ended = stopped
            except (SourceError, OSError) as error:
                hint = error.hint if isinstance(error, SourceError) else "See runner.log beside the journal."
                ended = _Stopped(Result.FAILED, str(error), hint)
            return self._end(ended, began)

    # --- before ----------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Recorded before anything else: an attempt that is refused is in the history too."""
        chain.opened(self._directory, self._place.name, self._plan.resolves)
        self._journal.write(
            "begin",
            operation=self._place.name,
            kind=self._plan.kind.value,
            who=who.current(),
            title=plan.title(self._plan),
            fingerprint=self._plan.fingerprint,
            plan_sha256=journal.plan_sha256(self._place),
        )

    def _take_lock(self, held: ExitStack) -> None:
        step("O00")
        if self._plan.kind is Kind.EMERGENCY_STOP:
            for other in unfinished.running(self._directory):
                if other != self._place and journal.read_plan(other).kind is not Kind.EMERGENCY_STOP:
                    journal.ask_cancel(other, f"{URGENT} by {who.current().words()}")
                    self._others.append(other)
        else:
            holder = lock.new_holder(who.current(), plan.title(self._plan), self._place.name)
            try:
                self._lock_fd = (held.enter_context(lock.Lock(self._directory, holder)).fd,)
            except lock.LockHeld as error:
                raise _Stopped(Result.REFUSED, error.problem, error.hint) from None
        chain.seal_left_open(self._directory)
        step("O01")

    def _check_facts(self) -> None:
        step("O02")
        if not self._plan.bound:
            with suppress(SourceError):  # it has to stop the stack, whatever it cannot learn
                self._learn(facts.container_secrets(self._directory, self._config, self._project))
            return
        try:
            now = facts.look(self._directory, self._config, project=self._project)
        except SourceError as error:
            raise _Stopped(Result.REFUSED, error.problem, error.hint) from None
        self._learn(now.secrets)
        if changed := plan.differences(self._plan.facts, now.facts):
            raise _Stopped(
                Result.REFUSED,
                f"the stack changed since the plan was made: {'; '.join(changed)}",
                "Nothing was done. Look at the plan again.",
            )

    def _learn(self, secrets: tuple[str, ...]) -> None:
        self._output.close()
        self._secrets = tuple(sorted({*self._secrets, *secrets}, key=len, reverse=True))
        self._journal.secrets = self._secrets
        self._output = commands.Output(self._place, self._secrets)

    # --- steps -----------------------------------------------------------------------------------

    def _do(self, one: Step) -> None:
        if asked := self._cancel():
            raise _Stopped(Result.CANCELLED, f"cancelled before the step {one.title}: {asked}")
        step("O04")
        self._journal.write("step", step=one.id, title=one.title)
        step("O05")
        began = time.monotonic()
        fields: dict[str, object] = {}
        problem: _Stopped | None = None
        try:
            fields = {Act.COMMANDS: self._run_commands, Act.GATE: self._gate}.get(one.act, self._emergency)(one)
        except _Failed as failed:
            fields, problem = failed.fields, failed.stopped
        except (SourceError, OSError) as error:
            hint = error.hint if isinstance(error, SourceError) else ""
            problem = _Stopped(Result.FAILED, str(error), hint)
        step("O06")
        result = problem.result if problem else Result.DONE
        said = {"problem": problem.problem, "last_lines": problem.last_lines} if problem else {}
        self._journal.write(
            "step-end", step=one.id, result=result, seconds=round(time.monotonic() - began, 2), **fields, **said
        )
        step("O07")
        if problem:
            raise problem

    def _run_commands(self, one: Step) -> dict[str, object]:
        codes: list[int] = []
        for command in one.commands:
            ran = self._run_command(command, one.seconds, cuttable=one.cuttable)
            codes.append(ran.exit_code)
            fields: dict[str, object] = {
                "command": command,
                "exit_codes": tuple(codes),
                "output_from": ran.output_from,
                "output_to": ran.output_to,
                "output_sha256": ran.output_sha256,
            }
            if ran.exit_code or ran.problem:
                why = ran.problem or f"exit code {ran.exit_code}"
                result = Result.CANCELLED if ran.cut else Result.FAILED
                raise _Failed(fields, _Stopped(result, f"{plan.shown(command)}: {why}", "", ran.last_lines))
        return fields if codes else {}

    def _run_command(self, command: tuple[str, ...], seconds: float, *, cuttable: bool) -> commands.Ran:
        return commands.run(
            command,
            self._output,
            directory=str(self._directory),
            seconds=seconds,
            keep_open=self._lock_fd,
            end_now=lambda: bool(asked := self._cancel()) and (cuttable or asked.startswith(URGENT)),
        )

    def _gate(self, one: Step) -> dict[str, object]:
        verdict = gate(self._containers, one.services, cancelled=lambda: bool(self._cancel()), limit=one.seconds)
        if verdict.cancelled:
            raise _Failed({}, _Stopped(Result.CANCELLED, f"cancelled in the step {one.title}: {self._cancel()}"))
        if verdict.problem:
            raise _Failed({}, _Stopped(Result.FAILED, verdict.problem, "See `opsconsole logs`."))
        return {"text": f"weak gate: {', '.join(verdict.weak)}" if verdict.weak else "healthy"}

    def _emergency(self, one: Step) -> dict[str, object]:
        if one.act is Act.EVIDENCE:
            text = emergency.save_evidence(
                self._place, self._directory, self._config, one.services, self._secrets, self._project
            )
            return {"text": text}
        codes: list[int] = []

        def stop(command: tuple[str, ...], seconds: float) -> None:
            codes.append(self._run_command(command, seconds, cuttable=False).exit_code)

        problem = emergency.stop_all(self._directory, self._config, self._project, stop, others=self._others_run)
        if problem:
            raise _Failed({"exit_codes": tuple(codes)}, _Stopped(Result.FAILED, problem, "Stop them by hand."))
        return {"exit_codes": tuple(codes)}

    def _others_run(self) -> bool:
        return any(journal.is_alive(other) for other in self._others)

    # --- after -----------------------------------------------------------------------------------

    def _end(self, ended: _Stopped, began: float) -> int:
        step("O08")
        self._journal.write(
            "end",
            operation=self._place.name,
            result=ended.result,
            seconds=round(time.monotonic() - began, 2),
            problem=ended.problem,
            hint=ended.hint,
            last_lines=ended.last_lines,
            state=() if ended.result is Result.REFUSED else self._state(),
        )
        step("O09")
        chain.sealed(self._directory, self._place)
        step("O10")
        self._journal.close()
        self._output.close()
        return EXIT_CODES[ended.result]

    def _state(self) -> tuple[str, ...]:
        """How the stack stands now, as an operator would say it."""
        try:
            containers = self._containers()
        except SourceError as error:
            return (f"how the stack stands now is not known: {error.problem}",)
        up = [one.name for one in containers if one.state in RUNNING]
        down = [f"{one.name} ({one.state})" for one in containers if one.state not in RUNNING]
        return tuple(
            line
            for line in (
                f"running: {', '.join(up)}" if up else "nothing runs",
                f"not running: {', '.join(down)}" if down else "",
            )
            if line
        )

    def _containers(self) -> tuple[Container, ...]:
        return facts.observe(self._directory, self._config, project=self._project)[0]

    # --- cancel ----------------------------------------------------------------------------------

    def _cancel(self) -> str:
        return self._signalled or journal.cancel_asked(self._place)

    def _asked_by_signal(self, number: int, frame: FrameType | None) -> None:
        self._signalled = f"asked by {signal.Signals(number).name}"


class _Failed(Exception):
    """A step's act failed: what is recorded of it, and how the operation ends."""

    def __init__(self, fields: dict[str, object], stopped: _Stopped) -> None:
        super().__init__(stopped.problem)
        self.fields = fields
        self.stopped = stopped
