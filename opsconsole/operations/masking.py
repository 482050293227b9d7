"""The secrets that must not show in what an operation prints and keeps: from env files, the environment, containers."""

from __future__ import annotations

import os
from pathlib import Path

from opsconsole.config import Config
from opsconsole.operations.facts import observe
from opsconsole.stack import files
from opsconsole.text import known_secrets, without_paths


def env_file_secrets(directory: Path, config: Config, project: str = "") -> tuple[str, ...]:
    """The secrets that can be known without Compose."""
    choice = files.choose(directory, config, (), os.environ, project=project)
    return known_secrets(choice.env.values, without_paths(os.environ))


def container_secrets(directory: Path, config: Config, project: str = "") -> tuple[str, ...]:
    """The secrets that the containers were started with, wherever they came from."""
    from opsconsole.sources.engine import DockerEngine

    containers, _ = observe(directory, config, project=project)
    engine = DockerEngine()
    try:
        return known_secrets(*(engine.secrets_of(one.id) for one in containers))
    finally:
        engine.close()
