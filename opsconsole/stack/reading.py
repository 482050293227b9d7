"""Reads the stack's compose files with whatever this host has, and knows when it has to be done again."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Hashable, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from opsconsole.model import SourceError
from opsconsole.stack import compose, envfile, places, plain_file
from opsconsole.stack.compose import ComposeCommand, ComposeFiles
from opsconsole.stack.files import Choice
from opsconsole.stack.rendered import Rendered

RETRY_SECONDS = 30.0
"""After a failure that no change of a file mends (a timeout, no Compose): how long until it is tried again."""

NO_COMPOSE = "Docker Compose is not installed: the compose file is read without it, includes and drift are not known"

Hashes = Mapping[str, frozenset[str]]
"""Service -> config hashes that its containers carry."""


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What the files say at one moment."""

    rendered: Rendered = Rendered(by="nothing")
    command: ComposeCommand | None = None
    problems: tuple[str, ...] = ()  # one line each
    outside_binds: tuple[str, ...] = ()


class FileReader:
    """Reads on demand and keeps the answer until one of the files that were read changes."""

    def __init__(self, environment: Mapping[str, str], clock: Callable[[], float] = time.monotonic) -> None:
        self._environment = environment
        self._clock = clock
        self._command: ComposeCommand | None = None
        self._reading: Reading | None = None
        self._key: Hashable = None
        self._also_read: tuple[str, ...] = ()
        self._with_label_file: frozenset[str] = frozenset()
        self._retry_at: float | None = None
        self._good: tuple[str, Rendered] | None = None

    def read(self, choice: Choice, hashes: Hashes) -> Reading:
        """The reading of these files: at once when nothing has changed, else after Compose has answered."""
        key = self._key_of(choice, hashes)
        due = self._retry_at is not None and self._clock() >= self._retry_at
        if self._reading is None or key != self._key or due:
            self._retry_at = None
            self._reading = self._read(choice, hashes)
            self._key = self._key_of(choice, hashes)
        return self._reading

    def _key_of(self, choice: Choice, hashes: Hashes) -> Hashable:
        paths = (
            *choice.compose_files,
            *choice.started_with,
            choice.env.path,
            f"{choice.directory}/.env",
            *self._also_read,
        )
        # What the containers carry decides between env files, and whether the hashes are worth asking twice.
        telling = frozenset(hashes.items())
        return (choice.name, choice.directory, choice.compose_files, choice.env.path, stamps(paths), telling)

    def _read(self, choice: Choice, hashes: Hashes) -> Reading:
        if not choice.compose_files:
            self._also_read = ()
            return Reading()
        variables = choice.variables(self._environment)
        plain, plain_problem = self._plainly(choice, variables)
        problems: list[str] = []
        best: Rendered | None = None
        command = self._compose()
        if command is None:
            self._retry_at = self._clock() + RETRY_SECONDS
            install = "install it with `apt-get install docker-compose-plugin` or see opsconsole doctor"
            problems += [f"{NO_COMPOSE}; {install}", *([plain_problem] if plain_problem else [])]
            best = plain
            problems += plain.problems if plain else ()
        else:
            try:
                best, _ = best_rendering(command, choice, self._environment, hashes)
                told = {name: value for name, value in best.hashes.items() if name not in self._with_label_file}
                best = msgspec.structs.replace(best, hashes=told)
                self._good = (choice.name, best)
            except SourceError as error:
                self._retry_at = self._clock() + RETRY_SECONDS
                best, state = self._instead(choice, plain)
                # Our own reading has the line where Compose v1 has only the file.
                said = plain_problem if plain_problem and command.major < 2 else error.problem
                problems.append("; ".join(part for part in (said, state, error.hint) if part))
        best = best or Rendered(by="nothing")
        if best.missing_variables and (command is None or best.by == "compose"):
            # Else Compose has said what is wrong, and better.
            problems.append(_missing(best.missing_variables))
        if not best.services and best.by != "nothing":
            problems.append("the compose file has no services: there is nothing to look at")
        outside = places.outside_binds(plain.services.values(), choice.directory) if plain else ()
        return Reading(rendered=best, command=command, problems=tuple(problems), outside_binds=outside)

    def _instead(self, choice: Choice, plain: Rendered | None) -> tuple[Rendered | None, str]:
        """What is shown when Compose cannot answer: its last good answer, else the file as we read it. And which."""
        if self._good is not None and self._good[0] == choice.name:
            return self._good[1], "services are shown as they were before the files changed"
        if plain is not None and plain.services:
            return plain, "services are shown as the file reads without Compose, drift is not known"
        return None, "services are known from their containers only"

    def _compose(self) -> ComposeCommand | None:
        if self._command is None or not os.path.exists(self._command.words[0]):
            self._command = compose.find(self._environment)
        return self._command

    def _plainly(self, choice: Choice, variables: Mapping[str, str]) -> tuple[Rendered | None, str]:
        """Our own reading: relative paths as written, and which other files count."""
        try:
            plain = plain_file.read(
                choice.compose_files, project=choice.name, directory=choice.directory, variables=variables
            )
            written = [plain_file.load(file) for file in choice.compose_files]
        except SourceError as error:
            self._also_read = ()
            return None, error.problem
        self._also_read = tuple(_references(written, choice.directory))
        self._with_label_file = frozenset(_with_label_file(written))
        return plain, ""


def best_rendering(
    command: ComposeCommand,
    choice: Choice,
    environment: Mapping[str, str],
    hashes: Hashes,
    *,
    keep_raw: bool = False,
) -> tuple[Rendered, tuple[str, ...]]:
    """The rendering whose fingerprints the containers carry, among equals the first that misses least, and the env
    files that it takes. Raises the first SourceError when none can be had."""
    best: tuple[tuple[int, int], Rendered, tuple[str, ...]] | None = None
    failure: SourceError | None = None
    for env_files in _fullest_first(choice):
        asked = ComposeFiles(
            directory=choice.directory, files=choice.compose_files, project=choice.name, env_files=env_files
        )
        try:
            rendered = compose.render(command, asked, environment, hashes, keep_raw=keep_raw)
        except SourceError as error:
            failure = failure or error
            if isinstance(error, compose.ComposeHangs):
                break
            continue
        matches = sum(rendered.hashes.get(service) in carried for service, carried in hashes.items())
        rank = (matches, -len(rendered.missing_variables))
        if best is None or rank > best[0]:
            best = (rank, rendered, env_files)
        if rank == (len(hashes), 0):
            break
    if best is None:
        assert failure is not None  # there is always one to try
        raise failure
    return best[1], best[2]


def _fullest_first(choice: Choice) -> list[tuple[str, ...]]:
    """Env files to render with. After a removal, or when every service has changed, no fingerprint tells which they
    were; then those count that give most of the names in the compose files a value, for a name with a default is
    never missed. What the containers say that they were started with stays first."""
    names = set(re.findall(r"\$\{?([A-Za-z_]\w*)", "".join(map(_text, choice.compose_files))))

    def order(env_files: tuple[str, ...]) -> tuple[bool, int]:
        paths = env_files or (str(Path(choice.directory, ".env")),)
        filled = names & {name for path in paths for name in envfile.read(path).values}
        return not env_files or env_files != choice.started_with, -len(filled)

    return sorted(choice.env_file_choices(), key=order)


def _text(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


def stamps(paths: Iterable[str]) -> tuple[Hashable, ...]:
    """What changes when one of the files changes, appears or goes."""
    return tuple(_stamp(path) for path in paths if path)


def _stamp(path: str) -> Hashable:
    try:
        found = os.stat(path)
    except OSError:
        return (path, None)
    return (path, found.st_mtime_ns, found.st_size, found.st_ino)


def _references(written: Iterable[Mapping[str, Any]], directory: str) -> Iterable[str]:
    """Files that a compose file names: env files, included and extended ones."""
    for raw in written:
        named: list[object] = [*_entries(raw.get("include"))]
        services = raw.get("services")
        for body in services.values() if isinstance(services, dict) else ():
            if isinstance(body, dict):
                named += _entries(body.get("env_file"))
                extends = body.get("extends")
                named += [extends.get("file")] if isinstance(extends, dict) else []
        yield from (str(Path(directory, name)) for name in named if isinstance(name, str) and "$" not in name)


def _with_label_file(written: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    """`up` takes their fingerprint before it reads the labels, every `config` after: the two are never the same."""
    for raw in written:
        services = raw.get("services")
        for name, body in services.items() if isinstance(services, dict) else ():
            if isinstance(body, dict) and body.get("label_file"):
                yield str(name)


def _entries(value: object) -> list[object]:
    """Paths in `path`, `[path, ...]` or `[{path: path}, ...]`."""
    found: list[object] = []
    for item in value if isinstance(value, list) else [value]:
        found += _entries(item.get("path")) if isinstance(item, dict) else [item]
    return found


def _missing(names: tuple[str, ...]) -> str:
    some = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
    what = "a variable that nothing sets and that is" if len(names) == 1 else "variables that nothing sets and that are"
    return f"the compose file uses {what} empty now: {some}; set in the env file what the stack needs"
