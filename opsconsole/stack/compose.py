"""What Docker Compose makes of the stack's files.

Only reads: `version` and `config`, never `up` and never `--dry-run` (which has been seen to swap containers).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec

from opsconsole.model import SourceError
from opsconsole.stack import compose_answers, compose_parse, yaml_text
from opsconsole.stack.compose_program import NO_COMPOSE_HINT as NO_COMPOSE_HINT
from opsconsole.stack.compose_program import ComposeCommand as ComposeCommand
from opsconsole.stack.compose_program import ComposeHangs as ComposeHangs
from opsconsole.stack.compose_program import ask
from opsconsole.stack.compose_program import find as find
from opsconsole.stack.rendered import Rendered
from opsconsole.text import mask_text, printable

_UNSET = re.compile(r'(?:The \\?"?)(?P<name>[A-Za-z_]\w*)\\?"? variable is not set')
_LOG_LINE = re.compile(r'^time="[^"]*" level=(?P<level>\w+) msg="(?P<message>(?:[^"\\]|\\.)*)"')
# Of an env file that it cannot read, Compose quotes the line to its end: the value, which may be a password.
_QUOTED_LINE = re.compile(r"(unterminated quoted value|in variable name) .*")
# Compose v1 does the same with a service's whole environment when one variable of it is missing.
_QUOTED_MAPPING = re.compile(r" interpolating \{.*\}(?= in )")


class ComposeFiles(msgspec.Struct, frozen=True, kw_only=True):
    """What to render: the same options that `up` would get."""

    directory: str
    files: tuple[str, ...]
    project: str
    env_files: tuple[str, ...] = ()  # () lets Compose take `.env` by itself


def render(
    command: ComposeCommand,
    wanted: ComposeFiles,
    environment: Mapping[str, str] | None = None,
    carried: Mapping[str, frozenset[str]] | None = None,
    *,
    keep_raw: bool = False,
) -> Rendered:
    """What Compose makes of the files: every service of every profile, with hashes where this Compose tells them.

    `carried` are the hashes on the containers by service: only where they differ is it worth asking twice.
    Blocks for a few tenths of a second, 15 s at most. Raises SourceError with Compose's own line.
    """
    env = dict(os.environ if environment is None else environment)
    options = _options(command, wanted)
    asked = ("config",) if command.major < 2 else ("config", "--format", "json")
    with ThreadPoolExecutor(2) as both:
        hashing = both.submit(_hashes, (*options, "config", "--hash", "*"), env, wanted)
        answer = compose_answers.answer((*options, *asked), env, wanted.directory, _read_by(wanted))
        hashes = hashing.result()
    if answer.returncode != 0:
        raise SourceError(
            f"the compose configuration cannot be read: {complaint(answer.stderr)}",
            f"see it all with `{' '.join(_shown(command, wanted))} config`",
        )
    try:
        raw = _loaded(answer.stdout, command)
    except ValueError as error:
        raise SourceError(
            f"{command} answered something that is not a configuration: {printable(str(error))}"
        ) from None
    if command.major >= 2 and _unlike(hashes, carried or {}):
        hashes = _resolved_hashes(command, wanted, env, answer.stdout, hashes, carried or {})
    joining = {name for name, body in (raw.get("services") or {}).items() if _joins_another(body)}
    result = compose_parse.parse(unescaped(raw), project=wanted.project, directory=wanted.directory)
    return msgspec.structs.replace(
        result,
        separator="_" if command.major < 2 else "-",
        hashes={name: value for name, value in hashes.items() if name not in joining},
        missing_variables=missing_variables(answer.stderr),
        raw=raw if keep_raw else {},
    )


def render_copy(
    command: ComposeCommand, wanted: ComposeFiles, copy: str, environment: Mapping[str, str] | None = None
) -> Rendered:
    """What Compose would make of files that lie in a copy, were they in place; with its whole answer as `raw`.

    `copy` is a directory that repeats whole paths: `wanted` names the places in there, the answer the real ones.
    """
    env = dict(os.environ if environment is None else environment)
    asked = ("config",) if command.major < 2 else ("config", "--format", "json")
    answer = ask((*_options(command, wanted), *asked), env, wanted.directory)
    if answer.returncode != 0:
        raise SourceError(f"the compose configuration cannot be read: {complaint(answer.stderr.replace(copy, ''))}")
    try:
        raw = _without(_loaded(answer.stdout, command), copy)
    except ValueError as error:
        raise SourceError(f"{command} answered something else than a configuration: {printable(str(error))}") from None
    real = msgspec.structs.replace(wanted, directory=wanted.directory.removeprefix(copy))
    # What Compose prints is escaped, so that Compose can read it again.
    hashes = hashes_of(command, real, json.dumps(raw), env) if command.major >= 2 else {}
    joining = {name for name, body in (raw.get("services") or {}).items() if _joins_another(body)}
    return msgspec.structs.replace(
        compose_parse.parse(unescaped(raw), project=wanted.project, directory=real.directory),
        separator="_" if command.major < 2 else "-",
        hashes={name: value for name, value in hashes.items() if name not in joining},
        missing_variables=missing_variables(answer.stderr),
        raw=raw,
    )


def hashes_of(
    command: ComposeCommand, wanted: ComposeFiles, text: str, environment: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Service -> config hash of a compose file that is given as text; `wanted.files` is not looked at.
    {} where this Compose cannot tell."""
    env = dict(os.environ if environment is None else environment)
    base = msgspec.structs.replace(wanted, files=("-",), env_files=())
    return _hashes((*_options(command, base), "config", "--hash", "*"), env, base, text)


def complaint(stderr: str) -> str:
    """The line of Compose's messages that says what is wrong, without warnings, paths of Python and secrets."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip() and not _warns(line)]
    if not lines:
        return "no reason given"
    # Compose v1 puts a heading over the reason; a Python traceback has the reason last.
    first = lines[-1] if lines[0].startswith("Traceback") else lines[0]
    place_follows = len(lines) > 1 and lines[1].startswith('in "')
    if len(lines) > 1 and (place_follows or first.endswith((":", "because:", "error(s):"))):
        first = f"{first} {lines[1]}"
    if found := _LOG_LINE.match(first):
        first = found["message"].replace('\\"', '"')
    return mask_text(printable(_QUOTED_MAPPING.sub("", _QUOTED_LINE.sub(r"\1", first))))


def missing_variables(stderr: str) -> tuple[str, ...]:
    """Names of variables that the compose file uses and nothing sets."""
    return tuple(dict.fromkeys(found["name"] for found in _UNSET.finditer(stderr)))


# --- calling it ------------------------------------------------------------------------------------


def _options(command: ComposeCommand, wanted: ComposeFiles) -> tuple[str, ...]:
    options = [*command.asking, "--project-directory", wanted.directory, "--project-name", wanted.project]
    for file in wanted.files:
        options += ["--file", file]
    for env_file in wanted.env_files[-1:] if command.major < 2 else wanted.env_files:
        options += ["--env-file", env_file]
    if command.major >= 2:
        options += ["--profile", "*"]
    return tuple(options)


def _shown(command: ComposeCommand, wanted: ComposeFiles) -> tuple[str, ...]:
    """The shortest command an operator can type in the stack's directory to see the same."""
    name = ("docker", "compose") if len(command.words) > 1 else ("docker-compose",)
    env_files = [word for file in wanted.env_files for word in ("--env-file", Path(file).name)]
    return (*name, *env_files)


def _unlike(hashes: Mapping[str, str], carried: Mapping[str, frozenset[str]]) -> bool:
    return any(service in hashes and hashes[service] not in known for service, known in carried.items())


def _resolved_hashes(
    command: ComposeCommand,
    wanted: ComposeFiles,
    env: dict[str, str],
    rendering: str,
    hashes: dict[str, str],
    carried: Mapping[str, frozenset[str]],
) -> dict[str, str]:
    """The hashes of the rendering itself, for the services whose first hash no container carries.

    From 2.22 until it was mended in 2026 (docker/compose#14001) `config --hash` leaves the values of `env_file`
    out, while the label on a container has them in. A rendering has them in its environment.
    """
    base = msgspec.structs.replace(wanted, files=("-",), env_files=())
    again = _hashes((*_options(command, base), "config", "--hash", "*"), env, base, rendering)
    return {
        service: value if value in carried.get(service, ()) else again.get(service, value)
        for service, value in hashes.items()
    }


def _hashes(words: Sequence[str], env: dict[str, str], wanted: ComposeFiles, stdin: str = "") -> dict[str, str]:
    """A Compose that cannot tell them (v1 without an engine) costs the drift, not the stack."""
    try:
        answer = compose_answers.answer(words, env, wanted.directory, _read_by(wanted), stdin)
    except SourceError:
        return {}
    if answer.returncode != 0:
        return {}
    pairs = (line.rpartition(" ") for line in answer.stdout.splitlines())
    return {name.strip(): value for name, _, value in pairs if name and len(value) == 64}


def _read_by(wanted: ComposeFiles) -> tuple[str, ...]:
    """All that Compose reads, unless one of them names more."""
    return (*(file for file in wanted.files if file != "-"), *wanted.env_files, os.path.join(wanted.directory, ".env"))


def _joins_another(service: Any) -> bool:
    """`up` puts the other container's id into the service before it takes the fingerprint: no `config` can tell it."""
    if not isinstance(service, dict):
        return False
    modes = (str(service.get(key, "")) for key in ("network_mode", "ipc", "pid"))
    return any(mode.startswith("service:") for mode in modes) or bool(service.get("volumes_from"))


def _loaded(text: str, command: ComposeCommand) -> dict[str, Any]:
    raw = json.loads(text) if command.major >= 2 else yaml_text.load(text, by_program=True)
    if not isinstance(raw, dict):
        raise ValueError("no mapping")
    return raw


def unescaped(value: Any) -> Any:
    """Compose writes every `$` of a value as `$$`, so that its output can be read as a compose file again."""
    if isinstance(value, str):
        return value.replace("$$", "$")
    if isinstance(value, list):
        return [unescaped(item) for item in value]
    if isinstance(value, dict):
        return {key: unescaped(item) for key, item in value.items()}
    return value


def _without(value: Any, prefix: str) -> Any:
    """The same with a prefix taken out of every text in it."""
    if isinstance(value, str):
        return value.replace(prefix, "")
    if isinstance(value, list):
        return [_without(item, prefix) for item in value]
    if isinstance(value, dict):
        return {key: _without(item, prefix) for key, item in value.items()}
    return value


def _warns(line: str) -> bool:
    found = _LOG_LINE.match(line)
    return bool(found and found["level"] in ("warning", "info", "debug")) or bool(_UNSET.search(line))
