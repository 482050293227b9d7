"""Who does it and from where: the person behind sudo, the address behind SSH."""

from __future__ import annotations

import os
import pwd
import socket
from pathlib import Path

from opsconsole.model import Record

_NO_LOGIN = (1 << 32) - 1  # /proc/self/loginuid when nobody logged in (a service, a container)
_ANCESTORS = 16


class Who(Record, frozen=True):
    """The operator. `account` is the one it runs as; `source` is "" on the machine itself."""

    login: str
    account: str = ""
    source: str = ""  # address of the SSH client
    host: str = ""

    def words(self) -> str:
        """`mina (as root) from 10.0.0.7`."""
        account = f" (as {self.account})" if self.account and self.account != self.login else ""
        return f"{self.login}{account}" + (f" from {self.source}" if self.source else "")


def current() -> Who:
    """The operator of this process."""
    return Who(login=login_name(), account=_name(os.geteuid()), source=ssh_source(), host=socket.gethostname())


def login_name() -> str:
    """Who logged in: SUDO_USER is what sudo says, the login uid is what the kernel kept."""
    sudo = os.environ.get("SUDO_USER", "") if os.geteuid() == 0 else ""
    kept = _login_uid()
    if kept is not None and (not sudo or _name(kept) != sudo):
        return _name(kept)
    return sudo or _name(os.getuid())


def ssh_source() -> str:
    """The client's address; sudo takes SSH_CONNECTION away, so the processes above are asked too."""
    if found := os.environ.get("SSH_CONNECTION"):
        return found.split()[0]
    pid = os.getppid()
    for _ in range(_ANCESTORS):
        if pid <= 1:
            break
        if found := _variable_of(pid, "SSH_CONNECTION"):
            return found.split()[0]
        pid = _parent_of(pid)
    return ""


def _login_uid() -> int | None:
    try:
        uid = int(Path("/proc/self/loginuid").read_text())
    except (OSError, ValueError):
        return None
    return None if uid == _NO_LOGIN else uid


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _variable_of(pid: int, name: str) -> str:
    try:
        entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return ""
    prefix = f"{name}=".encode()
    found = next((entry for entry in entries if entry.startswith(prefix)), b"")
    return found[len(prefix) :].decode(errors="replace")


def _parent_of(pid: int) -> int:
    try:
        # The program's name stands in parentheses and may hold spaces and parentheses itself.
        return int(Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return 0
