"""The acts of an update on the stack's working tree: put local changes aside, move to a commit, put them back.

Each may be run again after a kill and ends in the same state. Nothing is ever reset by force: what somebody changed
here is in the tree or in a stash that carries the message of the plan (`Plan.stash`), also when it conflicts.
"""

from __future__ import annotations

from opsconsole.model import SourceError
from opsconsole.operations import acts, plan
from opsconsole.operations.acts import Failed, Fields, Operation, Stopped
from opsconsole.operations.journal import Result
from opsconsole.operations.plan import Act, Plan, Step
from opsconsole.operations.steps import step
from opsconsole.stack.git_changes import short, unmerged_files
from opsconsole.stack.git_program import Git, complaint, words_of
from opsconsole.text import printable


def put_aside(operation: Operation, one: Step) -> Fields:
    """Act.PUT_ASIDE: changes of tracked files go into a stash; env files and data stay where they are."""
    git = Git(operation.directory)
    _drop_conflict(operation, git)
    before = stashes(git, operation.plan.stash)
    if before and _is_copy(git, one, before[0][1]):
        # Cut off in the middle of it: what still stands in the tree is in the stash already.
        _run(operation, git, "checkout", "HEAD", "--", *_pathspecs(one))
        return {"text": _where(before)}
    fields = _told(operation, one, git)
    step("T01")
    made = stashes(git, operation.plan.stash)
    return {**fields, "text": _where(made) if made else "nothing was changed"}


def move_tree(operation: Operation, one: Step) -> Fields:
    """Act.MOVE_TREE: to the commit that ends the step's command; not when somebody has moved the tree since."""
    git = Git(operation.directory)
    goal = one.commands[0][-1]
    _drop_conflict(operation, git)
    head = _head(git)
    known = (operation.plan.commit_from, operation.plan.commit_to)
    if head not in known:
        problem = f"the tree stands at {short(head)}, neither at {short(known[0])} nor at {short(known[1])}"
        hint = "Somebody committed or switched in between; it was left as it is. Look with `git log`."
        raise Failed({}, Stopped(Result.FAILED, problem, hint))
    if head == goal:
        return {"text": f"stands at {short(goal)} already"}
    fields = _told(operation, one, git)
    step("T02")
    if _head(git) != goal:
        raise Failed(fields, Stopped(Result.FAILED, f"the tree is not at {short(goal)}", "Look with `git status`."))
    return {**fields, "text": f"stands at {short(goal)}"}


def put_back(operation: Operation, one: Step) -> Fields:
    """Act.PUT_BACK: apply what was put aside. What conflicts stays in its stash, and the tree stays without it."""
    git = Git(operation.directory)
    _drop_conflict(operation, git)
    there = stashes(git, operation.plan.stash)
    if not there:
        return {"text": "nothing is put aside"}
    while there:
        name, commit = there[-1]  # the oldest first: those are the operator's own
        ran = operation.run_command(git.words("stash", "pop", name), one.seconds, cuttable=False, account=git.account)
        step("T03")
        if ran.exit_code:
            conflicts = unmerged_files(git)
            _drop_conflict(operation, git)
            why = (
                f"they conflict in {', '.join(printable(path) for path in conflicts)}"
                if conflicts
                else complaint("\n".join(ran.last_lines[1:]).encode())
            )
            problem = f"your changes of tracked files were not applied again: {why}; they are kept in {name} ({commit})"
            hint = f"Apply them by hand: `git stash apply {name}`, solve what conflicts, then `git stash drop {name}`."
            raise Failed({}, Stopped(Result.FAILED, problem, hint, ran.last_lines))
        there = stashes(git, operation.plan.stash)
    return {"text": "applied again"}


def run_git(operation: Operation, one: Step) -> Fields:
    """Act.GIT: commands of git that change nothing, as the owner of the tree. The last line is what is told."""
    git = Git(operation.directory)
    fields = acts.run_commands(operation, one, account=git.account)
    said = git.ask(*one.commands[-1][1:]).decode(errors="replace").strip().splitlines()
    return {**fields, "text": said[-1].strip() if said else ""}


def state_lines(what: Plan, operation: Operation) -> tuple[str, ...]:
    """Where the tree stands after an operation that may have moved it."""
    try:
        git = Git(operation.directory)
        head = _head(git)
        kept = stashes(git, what.stash)
    except SourceError as error:
        return (f"where the tree stands is not known: {error.problem}",)
    names = {what.commit_from: " (as before)", what.commit_to: " (the new version)"}
    lines = [f"the tree stands at {short(head)}{names.get(head, '')}"]
    lines += [f"local changes are put aside in {name} ({commit}): git stash pop {name}" for name, commit in kept]
    return tuple(lines)


def stashes(git: Git, message: str) -> list[tuple[str, str]]:
    """(`stash@{0}`, its commit) of every stash with this message, newest first."""
    if not message:
        return []
    # Not %gd: with log.date in somebody's settings it shows a date instead of the number.
    lines = git.ask("stash", "list", "--format=%H %gs").decode(errors="replace").splitlines()
    return [
        (f"stash@{{{number}}}", line.partition(" ")[0])
        for number, line in enumerate(lines)
        if line.endswith(f": {message}")
    ]


# --- parts -----------------------------------------------------------------------------------------


def _told(operation: Operation, one: Step, git: Git) -> Fields:
    """The step's commands, as the owner of the tree; a failure says git's own reason."""
    try:
        return acts.run_commands(operation, one, account=git.account)
    except Failed as failed:
        stopped = failed.stopped
        said = complaint("\n".join(stopped.last_lines[1:]).encode())
        problem = f"{one.title}: {said}" if stopped.result is Result.FAILED else stopped.problem
        hint = "Nothing was lost: git refuses rather than overwrite. Look with `git status`."
        raise Failed(failed.fields, Stopped(stopped.result, problem, hint, stopped.last_lines)) from None


def _run(operation: Operation, git: Git, *words: str) -> None:
    command = git.words(*words)
    ran = operation.run_command(command, 60.0, cuttable=False, account=git.account)
    if ran.exit_code:
        said = complaint("\n".join(ran.last_lines[1:]).encode())
        raise Failed({}, Stopped(Result.FAILED, f"{plan.shown(command)}: {said}", "", ran.last_lines))


def _drop_conflict(operation: Operation, git: Git) -> None:
    """Take back a stash that was applied with conflicts: all of it is still in the stash."""
    if unmerged_files(git) and stashes(git, operation.plan.stash):
        _run(operation, git, "reset", "--merge")


def _is_copy(git: Git, one: Step, commit: str) -> bool:
    """Whether every change in the tree is in the stash as it stands; a tree without changes has none to put aside."""
    paths = _pathspecs(one)
    changed = git.run("diff", "--quiet", "HEAD", "--", *paths).returncode != 0
    names = git.ask("diff", "--name-only", "-z", "HEAD", "--", *paths).split(b"\0")[:-1]
    same = git.run("diff", "--quiet", commit, "--", *(f":(top,literal){name}" for name in words_of(names)))
    return changed and same.returncode == 0


def _pathspecs(one: Step) -> tuple[str, ...]:
    """What the step's command is limited to: all but what is never put aside."""
    command = one.commands[0]
    return command[command.index("--") + 1 :] if "--" in command else (":(top)",)


def _where(found: list[tuple[str, str]]) -> str:
    name, commit = found[0]
    return f"kept in {name} ({short(commit)})"


def _head(git: Git) -> str:
    return git.ask("rev-parse", "--verify", "HEAD^{commit}").decode().strip()


ACTS: dict[Act, acts.Act] = {
    Act.PUT_ASIDE: put_aside,
    Act.MOVE_TREE: move_tree,
    Act.PUT_BACK: put_back,
    Act.GIT: run_git,
}
