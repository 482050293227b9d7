"""Runs git on a working tree: as its owner, without its hooks, without a question to anybody, never for ever.

A repository's own settings can name programs (hooks, filters, ssh), and who can write to the tree can write those.
So git runs as the owner of the tree when we are root. Git itself refuses trees of other people, and that refusal is
never overruled here.
"""

from __future__ import annotations

import itertools
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from opsconsole.model import Record, SourceError
from opsconsole.text import mask_text, printable

LOOK_SECONDS = 20.0
FETCH_SECONDS = 120.0

# No hook, no watcher, no housekeeping in the background, and submodules stay as they are. In the environment, as `-c`
# hands it to git's own children: what a plan shows is what an operator types.
_QUIETLY = ("core.hooksPath=/dev/null", "core.fsmonitor=false", "gc.auto=0", "maintenance.auto=false",
            "submodule.recurse=false")  # fmt: skip

_KEPT = re.compile(
    r"^(?:PATH|HOME|USER|LOGNAME|TMPDIR|TZ|SSH_AUTH_SOCK|XDG_CONFIG_HOME|SSL_CERT_\w+|GIT_SSL_\w+|GIT_SSH\w*|GIT_ASKPASS"
    r"|GIT_CONFIG_\w+|(?:https?|all|no)_proxy)$",
    re.IGNORECASE,
)
_OF_A_PERSON = re.compile(r"^(?:HOME|USER|LOGNAME|XDG_CONFIG_HOME|TMPDIR|GIT_CONFIG_(?:GLOBAL|SYSTEM))$")
_USERINFO = re.compile(r"^[a-z][a-z0-9+.-]*://([^/@]+)@", re.IGNORECASE)
_REASON = re.compile(r"^(?:fatal|error|ssh|remote): ?", re.IGNORECASE)


class Account(Record, frozen=True):
    """Whom a program runs as, and with what environment. `user` is None for whoever we are."""

    environment: dict[str, str] = {}
    user: int | None = None
    group: int = 0
    groups: tuple[int, ...] = ()

    def __repr__(self) -> str:
        return f"Account({self.user})"


class Git:
    """Git on the tree around a directory. Raises SourceError when there is no git or no tree."""

    def __init__(self, directory: Path, environment: Mapping[str, str] | None = None) -> None:
        found = top_of(directory)
        if found is None:
            raise SourceError(
                f"{printable(str(directory))} is not in a git repository",
                "`opsconsole deploy` deploys what is there.",
            )
        self.top = found
        self.account = owner_account(found, os.environ if environment is None else environment)
        if shutil.which("git", path=self.account.environment.get("PATH")) is None:
            raise SourceError("git is not installed on this host", "Install it: `apt-get install git`.")

    def words(self, *words: str) -> tuple[str, ...]:
        """The command as it can be typed in the stack's directory."""
        return ("git", *words)

    def ask(self, *words: str, seconds: float = LOOK_SECONDS, stdin: bytes = b"") -> bytes:
        """What it prints. Raises SourceError with git's own line when it fails."""
        done = self.run(*words, seconds=seconds, stdin=stdin)
        if done.returncode != 0:
            raise SourceError(f"git {words[0]} failed: {complaint(done.stderr)}", _hint(done.stderr))
        return done.stdout

    def line(self, *words: str) -> str:
        """The first line of what it prints, "" when it fails."""
        done = self.run(*words)
        return done.stdout.decode(errors="replace").partition("\n")[0].strip() if done.returncode == 0 else ""

    def run(
        self,
        *words: str,
        seconds: float = LOOK_SECONDS,
        stdin: bytes = b"",
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run it to its end. Raises SourceError when it cannot be started or does not end in time."""
        account = self.account
        try:
            return subprocess.run(
                # A look writes nothing, not even a fresher index.
                ("git", "--no-optional-locks", *self.words(*words)[1:]),
                cwd=self.top,
                env={**account.environment, **(environment or {})},
                input=stdin,
                capture_output=True,
                timeout=seconds,
                check=False,
                start_new_session=True,  # no terminal to ask for a password on
                user=account.user,
                group=account.group if account.user is not None else None,
                extra_groups=account.groups if account.user is not None else None,
            )
        except subprocess.TimeoutExpired:
            raise SourceError(
                f"git {words[0]} did not end within {seconds:.0f} s",
                "The network or the disk is slow; try it by hand in the stack's directory.",
            ) from None
        except OSError as error:
            raise SourceError(f"git cannot be started: {error.strerror}") from None


def top_of(directory: Path) -> Path | None:
    """The top of the working tree around a directory, None outside of one."""
    return next((top for top in (directory, *directory.parents) if os.path.lexists(top / ".git")), None)


def owner_account(top: Path, environment: Mapping[str, str]) -> Account:
    """Whom git runs as on this tree: its owner when we are root, else who we are."""
    kept = {name: value for name, value in environment.items() if _KEPT.match(name)}
    kept.setdefault("PATH", os.defpath)
    quiet = {
        "LC_ALL": "C",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": kept.get("GIT_ASKPASS", ""),
        "SSH_ASKPASS_REQUIRE": "never",
        "GIT_PAGER": "cat",
        "GIT_CONFIG_PARAMETERS": " ".join(f"'{setting}'" for setting in _QUIETLY),
    }
    owner = top.stat()
    if os.geteuid() != 0 or owner.st_uid == 0:
        return Account(environment={**kept, **quiet})
    kept = {name: value for name, value in kept.items() if not _OF_A_PERSON.match(name)}
    try:
        entry = pwd.getpwuid(owner.st_uid)
    except KeyError:
        return Account(
            environment={**kept, **quiet, "HOME": "/nonexistent"}, user=owner.st_uid, group=owner.st_gid, groups=()
        )
    person = {"HOME": entry.pw_dir, "USER": entry.pw_name, "LOGNAME": entry.pw_name}
    groups = tuple(os.getgrouplist(entry.pw_name, entry.pw_gid))
    return Account(environment={**kept, **quiet, **person}, user=entry.pw_uid, group=entry.pw_gid, groups=groups)


def complaint(stderr: bytes, secrets: tuple[str, ...] = ()) -> str:
    """The line of git's messages that says what is wrong, without secrets."""
    lines = [line.rstrip() for line in stderr.decode(errors="replace").splitlines() if line.strip()]
    # git says `error:` for each cause and `fatal:` at the end; ssh's own line comes first.
    at = next((number for number, line in enumerate(lines) if _REASON.match(line)), 0)
    reason = _REASON.sub("", lines[at]) if lines else "no reason given"
    if reason.endswith(":"):  # names follow, one a line, behind a tab
        names = [line.strip() for line in itertools.takewhile(lambda line: line.startswith("\t"), lines[at + 1 :])]
        reason = f"{reason} {', '.join(names[:6])}" + (f" and {len(names) - 6} more" if len(names) > 6 else "")
    return mask_text(printable(reason.strip()), secrets)


def userinfo(url: str) -> tuple[str, ...]:
    """What stands before the @ of an address: a token may stand there alone, without a user."""
    found = _USERINFO.match(url)
    if found is None or "://git@" in url:
        return ()
    return tuple(part for part in (found[1], *found[1].split(":")) if part)


def _hint(stderr: bytes) -> str:
    if b"dubious ownership" in stderr:
        return "Run opsconsole as the owner of the repository, or with sudo."
    if b"index.lock" in stderr or b".lock': File exists" in stderr:
        return "Another git is at work there, or was killed: look, and remove the lock file that it names."
    return ""


def without_questions(git: Git) -> dict[str, str]:
    """Environment for a fetch: ssh asks for nothing. An ssh that somebody chose stays the one they chose."""
    environment = git.account.environment
    chosen = "GIT_SSH" in environment or "GIT_SSH_COMMAND" in environment or git.line("config", "core.sshCommand")
    return {} if chosen else {"GIT_SSH_COMMAND": "ssh -o BatchMode=yes -o ConnectTimeout=15"}


def words_of(paths: Sequence[bytes]) -> tuple[str, ...]:
    """Paths as git printed them; what is no UTF-8 survives the way back to the file system."""
    return tuple(os.fsdecode(path) for path in paths if path)
