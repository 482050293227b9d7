"""The steps of an update on the stack's working tree, and what of the tree they never touch. Pure but for the paths."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from opsconsole.config import Config
from opsconsole.operations.facts import Look
from opsconsole.operations.plan import Act, IfFails, Step
from opsconsole.roles import data_path
from opsconsole.stack import envfile, places
from opsconsole.stack.git_changes import Incoming, short
from opsconsole.stack.git_program import Git
from opsconsole.stack.rendered import ServiceConfig
from opsconsole.text import printable

SECONDS = 300.0


def kept_places(looks: Sequence[Look], config: Config, top: Path) -> tuple[str, ...]:
    """What holds data or secrets, relative to the top of the tree: env files, secret files, directories that the
    stack writes data to, backups. An update neither puts them aside nor takes them away."""
    found: list[str] = [str(Path(top, ".opsconsole"))]
    for look in looks:
        directory = Path(look.directory)
        compose = {os.path.relpath(file, directory) for file in look.compose_files}
        found += [str(directory / name) for name in (*envfile.CANDIDATES, ".opsconsole")]
        found += [*look.env_files, *(str(directory / name) for name in look.facts.files if name not in compose)]
        found += look.rendered.secret_files.values()
        backups = places.backup_directory(directory, look.name, {}, config)
        found.append(backups)
        found += _written(look.rendered.services.values(), backups)
        found += places.data_directories(look.rendered.services.values(), directory, backups, config)
    inside = [os.path.relpath(os.path.normpath(path), top) for path in found]
    return tuple(dict.fromkeys(path for path in inside if path != "." and not path.startswith("../")))


def _written(services: Iterable[ServiceConfig], backups: str) -> Iterable[str]:
    """Where databases keep their data, and whatever else looks like data."""
    for service in services:
        for mount in service.mounts:
            data = data_path(service.role, mount.destination)
            looks_like_data = data or places.holds_data(mount.source, mount.destination, backups)
            if mount.kind == "bind" and not mount.read_only and looks_like_data:
                yield mount.source


def put_aside(git: Git, changed: Sequence[str], kept: Sequence[str], message: str) -> Step:
    """Changes of tracked files into a stash. `kept` are the places that stay as they are."""
    some = [printable(path) for path in changed[:3]]
    more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
    return Step(
        id="put-aside",
        title=f"Put local changes of tracked files aside: {', '.join(some)}{more}",
        act=Act.PUT_ASIDE,
        commands=(_stash(git, kept, message),),
        cuttable=False,
        effect="Files that git does not know, env files and data stay where they are.",
        seconds=SECONDS,
        turns_back=True,
    )


def put_aside_again(git: Git, kept: Sequence[str], message: str) -> Step:
    """Before the tree goes back: what a build or a hook has written, or what was applied again already."""
    return Step(
        id="put-aside-again",
        title="Put aside what was written into tracked files since",
        act=Act.PUT_ASIDE,
        commands=(_stash(git, kept, message),),
        cuttable=False,
        seconds=SECONDS,
        if_fails=IfFails.GOES_ON,
    )


def _stash(git: Git, kept: Sequence[str], message: str) -> tuple[str, ...]:
    command = git.words("stash", "push", "--message", message)
    return (*command, "--", ":(top)", *(f":(top,exclude,literal){place}" for place in kept)) if kept else command


def forward(git: Git, change: Incoming) -> Step:
    # --no-overwrite-ignore: git would replace a file that it ignores without a word.
    command = git.words("merge", "--ff-only", "--no-overwrite-ignore", change.target)
    return Step(
        id="forward",
        title=f"Move the tree forward to {short(change.target)} (fast-forward only)",
        act=Act.MOVE_TREE,
        commands=(command,),
        cuttable=False,
        seconds=SECONDS,
        turns_back=True,
    )


def backward(git: Git, commit: str) -> Step:
    """Never `--hard`: where it would lose a change, git refuses. The containers have their turn all the same."""
    return Step(
        id="backward",
        title=f"Move the tree back to {short(commit)}",
        act=Act.MOVE_TREE,
        commands=(git.words("reset", "--keep", commit),),
        cuttable=False,
        seconds=SECONDS,
        if_fails=IfFails.GOES_ON,
    )


def put_back(git: Git) -> Step:
    return Step(
        id="put-back",
        title="Apply the local changes again",
        act=Act.PUT_BACK,
        commands=(git.words("stash", "pop", "stash@{0}"),),
        cuttable=False,
        effect="What conflicts stays in its stash and is named; the tree stays as the commit has it.",
        seconds=SECONDS,
        if_fails=IfFails.IS_TOLD,
    )


def show_changes(git: Git, change: Incoming) -> Step:
    between = f"{change.base}..{change.target}"
    return Step(
        id="changes",
        title="Show what changed",
        act=Act.GIT,
        commands=(
            git.words("log", "--oneline", "--no-decorate", "--no-show-signature", between),
            git.words("diff", "--stat", "--no-ext-diff", "--no-textconv", between),
        ),
        seconds=60.0,
        if_fails=IfFails.IS_TOLD,
    )
