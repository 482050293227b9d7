"""The jobs that are installed: the schedule's tick every ten minutes, and the collector of metrics, which goes on.

What they are called with, and what they need around them."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import sys
import zlib
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path

from opsconsole.config import Config
from opsconsole.model import Record, SourceError
from opsconsole.operations.site import Site
from opsconsole.stack import envfile
from opsconsole.text import printable

MINUTES = 10
"""From one tick to the next."""

# What says where the engine is and how rclone is set up. None of them holds a secret.
_CARRIED = (
    "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY", "XDG_RUNTIME_DIR",
    "RCLONE_CONFIG", "TZ",
)  # fmt: skip
_USUAL_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
_PROGRAMS = ("docker", "docker-compose", "git", "rclone", "rsync", "ssh", "age")
_MADE_FOR = re.compile(r"^# Made by `opsconsole (?:schedule |collect --)install` for (?P<directory>.*): ", re.MULTILINE)


class Work(StrEnum):
    """What a job does: each can be installed beside the other."""

    SCHEDULE = "schedule"
    COLLECT = "collect"


class Job(Record, frozen=True):
    """`stack` is the name of the project. `words` and `environment` hold no secret."""

    stack: str
    directory: str
    words: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    work: Work = Work.SCHEDULE

    @property
    def key(self) -> str:
        return key_of(self.stack, self.work)

    @property
    def minute(self) -> int:
        """Of each ten: not that of every other stack on this host."""
        return zlib.crc32(self.stack.encode()) % MINUTES

    @property
    def made_for(self) -> str:
        """The comment that says whose it is."""
        installed_by = "collect --install" if self.work is Work.COLLECT else "schedule install"
        return (
            f"# Made by `opsconsole {installed_by}` for {self.directory}: "
            f"`opsconsole {self.removed_by}` takes it away again."
        )

    @property
    def removed_by(self) -> str:
        return "collect --remove" if self.work is Work.COLLECT else "schedule remove"


def key_of(stack: str, work: Work) -> str:
    """What units and marks in a crontab are called after. No name of a Compose project has a dot in it."""
    return stack if work is Work.SCHEDULE else f"{stack}.{work.value}"


def job(
    site: Site,
    stack: str,
    environment: Mapping[str, str] | None = None,
    which: Callable[[str], str | None] = shutil.which,
    *,
    work: Work = Work.SCHEDULE,
    command: tuple[str, ...] = ("schedule", "run"),
) -> Job:
    """The job of a stack that runs this command of ours.

    Raises SourceError for a name or a path that no crontab and no unit can hold."""
    around = os.environ if environment is None else environment
    config = ("--config", site.config_file) if site.config_file else ()
    target = site.project or str(site.directory)
    words = (sys.executable, "-P", "-m", "opsconsole", *command, "--stack", target, *config)
    settled = (("HOME", _home()), ("PATH", _path(which)))
    carried = tuple((name, around[name]) for name in _CARRIED if around.get(name))
    for text in (stack, str(site.directory), *words, *(value for _, value in (*settled, *carried))):
        if printable(text) != text:
            raise SourceError(f"{printable(text)!r} has control characters in it: no timer can be made for it")
    if "://" in (address := around.get("DOCKER_HOST", "")) and "@" in address and not address.startswith("ssh://"):
        raise SourceError("DOCKER_HOST spells out a login", "Use a docker context, or unset it, and try again.")
    return Job(stack=stack, directory=str(site.directory), words=words, environment=(*settled, *carried), work=work)


def made_for(text: str) -> str:
    """The directory of the stack that an installed text was made for, "" when it does not say."""
    found = _MADE_FOR.search(text)
    return found["directory"] if found else ""


def unseen_variables(directory: Path, config: Config, environment: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Variables that the settings name and only this terminal has: the job will not see them."""
    around = os.environ if environment is None else environment
    named = (config.mongodb.uri_env, config.redis.url_env, config.notify.webhook_env, config.notify.apprise_env)
    path = str(directory / config.stack.env_file) if config.stack.env_file else envfile.find(directory)
    kept = envfile.read(path, around).values if path else {}
    return tuple(name for name in dict.fromkeys(named) if name and name in around and name not in kept)


def _home() -> str:
    """Of the account that the job runs as: sudo may have left the one of whoever called it."""
    return pwd.getpwuid(os.geteuid()).pw_dir


def _path(which: Callable[[str], str | None]) -> str:
    """The usual directories, and those where the programs that we start really are."""
    places = [os.path.dirname(found) for name in _PROGRAMS if (found := which(name))]
    return ":".join(dict.fromkeys((*_USUAL_PATH, *(place for place in places if os.path.isabs(place)))))
