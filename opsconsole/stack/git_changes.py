"""What an update of the stack's working tree would bring: where it stands, what comes in, what stands in the way.

A fetch only adds objects and moves remote-tracking references. Nothing here changes a file of the tree.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from opsconsole.model import Record, SourceError
from opsconsole.stack.git_program import FETCH_SECONDS, Git, complaint, userinfo, without_questions, words_of
from opsconsole.text import printable

MOST_COMMITS = 50
ASK_SECONDS = 45.0
_NO_SUCH_REF = 2  # exit code of ls-remote
_GITLINK = "160000"
_SHORT = 7
_IN_THE_MIDDLE = (
    ("MERGE_HEAD", "a merge", "`git merge --abort`"),
    ("rebase-merge", "a rebase", "`git rebase --abort`"),
    ("rebase-apply", "a rebase", "`git rebase --abort`"),
    ("CHERRY_PICK_HEAD", "a cherry-pick", "`git cherry-pick --abort`"),
    ("REVERT_HEAD", "a revert", "`git revert --abort`"),
    ("BISECT_LOG", "a bisect", "`git bisect reset`"),
)


class Tree(Record, frozen=True):
    """Where a working tree stands."""

    top: str
    head: str  # whole id
    branch: str
    remote: str  # "origin"; "." when it follows a branch of its own repository
    remote_ref: str  # refs/heads/main
    tracking: str  # refs/remotes/origin/main
    changed: tuple[str, ...] = ()  # tracked files with changes of somebody here, relative to the top
    shallow: bool = False

    @property
    def upstream(self) -> str:
        return self.tracking.removeprefix("refs/remotes/").removeprefix("refs/heads/")


class Commit(Record, frozen=True):
    id: str  # whole
    at: datetime
    author: str
    subject: str

    def words(self) -> str:
        return f"{short(self.id)}  {self.at:%Y-%m-%d}  {self.author}: {self.subject}"


class FileChange(Record, frozen=True):
    """A tracked path that an update changes. `status` is A(dded), D(eleted), M(odified) or T(ype)."""

    path: str  # relative to the top
    status: str
    submodule: bool = False


class Incoming(Record, frozen=True):
    """From the commit that is checked out to the one that was fetched."""

    base: str
    target: str
    count: int = 0
    commits: tuple[Commit, ...] = ()  # newest first, MOST_COMMITS at most
    own_count: int = 0
    own: tuple[Commit, ...] = ()  # commits that only this tree has
    files: tuple[FileChange, ...] = ()


def look(git: Git) -> Tree:
    """Where the tree stands. Raises SourceError, with what to do, for a tree that cannot be updated."""
    _no_half_done_work(git)
    head = git.line("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    reference = git.line("symbolic-ref", "--quiet", "HEAD")
    if not head:
        git.ask("rev-parse", "--git-dir")  # a tree that git refuses says so here
        raise SourceError("the repository has no commit yet", "There is nothing to update from.")
    if not reference:
        raise SourceError(
            f"no branch is checked out: the tree stands at the commit {short(head)} (detached HEAD)",
            "Choose a branch: `git switch main`; or deploy what is there: `opsconsole deploy`.",
        )
    branch = reference.removeprefix("refs/heads/")
    form = "%(upstream)%00%(upstream:remotename)%00%(upstream:remoteref)"
    found = git.line("for-each-ref", f"--format={form}", reference).split("\0")
    tracking, remote, remote_ref = found if len(found) == 3 else ("", "", "")
    if not tracking or not remote:
        raise SourceError(
            f"the branch {printable(branch)} follows no branch of a remote",
            f"Say which: `git branch --set-upstream-to=origin/{printable(branch)}`.",
        )
    return Tree(
        top=str(git.top),
        head=head,
        branch=branch,
        remote=remote,
        remote_ref=remote_ref,
        tracking=tracking,
        changed=changed_files(git),
        shallow=git.line("rev-parse", "--is-shallow-repository") == "true",
    )


def changed_files(git: Git) -> tuple[str, ...]:
    """Tracked files that differ from the commit, staged or not."""
    asked = ("status", "--porcelain=v1", "-z", "--untracked-files=no", "--ignore-submodules=dirty", "--no-renames")
    entries = git.ask(*asked).split(b"\0")
    return words_of([entry[3:] for entry in entries if len(entry) > 3])


def unmerged_files(git: Git) -> tuple[str, ...]:
    """Files in conflict, relative to the top."""
    lines = git.ask("ls-files", "--unmerged", "-z", "--full-name", ":(top)").split(b"\0")
    return words_of(list(dict.fromkeys(line.partition(b"\t")[2] for line in lines if line)))


def fetch(git: Git, tree: Tree) -> None:
    """Bring the objects of the branch that the tree follows. Raises SourceError when the remote does not answer."""
    if tree.remote == ".":
        return
    quietly = without_questions(git)
    # Asked first: a fetch that fails empties FETCH_HEAD, and with it goes when the last one was.
    done = git.run("ls-remote", "--exit-code", tree.remote, tree.remote_ref, seconds=ASK_SECONDS, environment=quietly)
    secrets = userinfo(git.line("remote", "get-url", tree.remote))
    if done.returncode == 0:
        words = ("fetch", "--no-recurse-submodules", tree.remote, tree.remote_ref)
        done = git.run(*words, seconds=FETCH_SECONDS, environment=quietly)
        if done.returncode:
            raise SourceError(
                f"{tree.remote} answers, and the fetch failed: {complaint(done.stderr, secrets)}; nothing was changed",
                "Try `git fetch` by hand; whoever runs opsconsole must be able to write to .git.",
            )
        return
    if done.returncode == _NO_SUCH_REF and not done.stderr.strip():
        raise SourceError(
            f"{tree.remote} has no branch {printable(tree.remote_ref.removeprefix('refs/heads/'))} (any more)",
            "Follow another one: `git branch --set-upstream-to=origin/NAME`.",
        )
    known = known_since(git, tree)
    since = f"{known:%Y-%m-%d %H:%M} UTC" if known else "not known"
    raise SourceError(
        f"{tree.remote} cannot be reached: {complaint(done.stderr, secrets)}; nothing was changed",
        f"The last fetch: {since}. Try `git fetch` by hand, or update to what was fetched then: "
        "`opsconsole update --no-fetch`.",
    )


def known_since(git: Git, tree: Tree) -> datetime | None:
    """When something was last heard of the remote, as far as the repository tells."""
    times = []
    if moved := git.line("log", "--walk-reflogs", "-1", "--date=unix", "--format=%gd", tree.tracking, "--"):
        times.append(moved.rpartition("{")[2].rstrip("}"))
    fetched = Path(git.line("rev-parse", "--git-path", "FETCH_HEAD"))
    try:
        found = (git.top / fetched).stat()
        if found.st_size:
            times.append(str(int(found.st_mtime)))
    except OSError:
        pass
    seconds = [int(one) for one in times if one.isdigit()]
    return datetime.fromtimestamp(max(seconds), UTC) if seconds else None


def incoming(git: Git, tree: Tree) -> Incoming:
    """What lies between the tree and the branch that it follows, as it was fetched last. Raises SourceError."""
    target = git.line("rev-parse", "--verify", "--quiet", f"{tree.tracking}^{{commit}}")
    if not target:
        raise SourceError(f"{printable(tree.upstream)} was never fetched", "Look with `git fetch`.")
    counted = git.ask("rev-list", "--left-right", "--count", f"{tree.head}...{target}").decode().split()
    own_count, count = int(counted[0]), int(counted[1])
    return Incoming(
        base=tree.head,
        target=target,
        count=count,
        commits=_commits(git, f"{tree.head}..{target}"),
        own_count=own_count,
        own=_commits(git, f"{target}..{tree.head}") if own_count else (),
        files=files_between(git, tree.head, target),
    )


def files_between(git: Git, base: str, target: str) -> tuple[FileChange, ...]:
    """The paths that differ between two commits."""
    parts = git.ask("diff-tree", "-r", "--raw", "-z", "--no-renames", base, target).split(b"\0")
    found = []
    for described, path in zip(parts[::2], parts[1::2], strict=False):
        before, after, *_, status = described.decode("ascii", "replace").lstrip(":").split(" ")
        found.append(FileChange(path=os.fsdecode(path), status=status[:1], submodule=_GITLINK in (before, after)))
    return tuple(found)


def refuse_unsafe(tree: Tree, change: Incoming, kept: Sequence[str]) -> None:
    """Raises SourceError for what a fast-forward cannot or must not do. `kept` are paths whose content is data or
    secrets (env files, directories that the stack writes to), relative to the top: an update never takes them away.
    """
    _refuse_diverged(tree, change)
    if moved := [one.path for one in change.files if one.submodule]:
        raise SourceError(
            f"the update moves submodules, which are not followed here: {_some(moved)}",
            "Update by hand: `git merge --ff-only` and `git submodule update --init`, then `opsconsole deploy`.",
        )
    if there := _in_the_way(tree, change):
        raise SourceError(
            f"the update brings files that are here already and not in git: {_some(there)}",
            "Nothing was changed. Move them away, or add them to git as they are, and look again.",
        )
    taken = [one.path for one in change.files if one.status == "D" and is_within(one.path, kept)]
    if taken:
        raise SourceError(
            f"the update would delete what the stack keeps here: {_some(taken)}",
            f"Nothing was changed. Copy them away, run `git merge --ff-only {short(change.target)}`, copy them back "
            "and run `opsconsole deploy`.",
        )
    touched = {one.path for one in change.files}
    if both := [path for path in tree.changed if path in touched and is_within(path, kept)]:
        raise SourceError(
            f"changed here and by the update, and never put aside: {_some(both)}",
            f"Nothing was changed. Look with `git diff HEAD {short(change.target)} -- FILE`; make them as the new "
            "version has them (keep a copy of yours) and look again.",
        )


def to_put_aside(tree: Tree, kept: Sequence[str]) -> tuple[str, ...]:
    """The changed files that an update puts aside: none that is data or an env file."""
    return tuple(path for path in tree.changed if not is_within(path, kept))


def with_tracked_files(git: Git, tree: Tree, places: Sequence[str]) -> tuple[str, ...]:
    """Those of the places that hold files which git knows."""
    if not places:
        return ()
    listed = git.ask("ls-files", "-z", "--full-name", "--", *(f":(top,literal){place}" for place in places))
    known = (*words_of(listed.split(b"\0")), *tree.changed)
    return tuple(place for place in places if any(is_within(path, [place]) for path in known))


def is_within(path: str, places: Sequence[str]) -> bool:
    return any(path == place or path.startswith(f"{place.rstrip('/')}/") for place in places)


def commits_of(directory: Path, files: Sequence[str]) -> tuple[Commit, ...]:
    """The newest commits of the branch that changed one of these files; where none of them is in the tree, those of
    the directory. Raises SourceError without git, a tree or a commit."""
    git = Git(directory)
    within = [os.path.relpath(file, git.top) for file in files if Path(file).is_relative_to(git.top)]
    paths = within or [os.path.relpath(directory, git.top)]
    return _commits(git, "HEAD", *(f":(literal){path}" for path in paths))


def short(commit: str) -> str:
    return commit[:_SHORT]


# --- helpers of the look -----------------------------------------------------------------------------


def _no_half_done_work(git: Git) -> None:
    own = git.line("rev-parse", "--absolute-git-dir")
    for name, what, way_out in _IN_THE_MIDDLE:
        if own and os.path.lexists(Path(own, name)):
            raise SourceError(
                f"{what} is under way in {printable(str(git.top))}", f"End it first, or drop it: {way_out}."
            )
    if conflicts := unmerged_files(git):
        raise SourceError(
            f"files are in conflict: {_some(conflicts)}",
            "Solve it by hand: see `git status`; `git checkout HEAD -- FILE` takes the committed one.",
        )


def _refuse_diverged(tree: Tree, change: Incoming) -> None:
    if not (change.own_count and change.count):
        return
    if tree.shallow:
        raise SourceError(
            f"this clone is shallow and does not reach the commit that {printable(tree.upstream)} grew from",
            "Get the whole history: `git fetch --unshallow`, and look again.",
        )
    own = "; ".join(one.words() for one in change.own[:3])
    more = f" and {change.own_count - 3} more" if change.own_count > 3 else ""
    raise SourceError(
        f"the history has diverged: {change.own_count} commits are only here ({own}{more}), "
        f"{change.count} only in {printable(tree.upstream)}; nothing was changed",
        f"Keep yours: `git rebase {printable(tree.upstream)}`, look at the result, then `opsconsole deploy`. "
        f"Give them up, with a branch that remembers them: `git branch kept && git reset --keep "
        f"{printable(tree.upstream)}`.",
    )


def _in_the_way(tree: Tree, change: Incoming) -> list[str]:
    """Paths that the update adds and that exist here: git overwrites those it ignores without a word."""
    found = []
    gone = {one.path for one in change.files if one.status == "D"}
    for one in change.files:
        if one.status != "A":
            continue
        parents = [str(parent) for parent in Path(one.path).parents][:-1]
        blocking = [parent for parent in parents if _is_no_directory(Path(tree.top, parent)) and parent not in gone]
        if blocking:
            found.append(blocking[0])
        elif os.path.lexists(Path(tree.top, one.path)) and not _only_leaves(tree, one.path, gone):
            found.append(one.path)
    return list(dict.fromkeys(found))


def _is_no_directory(path: Path) -> bool:
    return os.path.lexists(path) and (path.is_symlink() or not path.is_dir())


def _only_leaves(tree: Tree, path: str, gone: set[str]) -> bool:
    """A directory that becomes a file is no obstacle when all that it holds is deleted by the same update."""
    place = Path(tree.top, path)
    if place.is_symlink() or not place.is_dir():
        return False
    held = [os.path.relpath(Path(root, name), tree.top) for root, _, names in os.walk(place) for name in names]
    return all(name in gone for name in held)


def _commits(git: Git, between: str, *paths: str) -> tuple[Commit, ...]:
    form = "%H%x00%ct%x00%an%x00%s%x00"
    text = git.ask(
        "log",
        f"--max-count={MOST_COMMITS}",
        f"--format={form}",
        "--no-show-signature",
        "--encoding=UTF-8",
        between,
        "--",
        *paths,
    )
    fields = text.decode(errors="replace").split("\0")
    return tuple(
        Commit(
            id=fields[at].strip(),
            at=datetime.fromtimestamp(int(fields[at + 1]), UTC),
            author=printable(fields[at + 2]),
            subject=printable(fields[at + 3]),
        )
        for at in range(0, len(fields) - 4, 4)
    )


def _some(names: Sequence[str]) -> str:
    shown = [printable(os.fsencode(name).decode(errors="replace")) for name in names[:6]]
    return ", ".join(shown) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
