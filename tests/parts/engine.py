"""The engine the tests talk to: the contributor's own when it is usable, else one of ours."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from tests.parts.install import DOCKER_CONFIG, own_compose_works
from tests.parts.install import find as find_program
from tests.parts.machine import PATH, RUN, PartsError, locked, run, say, wait_until, works

SOCKET = RUN / "docker.sock"
PIDFILE = RUN / "dockerd.pid"
LOG = RUN / "dockerd.log"

# Everything we make on an engine says so: cleaning up touches nothing else.
LABEL = "opsconsole.test"


@dataclass(frozen=True)
class Engine:
    """An engine that answers, and the environment that points docker, Compose and the SDK at it."""

    docker_host: str
    ours: bool
    env: dict[str, str] = field(default_factory=dict)

    def docker(self, *words: str | Path, check: bool = True, timeout: float = 600) -> str:
        """Run the docker command against this engine; its stdout, stripped."""
        return run("docker", *words, env=self.env, check=check, timeout=timeout).stdout.strip()

    def version(self) -> str:
        """The server's version."""
        return self.docker("version", "--format", "{{.Server.Version}}")

    def gateway(self) -> str:
        """The host's address as a container sees it (what `host-gateway` resolves to)."""
        form = "{{with index .IPAM.Config 0}}{{.Subnet}} {{.Gateway}}{{end}}"
        subnet, *gateway = self.docker("network", "inspect", "bridge", "--format", form).split()
        # An engine that chose the subnet itself tells no gateway; it is the first address then.
        return gateway[0] if gateway else str(next(ipaddress.ip_network(subnet).hosts()))


def find() -> Engine:
    """The engine in use: ours when it runs, else the contributor's. PartsError when there is none."""
    if answers(f"unix://{SOCKET}"):
        return _engine(f"unix://{SOCKET}", ours=True)
    if host := _contributors_host():
        return _engine(host, ours=False)
    raise PartsError("no Docker engine answers; start one with: python -m tests.parts up")


def ensure() -> tuple[Engine, bool]:
    """The engine in use, or a new one of ours; with it, whether it was started now."""
    with locked("engine"):
        try:
            return find(), False
        except PartsError:
            return start(), True


def start() -> Engine:
    """Start our own dockerd, everything it has below one directory, and wait until it answers."""
    if os.geteuid() != 0:
        raise PartsError("no Docker engine answers and starting one needs root; start Docker, or run this as root")
    if find_program("dockerd") is None:
        raise PartsError("dockerd is not installed; run: python -m tests.parts install")
    if SOCKET.exists() or PIDFILE.exists():
        _clear_away()
    RUN.mkdir(mode=0o700, exist_ok=True)
    if RUN.stat().st_uid != os.getuid():
        raise PartsError(f"{RUN} belongs to somebody else; remove it")
    if not Path("/sys/class/net/docker0").exists():
        (RUN / "made-docker0").touch()
    say("starting our own Docker engine")
    with LOG.open("ab") as log:
        process = subprocess.Popen(
            [
                "dockerd",
                f"--data-root={RUN}/data",
                f"--exec-root={RUN}/exec",
                f"--pidfile={PIDFILE}",
                f"--host=unix://{SOCKET}",
                # A container that ignores SIGTERM must not hold up the end of a test run.
                "--shutdown-timeout=2",
            ],
            env={**os.environ, "PATH": PATH},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # A session of its own: it outlives the terminal that typed `up`.
            start_new_session=True,
        )
    host = f"unix://{SOCKET}"
    wait_until(lambda: answers(host) or process.poll() is not None, 60, f"dockerd does not answer, see {LOG}")
    if process.poll() is not None:
        last = LOG.read_text(errors="replace").strip().splitlines()[-1]
        raise PartsError(f"dockerd ended at once, see {LOG}: {last}")
    return _engine(host, ours=True)


def down() -> None:
    """Stop our engine and remove what it made; on a contributor's engine, remove only what carries our label."""
    from tests.parts import images, leftovers

    with locked("engine"):
        if not answers(f"unix://{SOCKET}"):
            _clear_away()
            if host := _contributors_host():
                theirs = _engine(host, ours=False)
                leftovers.remove(theirs)
                images.remove_ours(theirs)
            return
        ours = _engine(f"unix://{SOCKET}", ours=True)
        stop(ours)


def stop(engine: Engine) -> None:
    """Stop an engine of ours and remove its directory. All it holds is ours."""
    if not engine.ours:
        return
    if containers := engine.docker("ps", "--all", "--quiet").split():
        engine.docker("rm", "--force", "--volumes", *containers, check=False)
    engine.docker("network", "prune", "--force", check=False)
    pid = int(PIDFILE.read_text())
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: _is_gone(pid), 60, f"dockerd (process {pid}) does not end")
    _clear_away()


def answers(host: str) -> bool:
    """Whether an engine answers at this address."""
    if host.startswith("unix://") and not Path(host.removeprefix("unix://")).exists():
        return False
    return works("docker", "--host", host, "info", "--format", "{{.ServerVersion}}")


def _engine(host: str, *, ours: bool) -> Engine:
    env = {"DOCKER_HOST": host}
    # A contributor's own DOCKER_CONFIG stays in use unless it lacks Compose.
    if ours or not own_compose_works():
        env["DOCKER_CONFIG"] = str(DOCKER_CONFIG)
    if ours and not (DOCKER_CONFIG / "cli-plugins").exists():
        # Compose v2 is installed for the whole machine: nothing of ours to point at.
        del env["DOCKER_CONFIG"]
    return Engine(docker_host=host, ours=ours, env=env)


def _contributors_host() -> str | None:
    """The address of the engine that plain `docker` reaches, if it does."""
    if host := os.environ.get("DOCKER_HOST"):
        return host if answers(host) else None
    if not works("docker", "info", "--format", "{{.ServerVersion}}"):
        return None
    return run("docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}").stdout.strip()


def _is_gone(pid: int) -> bool:
    """Whether a process has ended; one of our own children is collected on the way."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def _clear_away() -> None:
    """Remove the directory of an engine that has ended (or was killed), mounts first."""
    if not RUN.exists():
        return
    _end_survivors()
    for mount in _mounts_below(RUN):
        run("umount", "--lazy", mount, check=False)
    if (RUN / "made-docker0").exists():
        run("ip", "link", "delete", "docker0", check=False)
    shutil.rmtree(RUN, ignore_errors=True)


def _end_survivors() -> None:
    """End what a killed engine left running: only processes whose command line names our directory."""
    mine = f"{RUN}/"
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        program = Path(command[0]).name
        if program in {"dockerd", "containerd", "containerd-shim-runc-v2"} and any(mine in word for word in command):
            pid = int(entry.name)
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            wait_until(lambda pid=pid: _is_gone(pid), 10, f"process {pid} does not end")  # type: ignore[misc]


def _mounts_below(directory: Path) -> list[str]:
    """The mount points below a directory, innermost first."""
    points = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    return sorted((point for point in points if point.startswith(f"{directory}/")), reverse=True)
