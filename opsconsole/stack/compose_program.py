"""Which Docker Compose this host has, and one call of it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from opsconsole.model import SourceError

TIMEOUT_SECONDS = 15.0

NO_COMPOSE_HINT = (
    "install Docker Compose: `apt-get install docker-compose-plugin` (Docker's packages), "
    "`apt-get install docker-compose-v2` (Ubuntu) or `apt-get install docker-compose` (Debian)"
)

# Where the docker command looks after its own directory, in its order (docker/cli, plugins of the CLI).
PLUGIN_DIRECTORIES = (
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
)

_VERSION = re.compile(r"\bv?(\d+\.\d+\.\d+)")
_versions: dict[tuple[object, ...], str] = {}  # of programs that were asked before


class ComposeHangs(SourceError):
    """Compose was asked and did not answer in time: asking it again at once would take as long."""


class ComposeCommand(msgspec.Struct, frozen=True):
    """A Compose that answers: the words to call it with, its version, and the words that we ask it with.

    `direct` is the plugin itself, which is the standalone program, too. The docker command before it starts it twice,
    once to hear that it is one: a look at a stack took 0.5 s of a processor so and takes 0.2 s without (Compose 2.40).
    """

    words: tuple[str, ...]
    version: str
    direct: tuple[str, ...] = ()

    def __str__(self) -> str:
        name = "docker compose" if len(self.words) > 1 else "docker-compose"
        return f"{name} {self.version}"

    @property
    def major(self) -> int:
        """1 for the old Python program, 2 and later for the Go one."""
        return int(self.version.partition(".")[0])

    @property
    def asking(self) -> tuple[str, ...]:
        """The words before a question: what is only read needs no docker command."""
        return self.direct or self.words


def find(environment: Mapping[str, str] | None = None) -> ComposeCommand | None:
    """The Compose of this host, the plugin before the standalone program. None when there is none that answers."""
    env = dict(os.environ if environment is None else environment)
    if docker := shutil.which("docker", path=env.get("PATH")):
        plugin = plugin_behind(docker, env)
        for direct in ((plugin,), ()) if plugin else ((),):
            if version := _version(direct or (docker, "compose"), env):
                return ComposeCommand((docker, "compose"), version, direct)
    standalone = shutil.which("docker-compose", path=env.get("PATH"))
    version = _version((standalone,), env) if standalone else ""
    return ComposeCommand((standalone,), version) if standalone and version else None


def ask(
    words: Sequence[str], env: dict[str, str], cwd: str | None, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run Compose to its end. Raises SourceError when it does not answer or cannot be started."""
    try:
        return subprocess.run(
            words,
            env={**env, "COMPOSE_ANSI": "never", "NO_COLOR": "1"},
            cwd=cwd,
            input=stdin,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ComposeHangs(
            f"Compose did not answer within {TIMEOUT_SECONDS:.0f} s",
            "the host is overloaded, or a file is on a dead mount",
        ) from None
    except OSError as error:
        raise SourceError(f"Compose cannot be started: {error.strerror}", NO_COMPOSE_HINT) from None


def plugin_behind(docker: str, environment: Mapping[str, str]) -> str:
    """The program that this docker command would run for `compose`; "" where that is not certain.

    Certain it is of Docker's own program only: a script, a snap or Podman's stand-in look elsewhere.
    """
    real = os.path.realpath(docker)
    if os.path.basename(real) != "docker" or not _is_program(real):
        return ""
    own = environment.get("DOCKER_CONFIG") or str(Path(environment.get("HOME") or Path.home(), ".docker"))
    if _names_more_directories(own):
        return ""
    candidates = (os.path.join(place, "docker-compose") for place in (f"{own}/cli-plugins", *PLUGIN_DIRECTORIES))
    first = next((path for path in candidates if os.path.lexists(path)), "")
    return first if first and _is_program(os.path.realpath(first)) and os.access(first, os.X_OK) else ""


def _names_more_directories(config: str) -> bool:
    """Whether the docker command is told to look for plugins elsewhere first; taken as yes where nobody can tell."""
    try:
        settings = json.loads(Path(config, "config.json").read_bytes())
    except FileNotFoundError:
        return False
    except (OSError, ValueError):
        return True
    return not isinstance(settings, dict) or bool(settings.get("cliPluginsExtraDirs"))


def _is_program(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(4) == b"\x7fELF"
    except OSError:
        return False


def _version(words: tuple[str, ...], env: dict[str, str]) -> str:
    """Asked once of each program; "" when it does not answer."""
    key = (words, *_stamp(words[0]))
    if known := _versions.get(key):
        return known
    try:
        answer = ask((*words, "version", "--short"), env, cwd=None)
    except SourceError:
        return ""
    found = _VERSION.search(answer.stdout) if answer.returncode == 0 else None
    # What stands behind the docker command may change while that stays as it is.
    if found and os.path.basename(words[0]) != "docker":
        _versions[key] = found[1]
    return found[1] if found else ""


def _stamp(path: str) -> tuple[object, ...]:
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return (os.path.realpath(path), found.st_mtime_ns, found.st_size, found.st_ino)
