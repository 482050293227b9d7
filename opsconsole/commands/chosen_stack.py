"""Which stack a command is about, with which settings, and a look at it."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from opsconsole.model import Project, Snapshot

if TYPE_CHECKING:
    from opsconsole.config import Config
    from opsconsole.monitor import Monitor
    from opsconsole.operations.site import Site


class UsageError(Exception):
    """What was asked for cannot be done; one line for the operator. Ends with exit code 2."""


def add_stack_options(parser: argparse.ArgumentParser, *, top: bool = False) -> None:
    # After a command the options may be given again; SUPPRESS keeps what stood before it.
    default = None if top else argparse.SUPPRESS
    parser.add_argument(
        "--stack",
        metavar="DIR",
        default=default,
        help="the stack's directory, or the name of a running project (default: here)",
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        default=default,
        help="settings file (default: opsconsole.toml in the stack's directory)",
    )


def find_stack(wanted: str | None) -> tuple[Path, str]:
    """The stack's directory and, if known already, its project name.

    Raises UsageError when there is no stack there, SourceError when only the engine could tell and does not answer.
    """
    from opsconsole.stack.discover import is_stack_directory

    path = absolute(wanted or ".")
    if os.path.isfile(path):
        path = path.parent  # `--stack docker-compose.yml` is meant as its directory
    if not os.access(path, os.R_OK | os.X_OK) and _is_there(path):
        raise UsageError(f"{path} is closed to this user; start opsconsole as its owner or with sudo.")
    if os.path.isdir(path) and is_stack_directory(path):
        return path, ""
    projects = running_projects()
    for project in projects:
        if wanted is not None and project.name == wanted:
            return Path(project.directory or "."), project.name
        if project.directory and Path(project.directory) == path:
            return path, project.name
    names = ", ".join(project.name for project in projects[:5]) or "none"
    if len(projects) > 5:
        names += f" and {len(projects) - 5} more"
    if wanted is not None and not os.path.isdir(path):
        raise UsageError(f"{wanted} is neither a directory nor a project on the engine (there: {names}).")
    raise UsageError(
        f"no compose file in {path}{_odd_one(path)}. Go to a stack's directory or name one with --stack"
        f" (projects on the engine: {names})."
    )


def absolute(path: str) -> Path:
    try:
        return Path(os.path.expanduser(path)).absolute()
    except FileNotFoundError:
        raise UsageError("the directory you are in no longer exists; go to a stack's directory.") from None


def _is_there(path: Path) -> bool:
    """Something is there, or a directory on the way to it does not let us see."""
    try:
        path.stat()
    except OSError as error:
        return isinstance(error, PermissionError)
    return True


def _odd_one(directory: Path) -> str:
    """What Docker leaves when a missing compose file was mounted into a container."""
    from opsconsole.stack.files import NAMES

    found = next((name for name in NAMES if os.path.isdir(directory / name)), "")
    return f" ({found} is a directory)" if found else ""


def known_project(monitor: Monitor, directory: Path, project: str) -> str:
    """The project name, when containers cannot be found by the directory they were started from."""
    if project or monitor.sources.engine.containers(directory=str(directory)):
        return project
    return monitor.sources.stack.look(()).name


def stack_of(arguments: argparse.Namespace) -> tuple[Path, str, Config]:
    """For the commands that change something: the stack's directory, its project name if known, its settings.

    What forbids changes, on the command line or in the settings, is in `arguments.read_only` afterwards, by its name.
    """
    directory, project = find_stack(arguments.stack)
    config = load_config(directory, arguments.config)
    if arguments.read_only:
        arguments.read_only = "--read-only"
    elif config.console.read_only:
        arguments.read_only = f"read_only in [console] of {config.path}"
    return directory, project, config


def running_projects() -> tuple[Project, ...]:
    from opsconsole.sources.engine import DockerEngine

    engine = DockerEngine()
    try:
        return engine.projects()
    finally:
        engine.close()


def load_config(directory: Path, named: str | None) -> Config:
    """Raises ConfigError with one line: file, key, what was expected."""
    from opsconsole import config

    return config.load(Path(named).expanduser()) if named else config.load_from(directory)


def make_monitor(directory: Path, project: str, config: Config, *, read_only: bool = False) -> Monitor:
    from opsconsole.applied import alert_keeper, paces, thresholds
    from opsconsole.monitor import Monitor
    from opsconsole.real_sources import real_sources

    sources = real_sources(directory, config, project=project, read_only=read_only)
    keeper = alert_keeper(directory, config, writes=not read_only)
    return Monitor(
        sources,
        directory=str(directory),
        project=project,
        thresholds=thresholds(config),
        paces=paces(config),
        keeper=keeper,
    )


def looking_monitor(arguments: argparse.Namespace, *, without_settings: bool = False) -> tuple[Monitor, Path, str]:
    """For the commands that only print: the monitor, the stack's directory and its project name if it is known.

    With `without_settings` a settings file that cannot be used counts as none: a new one is about to be written.
    """
    from opsconsole.config import Config, ConfigError

    directory, project = find_stack(arguments.stack)
    try:
        config = load_config(directory, arguments.config)
    except ConfigError:
        if not without_settings:
            raise
        config = Config()
    return make_monitor(directory, project or config.stack.name, config, read_only=True), directory, project


def look_once(arguments: argparse.Namespace) -> tuple[Snapshot, Path]:
    """One look at the stack for a command that needs what is true now, 20 s at most, and the stack's directory."""
    monitor, directory, _ = looking_monitor(arguments)
    return settled(monitor, 20.0), directory


def settled(monitor: Monitor, seconds: float) -> Snapshot:
    """What there is when every source has answered or failed, or after so many seconds; the monitor is stopped."""
    monitor.start()
    snapshot = monitor.wait_until_settled(seconds)
    monitor.stop()
    return snapshot


def site_of(arguments: argparse.Namespace) -> Site:
    from opsconsole.operations.site import Site

    directory, project, _ = stack_of(arguments)
    named = str(Path(arguments.config).expanduser().absolute()) if arguments.config else ""
    return Site(directory=directory, project=project, config_file=named)
