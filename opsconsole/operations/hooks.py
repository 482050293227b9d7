"""Hooks: programs of the stack's own around a deploy, an update or a rollback (`[hooks]` in opsconsole.toml).

A hook is a list of words that no shell reads. It runs in the stack's directory; a program with a slash in it and no
slash before it (`./hooks/notify`) is looked for from there, one without on PATH. Its output is kept beside the journal,
secrets masked. A hook that was cut off by a kill runs again when the operation is finished. It learns:

    OPSCONSOLE_HOOK        before_deploy, after_deploy or on_failure
    OPSCONSOLE_STACK       name of the stack
    OPSCONSOLE_DIRECTORY   of the stack
    OPSCONSOLE_OPERATION   id of the operation
    OPSCONSOLE_KIND        deploy, update, rollback
    OPSCONSOLE_WHO         login name of the operator
    OPSCONSOLE_FROM        address of the operator's SSH client, "" on the machine itself
    OPSCONSOLE_COMMIT      short commit that is checked out now, "+" behind it when the tree is dirty
    OPSCONSOLE_RELEASE     "r4": the release that the operation makes
    OPSCONSOLE_RETURNS_TO  "r3": where it goes back to when it fails, "" when there is nothing
    OPSCONSOLE_RESULT      "" before, "done" after, and of a failure: failed, rolled-back, rollback-failed
    OPSCONSOLE_PROBLEM     one line: what failed
    OPSCONSOLE_PLAN        file with the plan (JSON)
    OPSCONSOLE_JOURNAL     file with the journal (JSON lines)
"""

from __future__ import annotations

from pathlib import Path

from opsconsole.config import Config
from opsconsole.model import SourceError
from opsconsole.operations import acts, who
from opsconsole.operations.journal import Result
from opsconsole.operations.plan import Act, IfFails, Step
from opsconsole.programs import problem_of
from opsconsole.stack.git import Repository
from opsconsole.text import mask_text

BEFORE, AFTER, ON_FAILURE = "before_deploy", "after_deploy", "on_failure"
_ID = "hook:"


def before(config: Config, directory: Path) -> tuple[Step, ...]:
    """The step of before_deploy, () without one. When it fails the plan stops there.

    Raises SourceError when the program of any hook cannot be run: a deploy whose end nobody is told of is not begun.
    """
    for name in (AFTER, ON_FAILURE):
        _check(config, directory, name)
    return _steps(config, directory, BEFORE, "Nothing is changed when it fails.", IfFails.ENDS)


def after(config: Config, directory: Path) -> tuple[Step, ...]:
    """The step of after_deploy, () without one. It comes last: its failure is told and undoes nothing."""
    return _steps(config, directory, AFTER, "Its failure is said and does not undo the deploy.", IfFails.IS_TOLD)


def on_failure(config: Config, directory: Path) -> tuple[Step, ...]:
    """For `Plan.on_failure`, () without one."""
    return _steps(config, directory, ON_FAILURE, "After the way back, if there is one.", IfFails.IS_TOLD)


def run(operation: acts.Operation, one: Step) -> acts.Fields:
    """Act.HOOK. Raises Failed when its program fails."""
    name = one.id.removeprefix(_ID)
    ended = operation.ended
    result, problem = (ended.result.value, ended.problem) if ended else ("", "")
    if name == AFTER:
        result = Result.DONE.value
    said = environment(operation, name, result, problem)
    try:
        # A hook may leave a program behind: it must not keep the stack locked for as long as that lives.
        return acts.run_commands(operation, one, said, holds_lock=False)
    except acts.Failed as failed:
        stopped = failed.stopped
        hint = "Mend the hook, or take it out of [hooks] in opsconsole.toml." if name == BEFORE else ""
        told = acts.Stopped(stopped.result, f"the hook {name} failed: {stopped.problem}", hint, stopped.last_lines)
        raise acts.Failed(failed.fields, told) from None


def environment(operation: acts.Operation, name: str, result: str, problem: str) -> dict[str, str]:
    """What a hook learns, by variable. Known secrets are masked."""
    by = who.current()
    plan = operation.plan
    told = {
        "HOOK": name,
        "STACK": plan.stack,
        "DIRECTORY": str(operation.directory),
        "OPERATION": operation.place.name,
        "KIND": plan.kind.value,
        "WHO": by.login,
        "FROM": by.source,
        "COMMIT": Repository(operation.directory).look().id,
        "RELEASE": plan.release,
        "RETURNS_TO": plan.returns_to,
        "RESULT": result,
        "PROBLEM": " ".join(mask_text(problem, operation.secrets).replace("\0", " ").split()),
        "PLAN": str(operation.place / "plan.json"),
        "JOURNAL": str(operation.place / "journal.jsonl"),
    }
    return {f"OPSCONSOLE_{key}": value for key, value in told.items()}


# --- the program -----------------------------------------------------------------------------------


def _steps(config: Config, directory: Path, name: str, effect: str, if_fails: IfFails) -> tuple[Step, ...]:
    words = _check(config, directory, name)
    if not words:
        return ()
    return (
        Step(
            id=f"{_ID}{name}",
            title=f"Hook {name}: {words[0]}",
            act=Act.HOOK,
            commands=(words,),
            effect=effect,
            seconds=config.hooks.timeout_seconds,
            if_fails=if_fails,
        ),
    )


def _check(config: Config, directory: Path, name: str) -> tuple[str, ...]:
    """The hook's words; raises SourceError when its program is not there or cannot be run."""
    words: tuple[str, ...] = getattr(config.hooks, name)
    if words and (problem := problem_of(words[0], directory, "hooks")):
        what, hint = problem
        raise SourceError(f"the hook {name} cannot be run: {what}", f"{hint} Nothing was done.")
    return words


ACTS: dict[Act, acts.Act] = {Act.HOOK: run}
