"""The plan of an update: fetch first, show what comes in, then move the tree forward and deploy.

    first     what runs is recorded when no release has it; safety backup; local changes are put aside; fast-forward
    deploy    preflight, images, release, service after service with its gate, soak: as a deploy has them
    last      local changes are applied again, what changed is shown

The way back of every step from the first change on: the tree to the old commit, the containers to the release before,
the local changes applied again.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from opsconsole.config import Config
from opsconsole.model import SourceError
from opsconsole.operations import deploy_plans, hooks, mounts, next_version, tree_plans
from opsconsole.operations.deploy_look import Known
from opsconsole.operations.deploy_plans import Deployment
from opsconsole.operations.facts import Look
from opsconsole.operations.next_version import NextVersion
from opsconsole.operations.plan import Act, Kind, Plan, Step
from opsconsole.operations.release_making import Configuration
from opsconsole.operations.stack_plans import NothingToDo
from opsconsole.stack import git_changes
from opsconsole.stack.git_changes import Incoming, Tree, short
from opsconsole.stack.git_program import Git
from opsconsole.stack.git_version import GitVersion
from opsconsole.text import mask_text, printable

_HOOKS = ("post-merge", "post-checkout", "post-rewrite")


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """What an update would bring, and what of the tree it leaves alone. Paths are relative to its top."""

    git: Git
    tree: Tree
    change: Incoming
    version: NextVersion
    aside: tuple[str, ...] = ()  # changed files that are put aside
    excluded: tuple[str, ...] = ()  # places with files that git knows and that stay as they are
    message: str = ""  # of the stash
    notes: tuple[str, ...] = ()


def look_ahead(look: Look, config: Config, *, fetch: bool = True) -> Arrival:
    """Fetch and look. Only objects and remote-tracking references are added; no file of the tree is changed.

    Raises NothingToDo when nothing came in, SourceError for everything that stands in the way.
    """
    git = Git(Path(look.directory))
    tree = git_changes.look(git)
    if fetch:
        git_changes.fetch(git, tree)
    change = git_changes.incoming(git, tree)
    if not change.count:
        raise NothingToDo(_up_to_date(tree, change), "`opsconsole deploy` deploys what is there.")
    # What cannot be moved at all is said before what it would bring.
    git_changes.refuse_unsafe(tree, change, tree_plans.kept_places([look], config, git.top))
    version = next_version.read(GitVersion(git, change.target), look, config)
    next_version.refuse_lacking(version)
    kept = tree_plans.kept_places([look, version.look], config, git.top)
    git_changes.refuse_unsafe(tree, change, kept)
    aside = git_changes.to_put_aside(tree, kept)
    return Arrival(
        git=git,
        tree=tree,
        change=change,
        version=version,
        aside=aside,
        excluded=git_changes.with_tracked_files(git, tree, kept),
        message=f"opsconsole-update-{short(change.target)}-{secrets.token_hex(3)}",
        notes=tuple(_notes(look, git, tree, change, version, aside, fetched=fetch)),
    )


def update(
    look: Look,
    config: Config,
    arrival: Arrival,
    known: Known,
    safety: Sequence[Step],
    *,
    memory: Sequence[tuple[str, int]] = (),
) -> Plan:
    """Raises NothingToDo, and SourceError for a hook that cannot be run. `known` is of `arrival.version.look`."""
    git, change = arrival.git, arrival.change
    known = msgspec.structs.replace(known, configurations={**_configurations(look), **known.configurations})
    parts = deploy_plans.deployment(arrival.version.look, config, known, memory=memory, today=look)
    refuse_obstacles(arrival.version.look, parts, "the new version")
    before, after = (make(config, Path(look.directory)) for make in (hooks.before, hooks.after))
    record = [step for step in parts.first if step.act is not Act.PREFLIGHT]
    preflight = [msgspec.structs.replace(step, turns_back=True) for step in parts.first if step.act is Act.PREFLIGHT]
    aside = [tree_plans.put_aside(git, arrival.aside, arrival.excluded, arrival.message)] if arrival.aside else []
    steps = (
        *before,
        *safety,
        *record,
        *aside,
        tree_plans.forward(git, change),
        *preflight,
        *parts.fetch,
        *parts.switch,
        *([tree_plans.put_back(git)] if aside else []),
        tree_plans.show_changes(git, change),
        *after,
    )
    plan = deploy_plans.plan_of(look, config, Kind.UPDATE, parts, steps)
    return msgspec.structs.replace(
        plan,
        way_back=(
            tree_plans.put_aside_again(git, arrival.excluded, arrival.message),
            *([] if parts.way_back else [no_containers(arrival.version.look)]),
            tree_plans.backward(git, change.base),
            *parts.way_back,
            tree_plans.put_back(git),
        ),
        notes=(*arrival.notes, *plan.notes),
        incoming=tuple(_incoming_lines(arrival)),
        keys=tuple(one.words() for one in arrival.version.changes),
        commit_from=change.base,
        commit_to=change.target,
        stash=arrival.message,
    )


def refuse_obstacles(look: Look, parts: Deployment, what: str) -> None:
    """Raises SourceError for what Compose would refuse when it is too late."""
    if lines := mounts.obstacles(look, [one.service for one in parts.changes]):
        raise SourceError(f"{what} cannot be deployed: {'; '.join(lines)}", "Nothing was changed.")


def no_containers(look: Look) -> Step:
    """Where no container was before, none is the way back."""
    return Step(
        id="remove-new",
        title="Remove the containers that it created",
        commands=((*look.compose, "rm", "--stop", "--force"),),
        cuttable=False,
        effect="Volumes stay.",
    )


def _configurations(look: Look) -> dict[str, Configuration]:
    """By config hash, what today's files say of their services: what the containers run, mostly."""
    bodies = look.rendered.raw.get("services") or {}
    return {
        one.config_hash: Configuration(release="", image=one.image, service=bodies[one.name], shared={})
        for one in look.services
        if one.config_hash and one.name in bodies
    }


# --- what an operator should know ------------------------------------------------------------------


def _up_to_date(tree: Tree, change: Incoming) -> str:
    if change.own_count:
        return (
            f"nothing came in: the tree has everything of {printable(tree.upstream)} and "
            f"{change.own_count} commits of its own"
        )
    return f"nothing came in: the tree stands at {short(tree.head)}, as {printable(tree.upstream)} does"


def _incoming_lines(arrival: Arrival) -> Iterator[str]:
    change = arrival.change
    secrets = arrival.version.look.secrets
    yield (
        f"{change.count} {'commit' if change.count == 1 else 'commits'} of {printable(arrival.tree.upstream)}, "
        f"{short(change.base)} -> {short(change.target)}, {len(change.files)} files"
    )
    for one in change.commits:
        yield mask_text(one.words(), secrets)
    if change.count > len(change.commits):
        yield f"... and {change.count - len(change.commits)} older ones"


def _notes(
    look: Look,
    git: Git,
    tree: Tree,
    change: Incoming,
    version: NextVersion,
    aside: Sequence[str],
    *,
    fetched: bool,
) -> Iterator[str]:
    known = git_changes.known_since(git, tree)
    if not fetched:
        since = f"{known:%Y-%m-%d %H:%M} UTC" if known else "some time ago"
        yield f"nothing was fetched: this is what {printable(tree.upstream)} was on {since}"
    if str(git.top) != look.directory:
        yield f"the repository's top is {printable(str(git.top))}: all of it is moved, also what lies beside the stack"
    configuration = [path for path in aside if str(git.top / path) in look.compose_files]
    if configuration:
        yield (
            f"your changes of {_some(configuration)} are not in what is deployed; they are applied again afterwards "
            "and take effect with the next deploy"
        )
    if both := sorted({one.path for one in change.files}.intersection(aside)):
        yield f"changed here and by the update, may conflict when yours are applied again: {_some(both)}"
    if stays := [path for path in tree.changed if path not in aside]:
        yield f"in git and changed here, stays as it is: {_some(stays)}"
    if version.in_example:
        yield (
            f"new in the example of the env file and not in {printable(version.env_file)}: "
            f"{', '.join(version.in_example)}"
        )
    place = git.top / git.line("rev-parse", "--git-common-dir") / "hooks"
    if found := [name for name in _HOOKS if os.access(place / name, os.X_OK)]:
        yield f"hooks of the repository are not run: {', '.join(found)}"


def _some(names: Sequence[str]) -> str:
    shown = [printable(name) for name in names[:4]]
    return ", ".join(shown) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
