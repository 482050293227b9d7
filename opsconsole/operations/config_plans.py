"""The plan of `rollback config`: the compose and env files of a release or of a commit, with the images of now.

Nothing is pulled or built, and the tree stays at its commit. What is there before is kept byte for byte, and comes
back when the services do not get well with the old configuration.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from opsconsole.config import Config
from opsconsole.model import SourceError
from opsconsole.operations import deploy_plans, hooks, next_version, releases, update_plans
from opsconsole.operations.deploy_look import Known
from opsconsole.operations.deploy_plans import Deployment
from opsconsole.operations.facts import Look
from opsconsole.operations.next_version import NextVersion
from opsconsole.operations.orders import NewFile
from opsconsole.operations.plan import Act, IfFails, Kind, Plan, Step
from opsconsole.operations.releases import Release
from opsconsole.operations.stack_plans import NothingToDo
from opsconsole.stack.copies import KeptFiles
from opsconsole.stack.git_changes import short
from opsconsole.stack.git_program import Git
from opsconsole.stack.git_version import GitVersion
from opsconsole.text import printable


class Restoration(msgspec.Struct, frozen=True, kw_only=True):
    """The configuration to go back to. `origin` names it: "r2", "the commit 1a2b3c4"."""

    origin: str
    version: NextVersion
    files: tuple[NewFile, ...]
    notes: tuple[str, ...] = ()


def look_back(look: Look, config: Config, *, to: str = "", commit: str = "") -> Restoration:
    """Find the files and read them as a configuration. Without a name: of the newest good release that differs.

    Raises NothingToDo when the files are as they are wanted, SourceError when that version cannot be had.
    """
    return _of_commit(look, config, commit) if commit else _of_release(look, config, to)


def rollback(
    look: Look,
    config: Config,
    restoration: Restoration,
    known: Known,
    safety: Sequence[Step],
    *,
    memory: Sequence[tuple[str, int]] = (),
) -> Plan:
    """Raises SourceError when an image is not here. `known` is of `restoration.version.look`."""
    then = restoration.version.look
    parts = deploy_plans.deployment(then, config, known, memory=memory, today=look)
    _refuse_absent(restoration, parts, known)
    update_plans.refuse_obstacles(then, parts, f"the configuration of {restoration.origin}")
    before, after = (make(config, Path(look.directory)) for make in (hooks.before, hooks.after))
    record = [step for step in parts.first if step.act is not Act.PREFLIGHT]
    preflight = [msgspec.structs.replace(step, turns_back=True) for step in parts.first if step.act is Act.PREFLIGHT]
    steps = (*before, *safety, *record, _restore(restoration), *preflight, *parts.switch, *after)
    plan = deploy_plans.plan_of(look, config, Kind.ROLLBACK, parts, steps)
    return msgspec.structs.replace(
        plan,
        way_back=(*([] if parts.way_back else [update_plans.no_containers(then)]), _files_back(), *parts.way_back),
        notes=(*restoration.notes, *plan.notes),
        keys=tuple(one.words() for one in restoration.version.changes),
        files=restoration.files,
    )


# --- where the files come from ---------------------------------------------------------------------


def _of_release(look: Look, config: Config, to: str) -> Restoration:
    directory = Path(look.directory)
    release = _chosen(directory, look, to)
    home = releases.place(directory, release.name)
    contents = {}
    for kept in release.files:
        try:
            data = (home / kept.stored).read_bytes()
        except OSError as error:
            raise SourceError(f"{kept.path} of {release.name} cannot be read: {error.strerror}") from None
        if hashlib.sha256(data).hexdigest() != kept.sha256:
            raise SourceError(f"{kept.path} of {release.name} was changed after it was kept", "Choose another release.")
        contents[os.path.normpath(directory / kept.path)] = data
    compose_files = tuple(os.path.normpath(directory / kept.path) for kept in release.files if not kept.env)
    if not compose_files:
        raise SourceError(f"{release.name} kept no compose file", "Choose another one: `opsconsole releases`.")
    gone = [path for path in look.compose_files if path not in compose_files]
    what = f"the configuration of {release.name}"
    version = next_version.read(KeptFiles(contents, gone), look, config, compose_files=compose_files, what=what)
    next_version.refuse_lacking(version, what)
    files = [
        NewFile(path=kept.path, sha256=kept.sha256, release=release.name, stored=kept.stored)
        for kept in release.files
        if kept.sha256 != _digest(directory / kept.path)
    ]
    files += [NewFile(path=os.path.relpath(path, directory), release=release.name) for path in gone]
    if not files:
        raise NothingToDo(
            f"the compose and env files are as {release.name} has them", "`opsconsole releases` lists the others."
        )
    return Restoration(origin=release.name, version=version, files=tuple(files))


def _chosen(directory: Path, look: Look, to: str) -> Release:
    kept = releases.all_releases(directory)
    if to:
        chosen = releases.read(directory, to if to.startswith("r") else f"r{to}")
        if not chosen.returnable:
            raise SourceError(f"{chosen.name} did not pass its gate", "See `opsconsole releases` for the good ones.")
        return chosen
    for release in reversed(kept):
        if release.returnable and any(one.sha256 != _digest(directory / one.path) for one in release.files):
            return release
    if any(release.returnable for release in kept):
        raise NothingToDo("the compose and env files are as every kept release has them", "Name a commit: --commit ID.")
    raise SourceError("no release is kept yet", "Each deploy that is good keeps one; or name a commit: --commit ID.")


def _of_commit(look: Look, config: Config, commit: str) -> Restoration:
    directory = Path(look.directory)
    git = Git(directory)
    whole = git.line("rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}^{{commit}}")
    if not whole:
        raise SourceError(f"no commit {printable(commit)} in this repository", "See `git log --oneline`.")
    what = f"the configuration of {short(whole)}"
    source = GitVersion(git, whole, partly=True)
    version = next_version.read(source, look, config, what=what)
    next_version.refuse_lacking(version, what)
    files = [
        NewFile(path=os.path.relpath(path, directory), sha256=digest, commit=whole, stored=source.blob(path))
        for path, digest in sorted(version.brought.items())
        if digest != _digest(Path(path))
    ]
    gone = [path for path in look.compose_files if path not in version.look.compose_files and source.takes_away(path)]
    files += [NewFile(path=os.path.relpath(path, directory), commit=whole) for path in gone]
    if not files:
        raise NothingToDo(f"the compose and env files are as {short(whole)} has them")
    names = " ".join(file.path for file in files)
    note = f"the commit stays: git will show {names} as changed; `git checkout HEAD -- {names}` takes them back"
    return Restoration(origin=f"the commit {short(whole)}", version=version, files=tuple(files), notes=(note,))


# --- steps -----------------------------------------------------------------------------------------


def _restore(restoration: Restoration) -> Step:
    return Step(
        id="restore-files",
        title=f"Put the files of {restoration.origin} in place: {', '.join(_file_words(restoration.files))}",
        act=Act.RESTORE_FILES,
        cuttable=False,
        effect="Those that are there are kept in the operation's directory first, with owner and mode.",
        turns_back=True,
    )


def _files_back() -> Step:
    return Step(
        id="files-back",
        title="Put the files back as they were",
        act=Act.FILES_BACK,
        cuttable=False,
        effect="Byte for byte, with owner and mode.",
        if_fails=IfFails.GOES_ON,
    )


def _file_words(files: Sequence[NewFile]) -> Iterator[str]:
    for file in files:
        yield printable(file.path) if file.sha256 else f"{printable(file.path)} (goes)"


def _refuse_absent(restoration: Restoration, parts: Deployment, known: Known) -> None:
    moved = {one.service for one in parts.changes}
    absent = sorted(
        {one.image for one in restoration.version.look.services if one.name in moved and one.image not in known.images}
    )
    if absent:
        raise SourceError(
            f"{restoration.origin} names images that are not on this engine: {', '.join(absent)}",
            "Nothing was changed. `docker pull` them, or go back with the images: `opsconsole rollback "
            "previous-image --to rN`.",
        )


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""
