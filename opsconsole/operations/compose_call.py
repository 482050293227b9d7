"""How Compose is called for this stack, and what it makes of the files."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from opsconsole.model import Container, Service, SourceError
from opsconsole.stack.compose import ComposeCommand
from opsconsole.stack.files import Choice
from opsconsole.stack.reading import best_rendering
from opsconsole.stack.rendered import Rendered


def rendered_by(
    command: ComposeCommand,
    choice: Choice,
    environment: Mapping[str, str],
    hashes: Mapping[str, frozenset[str]],
) -> tuple[Rendered, tuple[str, ...]]:
    """The rendering that the running containers agree with most, and its env files. Raises SourceError."""
    if not choice.compose_files:
        raise SourceError(f"the compose files of {choice.name} are not there", _WITHOUT_COMPOSE)
    try:
        return best_rendering(command, choice, environment, hashes, keep_raw=True)
    except SourceError as error:
        raise SourceError(error.problem, _WITHOUT_COMPOSE) from None


_WITHOUT_COMPOSE = "Mend the compose file; `opsconsole rollback emergency-stop` works without it."


def from_here(directory: Path, path: str | Path) -> str:
    """A path as it is typed in the stack's directory, where every command runs: short enough to be read."""
    here = os.path.realpath(directory)
    return os.path.relpath(path, here) if Path(path).is_relative_to(here) else str(path)


def compose_words(
    directory: Path, command: ComposeCommand, choice: Choice, env_files: Sequence[str], services: Sequence[Service]
) -> tuple[str, ...]:
    chosen = set(choice.profiles)
    more = [s.profiles[0] for s in services if s.profiles and "*" not in chosen and chosen.isdisjoint(s.profiles)]
    options = ["--project-directory", from_here(directory, choice.directory), "--project-name", choice.name]
    for file in choice.compose_files:
        options += ["--file", from_here(directory, file)]
    for env_file in env_files[-1:] if command.major < 2 else env_files:
        options += ["--env-file", from_here(directory, env_file)]
    for profile in dict.fromkeys((*choice.profiles, *more)):
        options += ["--profile", profile]
    # By name, as it was found on PATH: what is shown can be typed.
    return (Path(command.words[0]).name, *command.words[1:], *options)


def configurations(command: ComposeCommand, rendered: Rendered, services: Sequence[Service]) -> dict[str, str]:
    """Service -> hash of its configuration. Compose v1 takes the image's id into its own, so that a build alone would
    look like another configuration; of what it renders the image is no part."""
    if command.major >= 2:
        return {service.name: service.config_hash for service in services}
    bodies = rendered.raw.get("services") or {}
    return {
        one.name: hashlib.sha256(json.dumps(bodies.get(one.name), sort_keys=True, default=str).encode()).hexdigest()
        for one in services
    }


def carried_hashes(containers: Sequence[Container]) -> dict[str, frozenset[str]]:
    carried: dict[str, set[str]] = {}
    for one in containers:
        if one.config_hash:
            carried.setdefault(one.service, set()).add(one.config_hash)
    return {service: frozenset(hashes) for service, hashes in carried.items()}
