"""The stack as another version would have it: its configuration, what differs, and what the env file lacks.

Nothing is changed for it: the version's configuration files are laid out in a private directory and read by Compose.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from opsconsole.config import Config
from opsconsole.model import SourceError
from opsconsole.operations import compose_changes, facts, preflight
from opsconsole.operations.compose_changes import Change
from opsconsole.operations.facts import Look
from opsconsole.operations.ground import Ground
from opsconsole.operations.places import state_directory
from opsconsole.stack import compose, envfile, files, places, plain_file
from opsconsole.stack.compose import ComposeCommand, ComposeFiles
from opsconsole.stack.copies import Copy, Version, copied
from opsconsole.stack.files import Choice
from opsconsole.stack.rendered import Rendered
from opsconsole.text import printable

EXAMPLES = (".env.example", ".env.production.example", ".env.sample", ".env.template", "env.example")


class NextVersion(msgspec.Struct, frozen=True, kw_only=True):
    """`look` is the stack with the version's configuration; its facts are those of today."""

    look: Look
    changes: tuple[Change, ...] = ()
    lacking: tuple[str, ...] = ()  # variables that its compose files need and nothing sets, or sets to nothing
    in_example: tuple[str, ...] = ()  # names that came into the example of the env file and that nothing sets
    env_file: str = ""  # where to add them, relative to the stack's directory
    brought: dict[str, str] = {}  # path -> SHA-256 of each file that was read from the version

    def __repr__(self) -> str:
        return f"NextVersion({self.look.name})"


def read(
    version: Version, look: Look, config: Config, *, compose_files: Sequence[str] = (), what: str = "the new version"
) -> NextVersion:
    """Lay out and read another version. Raises SourceError when it has no compose file, or one that cannot be read.

    `compose_files` are those of the version where that is known; `what` is what errors call it.
    """
    return _Reader(look, config, what).read(version, compose_files)


def refuse_lacking(version: NextVersion, what: str = "the new version") -> None:
    """Raises SourceError with the names of the variables that have to be set first, and where."""
    if version.lacking:
        raise _lacks(what, version.lacking, version.env_file)


class _Reader:
    """What reading needs of today's stack."""

    def __init__(self, look: Look, config: Config, what: str) -> None:
        self.what = what
        command = compose.find()
        if command is None:
            raise SourceError("Docker Compose is not installed on this host", compose.NO_COMPOSE_HINT)
        self.command: ComposeCommand = command
        self.look = look
        self.config = config
        self.base = str(Path(look.compose_files[0]).parent)
        self.choice: Choice = files.choose(Path(look.directory), config, look.containers, os.environ, project=look.name)
        usual = str(Path(self.base, ".env"))
        self.env_files = look.env_files or (usual,)  # what Compose takes when it is given none
        self.env_file = os.path.relpath(self.env_files[-1], look.directory)
        self.variables = _variables(self.env_files)

    def read(self, version: Version, compose_files: Sequence[str]) -> NextVersion:
        starts = (
            *(compose_files or self.look.compose_files),
            *self.env_files,
            *(str(Path(self.base, name)) for name in EXAMPLES),
        )
        parent = state_directory(Path(self.look.directory))
        with copied(version, starts, directory=self.base, variables=self.variables, parent=parent) as copy:
            found = self._read(copy, compose_files or self._compose_files(copy))
        return msgspec.structs.replace(
            found, look=msgspec.structs.replace(found.look, ground=_ground(found.look, version))
        )

    def _read(self, copy: Copy, new_files: Sequence[str]) -> NextVersion:
        variables = _variables([self._in(copy, file) for file in self.env_files])
        needed = _needed([copy.at(file) for file in new_files], variables)
        rendered = self._render(copy, new_files, needed)
        look = facts.with_files(self.look, self.config, rendered, new_files, {**self.choice.env.values, **variables})
        texts = [Path(copy.at(file)).read_text("utf-8-sig", "replace") for file in new_files]
        empty = [name for name in preflight.required(texts) if variables.get(name) == ""]
        return NextVersion(
            look=msgspec.structs.replace(look, outside_binds=self._outside_binds(copy, new_files, variables)),
            changes=compose_changes.changes(self.look.rendered.raw, rendered.raw, look.secrets),
            lacking=tuple(sorted({*needed, *empty, *rendered.missing_variables})),
            in_example=self._in_example(copy),
            env_file=self.env_file,
            brought=dict(copy.brought),
        )

    def _render(self, copy: Copy, new_files: Sequence[str], lacking: Sequence[str]) -> Rendered:
        wanted = ComposeFiles(
            directory=copy.at(str(Path(new_files[0]).parent)),
            files=tuple(copy.at(file) for file in new_files),
            project=self.look.name,
            env_files=tuple(self._in(copy, file) for file in self.look.env_files),
        )
        try:
            return compose.render_copy(self.command, wanted, str(copy.root))
        except SourceError as error:
            if lacking:  # `${NAME:?}`: Compose stops at the first one
                raise _lacks(self.what, lacking, self.env_file) from None
            raise SourceError(
                f"{self.what} cannot be deployed: {error.problem}",
                "Nothing was changed. It has to be mended where it comes from.",
            ) from None

    def _compose_files(self, copy: Copy) -> tuple[str, ...]:
        """Those that are used now, if the commit has them; else what would be found in its directory."""
        if all(copy.has(file) for file in self.look.compose_files):
            return self.look.compose_files
        directory = self.look.directory
        copy.add(str(Path(directory, name)) for name in copy.names(directory) if name.endswith((".yml", ".yaml")))
        place = Path(copy.at(directory))
        found = files.choose(place, self.config, (), os.environ, project=self.look.name).compose_files
        real = tuple(file.removeprefix(str(copy.root)) for file in found)
        if absent := [file for file in real or self.look.compose_files if not copy.has(file)]:
            names = ", ".join(printable(os.path.relpath(file, directory)) for file in absent)
            raise SourceError(
                f"{self.what} has no compose file {names}",
                "Nothing was changed. Say in opsconsole.toml which ones it has: [stack] compose_files.",
            )
        return real

    def _in(self, copy: Copy, file: str) -> str:
        return copy.at(file) if copy.has(file) else file

    def _in_example(self, copy: Copy) -> tuple[str, ...]:
        known = {**self.choice.env.values, **self.variables}
        found: dict[str, None] = {}
        for name in EXAMPLES:
            path = str(Path(self.base, name))
            if copy.has(path):
                before = envfile.read(path, {}).values if os.path.isfile(path) else {}
                after = envfile.read(copy.at(path), {}).values
                found |= dict.fromkeys(key for key in after if key not in before and key not in known)
        return tuple(found)

    def _outside_binds(self, copy: Copy, new_files: Sequence[str], variables: Mapping[str, str]) -> tuple[str, ...]:
        """Compose's own rendering no longer tells how a path was written."""
        try:
            plain = plain_file.read(
                [copy.at(file) for file in new_files],
                project=self.look.name,
                directory=self.base,
                variables=variables,
            )
        except SourceError:
            return ()
        return places.outside_binds(plain.services.values(), self.base)


def _ground(look: Look, version: Version) -> dict[str, Ground]:
    """What lies at the sources of mounts once the version's own files are there."""
    ground = dict(look.ground)
    for path, lies in look.ground.items():
        if version.takes_away(path):
            ground[path] = Ground.MISSING
        elif lies in (Ground.MISSING, Ground.EMPTY) and version.is_directory(path):
            ground[path] = Ground.FILLED
        elif lies is Ground.MISSING and version.content(path) is not None:
            ground[path] = Ground.FILE
    return ground


def _needed(compose_files: Sequence[str], variables: Mapping[str, str]) -> tuple[str, ...]:
    try:
        return plain_file.missing_variables(compose_files, variables)
    except SourceError:
        return ()  # Compose says what is wrong with it


def _variables(env_files: Sequence[str]) -> dict[str, str]:
    """What Compose fills `${NAME}` from: a later env file wins, and the environment wins over all."""
    values: dict[str, str] = {}
    for file in env_files:
        values |= envfile.read(file).values
    return {**values, **os.environ}


def _lacks(what: str, names: Sequence[str], env_file: str) -> SourceError:
    return SourceError(
        f"{what} needs variables that nothing sets, or that are empty: {', '.join(sorted(names))}",
        f"Nothing was changed. Add them to {printable(env_file)} and look again.",
    )
