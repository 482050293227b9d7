"""The nine lines that deploy.sh has always shown, and what each answers today. Pure functions."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import PurePosixPath

from opsconsole.model import Stack
from opsconsole.text import printable

LOGS, EXIT = 5, 9


@dataclass(frozen=True, slots=True)
class Option:
    number: int
    line: str
    script: str = ""  # what some stacks have for it beside deploy.sh
    command: str = ""  # arguments for Compose that do the like
    before: str = ""  # what is run before that
    caution: str = ""


OPTIONS = (
    Option(1, "Deploy (build and start containers)", command="up -d --build"),
    Option(2, "Update from GitHub and redeploy", command="up -d --build", before="git pull --ff-only"),
    Option(3, "Stop containers", command="stop"),
    Option(4, "Restart containers", command="restart"),
    Option(LOGS, "View logs"),
    Option(
        6,
        "Backup database and files",
        script="./backup.sh",
        caution="Look at the Backups pane afterwards: it says whether every part is in it.",
    ),
    Option(
        7,
        "Restore from backup",
        script="./restore.sh",
        caution="Read it first: a restore with --drop deletes the live data before it has read the backup.",
    ),
    Option(
        8,
        "Remove containers and images",
        command="down --rmi local",
        caution="Do not add -v: that deletes the volumes with the data.",
    ),
    Option(EXIT, "Exit"),
)

_DEFAULT_FILES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")


def option(number: int) -> Option:
    return OPTIONS[number - 1]


def answer(number: int, stack: Stack | None, *, read_only: bool) -> tuple[str, str, str]:
    """What an option that changes something says: what happened, what to use today, what to mind."""
    chosen = option(number)
    if read_only:
        return (f"{number} {chosen.line}: refused. This console is read-only; nothing was changed.", "", "")
    what = f"{number} {chosen.line}: this version looks and does not change anything yet; nothing was changed."
    today = f"Today: ./deploy.sh of this stack, option {number}"
    if chosen.script:
        today += f", or {chosen.script}, whichever it has"
    if chosen.command and stack is not None:
        steps = [chosen.before, f"{compose_line(stack)} {chosen.command}"]
        directory = shlex.quote(stack.directory)
        today += f", or: cd {directory} && " + " && ".join(step for step in steps if step)
    return (what, printable(today), chosen.caution)


def compose_line(stack: Stack) -> str:
    """The Compose command of this stack as one would type it in its directory."""
    words = ["docker-compose"] if stack.compose_command.startswith("docker-compose") else ["docker", "compose"]
    words += ["-p", stack.name] if stack.name else []
    if not _found_by_itself(stack):
        for file in stack.compose_files:
            words += ["-f", _relative(file, stack.directory)]
    if stack.env_file and PurePosixPath(stack.env_file).name != ".env":
        words += ["--env-file", _relative(stack.env_file, stack.directory)]
    for profile in stack.profiles:
        words += ["--profile", profile]
    return shlex.join(words)


def _found_by_itself(stack: Stack) -> bool:
    names = [_relative(file, stack.directory) for file in stack.compose_files]
    return not names or (names[0] in _DEFAULT_FILES and all(".override." in name for name in names[1:]))


def _relative(path: str, directory: str) -> str:
    inside = PurePosixPath(path)
    return str(inside.relative_to(directory)) if directory and inside.is_relative_to(directory) else path
