"""Which files make up the stack and what its project is called, by the rules of Compose and by what runs already."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from opsconsole.config import FILE_NAME, Config
from opsconsole.model import Container
from opsconsole.stack import envfile
from opsconsole.stack.envfile import EnvFile
from opsconsole.stack.plain_file import interpolate
from opsconsole.text import printable

PROJECT = "com.docker.compose.project"
WORKING_DIRECTORY = "com.docker.compose.project.working_dir"
CONFIG_FILES = "com.docker.compose.project.config_files"
ENVIRONMENT_FILE = "com.docker.compose.project.environment_file"

# In the order in which Compose looks for them.
NAMES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
OVERRIDES = (
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
)
KEPT_FILE = re.compile(r"^(?:.*/)?\.opsconsole/releases/(?P<release>r\d+)/compose\.yaml$")
"""The compose file of a release, as Compose writes it on a container; v1 as it was typed."""

_LOOKS_LIKE_ONE = re.compile(r"^(?:docker-)?compose[\w.-]*\.ya?ml$")
_NAME_KEY = re.compile(r"""^name:[ \t]*(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<plain>[^\s#]+))""", re.MULTILINE)


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """What was chosen, and what the variables of the compose files are filled from."""

    name: str
    directory: str  # that relative paths of the compose files start from
    compose_files: tuple[str, ...] = ()
    env: EnvFile = EnvFile()  # the stack's env file, with the values of `.env` below its own
    started_with: tuple[str, ...] = ()  # env files that the running containers were started with
    profiles: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    def env_file_choices(self) -> tuple[tuple[str, ...], ...]:
        """Env files to render with, likeliest first. () leaves it to Compose, which takes `.env`.

        Nothing tells which of them `up` was given, or whether a script exported them; the fingerprints of the
        running containers do.
        """
        usual = str(Path(self.directory, ".env"))
        main = self.env.path if os.path.exists(self.env.path) else ""
        likely = [self.started_with] if self.started_with else []
        if main and main != usual:
            likely.append((main,))
        likely.append(())
        if main and main != usual and os.path.exists(usual):
            likely.append((usual, main))
        return tuple(dict.fromkeys(likely))

    def variables(self, environment: Mapping[str, str]) -> dict[str, str]:
        """What `${NAME}` in a compose file means, as Compose has it: the environment wins over the env file."""
        return {**self.env.values, **environment}


def holds_stack(directory: Path | str, config: Config | None = None) -> bool:
    """Whether a directory has a compose file by the rules of Compose, or one that `opsconsole.toml` names."""
    choice = choose(Path(directory), config or Config(), (), os.environ)
    return any(os.path.isfile(file) for file in choice.compose_files)


def choose(
    directory: Path,
    config: Config,
    containers: Sequence[Container],
    environment: Mapping[str, str],
    *,
    project: str = "",
) -> Choice:
    """Choose. `containers` may hold those of other projects; only labels that point into `directory` count."""
    labels = _labels_of(directory, containers, config.stack.name or project)
    started_with = _started_with(directory, labels)
    env = _env_file(directory, config, started_with)
    known = {**env.values, **environment}
    files = _compose_files(directory, config, labels, known)
    base = str(Path(files[0]).parent) if files else str(directory)
    name = config.stack.name or project or _project_name(base, files, labels, known)
    profiles = config.stack.profiles or tuple(re.split(r"[,\s]+", known.get("COMPOSE_PROFILES", "").strip()))
    return Choice(
        name=name,
        directory=base,
        compose_files=files,
        env=env,
        started_with=started_with,
        profiles=tuple(profile for profile in profiles if profile),
        problems=env.problems,
    )


def watched(directory: Path) -> tuple[str, ...]:
    """Files whose appearance or change alters the choice, whether or not they exist."""
    return tuple(str(directory / name) for name in (*NAMES, *OVERRIDES, *envfile.CANDIDATES, FILE_NAME))


def normalised(name: str) -> str:
    """A directory's name as Compose makes a project name of it."""
    return "".join(re.findall(r"[a-z0-9_-]", name.lower())).lstrip("_-")


# --- the parts of the choice -----------------------------------------------------------------------


def _labels_of(directory: Path, containers: Iterable[Container], project: str) -> list[dict[str, str]]:
    """Labels of the containers that were started from this directory (or by this project), newest first."""
    ordered = sorted(containers, key=lambda one: one.created_at.timestamp() if one.created_at else 0.0, reverse=True)
    found = []
    for container in ordered:
        labels = dict(container.labels)
        at = labels.get(WORKING_DIRECTORY, "")
        if (project and labels.get(PROJECT) == project) or (at and _same_place(at, directory)):
            found.append(_as_the_operator_would(directory, labels))
    return found


def _as_the_operator_would(directory: Path, labels: dict[str, str]) -> dict[str, str]:
    """A container that came back from a kept release names the kept file: what counts are the files that the release
    was made from, which that file names."""
    if not (kept := KEPT_FILE.search(labels.get(CONFIG_FILES, ""))):
        return labels
    try:
        made_from = json.loads(Path(directory, kept[0]).read_bytes())["x-opsconsole"]
        own = {CONFIG_FILES: ",".join(made_from["compose_files"]), ENVIRONMENT_FILE: ",".join(made_from["env_files"])}
    except (OSError, ValueError, KeyError, TypeError):
        own = {CONFIG_FILES: "", ENVIRONMENT_FILE: ""}
    return {**labels, **own}


def _same_place(one: str, other: Path) -> bool:
    return os.path.normpath(one) == str(other) or os.path.realpath(one) == os.path.realpath(other)


def _started_with(directory: Path, labels: Sequence[Mapping[str, str]]) -> tuple[str, ...]:
    """The env files that Compose was given with --env-file, if they are still there; the last one wins."""
    for one in labels:
        paths = tuple(str(directory / path) for path in one.get(ENVIRONMENT_FILE, "").split(",") if path)
        if paths and all(os.path.isfile(path) for path in paths):
            return paths
    return ()


def _env_file(directory: Path, config: Config, started_with: Sequence[str]) -> EnvFile:
    """The stack's env file. `.env` is below it, as far as Compose or a script reads both."""
    main = str(directory / config.stack.env_file) if config.stack.env_file else ""
    main = main or next(reversed(started_with), "") or envfile.find(directory)
    if not main:
        return EnvFile()
    usual = str(directory / ".env")
    paths = (
        dict.fromkeys((usual, *started_with, main)) if os.path.isfile(usual) else dict.fromkeys((*started_with, main))
    )
    read = [envfile.read(path) for path in paths]
    values = {name: value for file in read for name, value in file.values.items()}
    problems = tuple(problem for file in read for problem in file.problems)
    return EnvFile(path=main, values=values, problems=problems)


def _compose_files(
    directory: Path, config: Config, labels: Sequence[Mapping[str, str]], known: Mapping[str, str]
) -> tuple[str, ...]:
    if config.stack.compose_files:
        return tuple(str(directory / file) for file in config.stack.compose_files)
    if known.get("COMPOSE_FILE"):
        separator = known.get("COMPOSE_PATH_SEPARATOR") or os.pathsep
        return tuple(str(directory / file) for file in known["COMPOSE_FILE"].split(separator) if file)
    for one in labels:
        # Compose v1 writes them as they were typed, relative to where it was started.
        files = [str(directory / file) for file in one.get(CONFIG_FILES, "").split(",") if file]
        if files and all(os.path.isfile(file) for file in files):
            return tuple(files)
    base = next((name for name in NAMES if os.path.isfile(directory / name)), "")
    if base:
        override = next((name for name in OVERRIDES if os.path.isfile(directory / name)), "")
        return tuple(str(directory / name) for name in (base, override) if name)
    try:
        others = sorted(name for name in os.listdir(directory) if _LOOKS_LIKE_ONE.match(name))
    except OSError:
        return ()
    return (str(directory / others[0]),) if len(others) == 1 else ()


def _project_name(
    base: str, files: Sequence[str], labels: Sequence[Mapping[str, str]], known: Mapping[str, str]
) -> str:
    """By the rules of Compose; where containers run under another name (`-p`), theirs."""
    by_rule = known.get("COMPOSE_PROJECT_NAME") or _written_name(files, known) or Path(base).resolve().name
    by_rule = normalised(by_rule) or "default"
    running = Counter(name for one in labels if (name := one.get(PROJECT, "")))
    if not running or by_rule in running:
        return by_rule
    return running.most_common(1)[0][0]


def _written_name(files: Sequence[str], known: Mapping[str, str]) -> str:
    """The value of `name:` in the last file that has one."""
    name = ""
    for file in files:
        try:
            text = Path(file).read_bytes()[: 1 << 20].decode("utf-8-sig", "replace")
        except OSError:
            continue
        if found := _NAME_KEY.search(text):
            written = found["double"] or found["single"] or found["plain"] or ""
            name = printable(interpolate(written, known, []))
    return name
