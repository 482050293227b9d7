"""What you type: every command. Nothing heavy is imported before it is needed: `--help` takes no time."""

from __future__ import annotations

import argparse
import errno
import io
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from opsconsole import (
    __version__,
    alerts_command,
    backup_command,
    collect_command,
    database_command,
    deploy_command,
    health_command,
    incident_command,
    maintenance_command,
    operations_command,
    persistence_command,
    restore_command,
    schedule_command,
)
from opsconsole.model import Project, Snapshot, SourceError
from opsconsole.text import mask_text, printable

if TYPE_CHECKING:
    from opsconsole.config import Config
    from opsconsole.incident_room.room import Room
    from opsconsole.monitor import Monitor
    from opsconsole.operations.requests import Site

EPILOG = """\
Without a command the console opens on the stack in this directory. Nothing is changed by looking.

  opsconsole                     the console; ? in it lists every key
  opsconsole --stack /srv/shop   the same for another directory, or the name of a running project
  opsconsole status              one look as text; --json for scripts; exit 0 well, 1 attention, 2 cannot look
  opsconsole health              the same as a list of checks: number, limit, what to do; -v shows what is well, too
  opsconsole logs -f backend     logs of one, several or all services, in a pipe too
  opsconsole restart --plan      what stop, start or restart would do; without --plan it asks and does it
  opsconsole deploy --plan       pull, build, recreate what changed, gate it; goes back by itself when a gate fails
  opsconsole update --plan       fetch and show what comes in; then fast-forward and deploy, and back with the commit
  opsconsole rollback previous-image   back to the release before; --to r4 names one, `releases` lists them
  opsconsole remove --plan       containers, networks and images go; volumes, directories and what others use stay
  opsconsole rollback emergency-stop   everything stopped within 10 s, evidence saved first
  opsconsole backup create       databases, files and configuration in one; also list, verify, prune, pin, export
  opsconsole restore latest --plan   what a restore would replace; --undo brings back what was there before
  opsconsole database validate   read collections for damage; also rebuild-index, and flush of Redis; by a plan
  opsconsole schedule install    backups by themselves: systemd timer or crontab, shown before it is written
  opsconsole verify-persistence  a score whose every point is a proof: mounts, a twin's restart, a restored backup
  opsconsole maintenance         the runbook's tasks: what is proven, what is due; `maintenance tick NAME`
  opsconsole incident show       what is red, what changed, what the runbook answers; also declare, note, report, bundle
  opsconsole collect --install   keep metrics and events while no console is open; collect status says what is kept
  opsconsole alerts              what fires; ack and silence with a note, history, rules of your own
  opsconsole history             who did what, when, from where, with what result; --verify checks every record
  opsconsole doctor              is everything here that the console needs, and how to mend what is not
  opsconsole init                write what was found as a commented opsconsole.toml
  opsconsole demo                the console on a simulated stack; needs no Docker
"""


class UsageError(Exception):
    """What was asked for cannot be done; one line for the operator. Ends with exit code 2."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit code; prints one line on stderr when it cannot go on."""
    _prepare_output()
    arguments = build_parser().parse_args(argv)
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
        return code
    except (UsageError, SourceError) as error:
        hint = f" -> {error.hint}" if isinstance(error, SourceError) and error.hint else ""
        return _give_up(f"{error}{hint}", getattr(error, "exit_code", 2))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        _drop_output()
        return 0
    except OSError as error:
        _drop_output()
        on_the_way_out = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO) and not error.filename
        where = "the output could not be written: " if on_the_way_out else f"{error.filename or 'the system said'}: "
        return _give_up(f"{where}{error.strerror or error}")


def _prepare_output() -> None:
    """Output that cannot fail on a character, and nothing on the screen that is not meant for the operator."""
    if sys.stdout is None:  # closed by whoever started us
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a locale without UTF-8 has not every character
    # What a source could not do is said in its line of the screen; Python would add a traceback of its own.
    logging.getLogger("opsconsole").addHandler(logging.NullHandler())


def _give_up(why: str, code: int = 2) -> int:
    print(f"opsconsole: {printable(mask_text(why))}", file=sys.stderr)
    return code


def _drop_output() -> None:
    """The reader of the pipe has gone (`| head`), or a disk is full: Python would complain again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="opsconsole",
        description="The terminal console for the server that runs a Docker Compose stack.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"opsconsole {__version__}")
    _add_stack_options(parser, top=True)
    _add_console_options(parser)
    parser.add_argument(
        "--or-demo", action="store_true", help="open the demo stack, and say so, where no engine or no stack is found"
    )
    parser.set_defaults(run=run_console)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    _add_status(commands)
    health_command.add_command(commands, _add_stack_options, health_monitor)
    _add_logs(commands)
    _add_doctor(commands)
    _add_init(commands)
    _add_demo(commands)
    backup_command.add_commands(commands, _add_stack_options, stack_of)
    database_command.add_commands(commands, _add_stack_options, stack_of)
    restore_command.add_commands(commands, _add_stack_options, stack_of)
    deploy_command.add_commands(commands, _add_stack_options, stack_of)
    schedule_command.add_commands(commands, _add_stack_options, stack_of)
    persistence_command.add_commands(commands, _add_stack_options, stack_of)
    maintenance_command.add_commands(commands, _add_stack_options, stack_of, looking_monitor)
    incident_command.add_commands(commands, _add_stack_options, stack_of, looking_monitor)
    collect_command.add_command(commands, _add_stack_options, stack_of, make_monitor)
    alerts_command.add_commands(commands, _add_stack_options, stack_of, look_once)
    operations_command.add_commands(commands, _add_stack_options, stack_of)
    return parser


if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def _add_stack_options(parser: argparse.ArgumentParser, *, top: bool = False) -> None:
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


def _add_console_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--read-only", action="store_true", help="hide and refuse everything that changes something")
    parser.add_argument("--ascii", action="store_true", help="draw with ASCII characters only")
    parser.add_argument("--theme", metavar="NAME", help="dark, light, contrast or ansi (also: T in the console)")


def _add_status(commands: Commands) -> None:
    parser = commands.add_parser(
        "status", help="print one look at the stack", description="Print one look at the stack."
    )
    _add_stack_options(parser)
    parser.add_argument("--json", action="store_true", help="the whole Snapshot as JSON")
    parser.add_argument("--schema", action="store_true", help="print the JSON Schema of --json and end")
    parser.add_argument(
        "--timeout", type=float, default=20.0, metavar="SECONDS", help="wait this long at most (default 20)"
    )
    parser.set_defaults(run=run_status)


def _add_logs(commands: Commands) -> None:
    parser = commands.add_parser(
        "logs", help="print or follow logs", description="Print or follow the logs of services."
    )
    _add_stack_options(parser)
    parser.add_argument("services", nargs="*", metavar="SERVICE", help="these services only (default: all)")
    parser.add_argument("-f", "--follow", action="store_true", help="go on with new lines until Ctrl+C")
    parser.add_argument("--since", metavar="WHEN", help="5m, 2h, 1d or a time such as 2026-01-31T02:00:00Z")
    parser.add_argument(
        "--tail", type=int, metavar="N", help="the last N lines of each container (default 200; with --since all)"
    )
    parser.add_argument("--grep", metavar="REGEX", help="only lines that match")
    parser.add_argument("--invert", action="store_true", help="only lines that do not match --grep")
    parser.add_argument(
        "--level", metavar="LEVEL", help="this level and above: trace, debug, info, warning, error, fatal"
    )
    parser.add_argument("--timestamps", action="store_true", help="begin each line with its time (UTC)")
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    parser.add_argument("--no-color", action="store_true", help="no colours on a terminal either")
    parser.add_argument(
        "--raw", action="store_true", help="do not make control characters visible (dangerous on a terminal)"
    )
    parser.set_defaults(run=run_logs)


def _add_doctor(commands: Commands) -> None:
    parser = commands.add_parser(
        "doctor",
        help="check what the console needs on this host",
        description="Check what the console needs on this host.",
    )
    _add_stack_options(parser)
    parser.set_defaults(run=run_doctor)


def _add_init(commands: Commands) -> None:
    parser = commands.add_parser(
        "init", help="write opsconsole.toml", description="Write what was found as a commented opsconsole.toml."
    )
    _add_stack_options(parser)
    parser.add_argument("--force", action="store_true", help="replace the file that is there")
    parser.add_argument("--print", action="store_true", dest="print_only", help="print it, write nothing")
    parser.set_defaults(run=run_init)


def _add_demo(commands: Commands) -> None:
    parser = commands.add_parser(
        "demo", help="open the console on a simulated stack", description="Open the console on a simulated stack."
    )
    _add_console_options(parser)
    parser.add_argument("--containers", type=int, default=14, metavar="N", help="size of the stack (default 14)")
    parser.add_argument("--incident", metavar="NAME", help="practise an incident; `list` names them")
    parser.add_argument("--status", action="store_true", help="print its status instead of opening the console")
    parser.add_argument("--json", action="store_true", help="with --status: as JSON")
    parser.set_defaults(run=run_demo)


# --- commands --------------------------------------------------------------------------------------


def run_console(arguments: argparse.Namespace) -> int:
    need_terminal()
    try:
        directory, project = find_stack(arguments.stack)
    except (UsageError, SourceError) as error:
        if arguments.or_demo:
            return open_demo(arguments, why=str(error))
        if isinstance(error, SourceError) or arguments.stack:
            raise
        return choose_and_open(arguments, error)
    return open_console(arguments, directory, project)


def run_status(arguments: argparse.Namespace) -> int:
    from opsconsole import status_command

    if arguments.schema:
        print(status_command.schema(), end="")
        return 0
    monitor, directory, _ = looking_monitor(arguments)
    operations_command.say_unfinished(directory)
    return print_status(monitor, as_json=arguments.json, seconds=arguments.timeout)


def health_monitor(arguments: argparse.Namespace) -> Monitor:
    monitor, directory, _ = looking_monitor(arguments)
    operations_command.say_unfinished(directory)
    return monitor


def run_logs(arguments: argparse.Namespace) -> int:
    from opsconsole import logs_command

    monitor, directory, project = looking_monitor(arguments)
    project = known_project(monitor, directory, project)
    return logs_command.run(monitor.sources, directory=str(directory), project=project, arguments=arguments)


def run_doctor(arguments: argparse.Namespace) -> int:
    from opsconsole import doctor

    try:
        directory, _ = find_stack(arguments.stack)
    except (UsageError, SourceError):
        directory = _absolute(arguments.stack or ".")
    checks = doctor.examine(directory)
    print(doctor.report(checks), end="")
    return 1 if any(check.failed for check in checks) else 0


def run_init(arguments: argparse.Namespace) -> int:
    from opsconsole.stack import init_file

    monitor, directory, project = looking_monitor(arguments, without_settings=arguments.force or arguments.print_only)
    try:
        project = known_project(monitor, directory, project)
        containers = monitor.sources.engine.containers(project=project, directory="" if project else str(directory))
    except SourceError as error:
        print(f"opsconsole: the engine was not asked: {printable(error.problem)}", file=sys.stderr)
        containers = ()
    text = init_file.render(monitor.sources.stack.look(containers))
    if arguments.print_only:
        print(text, end="")
        return 0
    path = directory / "opsconsole.toml"
    try:
        init_file.write(path, text, force=arguments.force)
    except FileExistsError:
        raise UsageError(
            f"{path} exists and was left as it is; --force replaces it, --print shows the new one."
        ) from None
    except OSError as error:
        raise UsageError(f"{path} could not be written: {error.strerror}.") from None
    print(f"wrote {path}; every key in it is optional")
    return 0


def run_demo(arguments: argparse.Namespace) -> int:
    if arguments.containers < 1:
        raise UsageError("--containers needs a number of 1 or more.")
    if arguments.incident:
        from opsconsole import drill_command

        return drill_command.run(arguments, run_app, print_status, need_terminal)
    if arguments.status or arguments.json:
        return print_status(make_demo_monitor(arguments.containers), as_json=arguments.json, seconds=20.0)
    need_terminal()
    return open_demo(arguments)


# --- what the commands share -----------------------------------------------------------------------


def need_terminal() -> None:
    """Raises UsageError where the console cannot be drawn: before anything is asked or printed."""
    from opsconsole.ui.terminal import NoTerminal, require_terminal

    try:
        require_terminal()
    except NoTerminal as error:
        raise UsageError(f"the console needs a terminal: {error}") from None


def find_stack(wanted: str | None) -> tuple[Path, str]:
    """The stack's directory and, if known already, its project name.

    Raises UsageError when there is no stack there, SourceError when only the engine could tell and does not answer.
    """
    from opsconsole.stack.discover import is_stack_directory

    path = _absolute(wanted or ".")
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


def _absolute(path: str) -> Path:
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


def look_once(arguments: argparse.Namespace) -> Snapshot:
    """One look at the stack, for a command that needs what is true now."""
    monitor, _, _ = looking_monitor(arguments)
    monitor.start()
    snapshot = monitor.wait_until_settled(20.0)
    monitor.stop()
    return snapshot


def make_demo_monitor(containers: int) -> Monitor:
    from opsconsole.demo import demo_sources
    from opsconsole.monitor import Monitor

    return Monitor(demo_sources(containers=containers))


def print_status(monitor: Monitor, *, as_json: bool, seconds: float) -> int:
    from opsconsole import status_command

    monitor.start()
    snapshot = monitor.wait_until_settled(seconds)
    monitor.stop()
    print(status_command.as_json(snapshot) if as_json else status_command.as_text(snapshot), end="")
    return status_command.exit_code(snapshot)


def open_console(arguments: argparse.Namespace, directory: Path, project: str) -> int:
    config = load_config(directory, arguments.config)
    arguments.theme = arguments.theme or config.console.theme or None
    arguments.ascii = arguments.ascii or config.console.ascii
    arguments.read_only = arguments.read_only or config.console.read_only
    monitor = make_monitor(directory, project or config.stack.name, config, read_only=arguments.read_only)
    from opsconsole.collecting import beside_console
    from opsconsole.operations import left_behind
    from opsconsole.operations.requests import Site

    named = str(Path(arguments.config).expanduser().absolute()) if arguments.config else ""
    site = Site(directory=directory, project=project, config_file=named)
    if not arguments.read_only:
        left_behind.remove_aside(site)
    with beside_console.recording(monitor, directory, wanted=not arguments.read_only):
        return run_app(arguments, monitor, site=site)


def open_demo(arguments: argparse.Namespace, why: str = "") -> int:
    if why:
        print(f"opsconsole: {printable(why)} Opening the demo stack instead.", file=sys.stderr)
    return run_app(
        arguments,
        make_demo_monitor(getattr(arguments, "containers", 14)),
        note=f"This is the demo stack: {why}" if why else "",
    )


def choose_and_open(arguments: argparse.Namespace, error: Exception) -> int:
    from opsconsole.ui.app import choose_project

    projects = running_projects()
    if not projects:
        raise error
    chosen = choose_project(projects, ascii_only=arguments.ascii, theme=arguments.theme)
    if chosen is None:
        return 0
    return open_console(arguments, Path(chosen.directory or "."), chosen.name)


def run_app(
    arguments: argparse.Namespace,
    monitor: Monitor,
    note: str = "",
    site: Site | None = None,
    room: Room | None = None,
) -> int:
    from opsconsole.ui import pauses

    pauses.hold()
    monitor.begin()  # the engine answers while the screen is imported
    from opsconsole.ui.app import ConsoleApp

    app = ConsoleApp(
        monitor,
        read_only=arguments.read_only,
        ascii_only=arguments.ascii,
        theme=arguments.theme,
        note=note,
        site=site,
        room=room,
    )
    app.run()
    return app.return_code or 0
