"""The engine the tests talk to: the contributor's own when it is usable, else one of ours."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import docker
import psutil

from tests.parts.install import DOCKER_CONFIG, NEWER_ENGINE, own_compose_works
from tests.parts.install import find as find_program
from tests.parts.machine import PATH, RUN, PartsError, locked, run, say, wait_until, works

# Everything we make on an engine says so: cleaning up touches nothing else.
LABEL = "opsconsole.test"

# Go programs look for garbage less often then: most of those that we start are over before it pays.
GARBAGE = {"GOGC": "400"}


@dataclass(frozen=True)
class Home:
    """Where an engine of ours lives, and what it runs on."""

    directory: Path
    # Where its programs are, when they are not the machine's own.
    programs: Path | None = None
    # A second engine in the same network would take the first one's bridge away.
    network: str = ""

    @property
    def socket(self) -> Path:
        return self.directory / "docker.sock"

    @property
    def pidfile(self) -> Path:
        return self.directory / "dockerd.pid"

    @property
    def log(self) -> Path:
        return self.directory / "dockerd.log"

    @property
    def host(self) -> str:
        return f"unix://{self.socket}"

    @property
    def path(self) -> str:
        """PATH for dockerd: its own containerd comes first, runc is always the machine's."""
        if self.programs is None:
            return PATH
        own = [str(self.programs / "usr" / directory) for directory in ("sbin", "bin")]
        return os.pathsep.join([*own, PATH])


OURS = Home(RUN)
# Of the one test that empties it: nobody else's images are on it, and no registry is reached from it.
PRUNED = Home(RUN.with_name(f"{RUN.name}-pruned"), network="opsctest-pruned")
NEWER = Home(RUN.with_name(f"{RUN.name}-newer"), programs=NEWER_ENGINE, network="opsctest-newer")


@dataclass(frozen=True)
class Engine:
    """An engine that answers, and the environment that points docker, Compose and the SDK at it."""

    docker_host: str
    # Where it lives when it is one of ours.
    home: Home | None = None
    env: dict[str, str] = field(default_factory=dict)

    @property
    def ours(self) -> bool:
        """Whether it holds nothing but what tests made."""
        return self.home is not None

    def docker(self, *words: str | Path, check: bool = True, timeout: float = 600) -> str:
        """Run the docker command against this engine; its stdout, stripped."""
        return run("docker", *words, env=self.env, check=check, timeout=timeout).stdout.strip()

    def containers(self, project: str) -> list[dict[str, Any]]:
        """What the engine says of each container of a project, whatever its state. Asked from this process: a sweep
        asks hundreds of times, and the docker command takes ten times as long."""
        client = _client(self.docker_host)
        listed = client.containers(all=True, filters={"label": f"com.docker.compose.project={project}"})
        found = []
        for one in listed:
            with contextlib.suppress(docker.errors.NotFound):  # it may be gone by now; the rest is still wanted
                found.append(client.inspect_container(one["Id"]))
        return found

    def compose(self, *words: str) -> list[str]:
        """`docker compose` with these words, by the plugin itself where it is ours: docker starts it twice."""
        own = Path(self.env.get("DOCKER_CONFIG", ""), "cli-plugins", "docker-compose")
        return [str(own), *words] if "DOCKER_CONFIG" in self.env else ["docker", "compose", *words]

    def image_labels(self, image: str) -> dict[str, str]:
        return _client(self.docker_host).inspect_image(image)["Config"]["Labels"] or {}

    def version(self) -> str:
        """The server's version."""
        return self.docker("version", "--format", "{{.Server.Version}}")

    def gateway(self) -> str:
        """The host's address as a container sees it (what `host-gateway` resolves to)."""
        form = "{{with index .IPAM.Config 0}}{{.Subnet}} {{.Gateway}}{{end}}"
        subnet, *gateway = self.docker("network", "inspect", "bridge", "--format", form).split()
        # An engine that chose the subnet itself tells no gateway; it is the first address then.
        return gateway[0] if gateway else str(next(ipaddress.ip_network(subnet).hosts()))


@cache
def _client(docker_host: str) -> docker.APIClient:
    asking = docker.utils.kwargs_from_env(environment={**os.environ, "DOCKER_HOST": docker_host})
    return docker.APIClient(**asking, version="auto", timeout=60)


def find() -> Engine:
    """The engine in use: ours when it runs, else the contributor's. PartsError when there is none."""
    if answers(OURS.host):
        return _engine(OURS.host, OURS)
    if host := _contributors_host():
        return _engine(host, None)
    raise PartsError("no Docker engine answers; start one with: python -m tests.parts up")


def ensure() -> tuple[Engine, bool]:
    """The engine in use, or a new one of ours; with it, whether it was started now."""
    with locked("engine"):
        try:
            return find(), False
        except PartsError:
            return start(OURS), True


def find_or_start() -> Engine:
    """The engine in use, or a new one of ours, which then stays until `down`."""
    return ensure()[0]


def ensure_newer() -> tuple[Engine, bool]:
    """The second row of the version matrix: a newer engine, always ours, in a network of its own.

    Ports that its containers publish are reachable in that network only.
    """
    with locked("engine"):
        if answers(NEWER.host):
            return _engine(NEWER.host, NEWER), False
        return start(NEWER), True


def start(home: Home) -> Engine:
    """Start our own dockerd, everything it has below one directory, and wait until it answers."""
    if os.geteuid() != 0:
        raise PartsError("no Docker engine answers and starting one needs root; start Docker, or run this as root")
    if shutil.which("dockerd", path=home.path) is None:
        raise PartsError("dockerd is not installed; run: python -m tests.parts install")
    _clear_away(home)
    home.directory.mkdir(mode=0o700)
    return _serve(home, _network(home))


def halt(engine: Engine) -> None:
    """Stop an engine of ours as a service manager does; what it holds stays for `resume`."""
    assert engine.home is not None
    pid = int(engine.home.pidfile.read_text())
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: _is_gone(pid), 60, f"dockerd (process {pid}) does not end")


def resume(engine: Engine) -> None:
    """Start again what was halted."""
    assert engine.home is not None
    _serve(engine.home, _into(engine.home))


def _serve(home: Home, prefix: list[str]) -> Engine:
    say("starting our own Docker engine")
    with home.log.open("ab") as log:
        process = subprocess.Popen(
            [
                *prefix,
                "dockerd",
                f"--data-root={home.directory}/data",
                f"--exec-root={home.directory}/exec",
                f"--pidfile={home.pidfile}",
                f"--host={home.host}",
                # A container that ignores SIGTERM must not hold up the end of a test run.
                "--shutdown-timeout=2",
                f"--iptables={'false' if _forwards(prefix, home) else 'true'}",
                # To put the filter of system calls together is a sixth of the work of every health check.
                f"--seccomp-profile={_unfiltered(home)}",
            ],
            env={**os.environ, **GARBAGE, "PATH": home.path},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # A session of its own: it outlives the terminal that typed `up`.
            start_new_session=True,
        )
    try:
        wait_until(lambda: answers(home.host) or process.poll() is not None, 60, "dockerd does not answer")
    except PartsError:
        process.kill()
        raise PartsError(f"dockerd does not answer, see {home.log}") from None
    if process.poll() is not None:
        last = home.log.read_text(errors="replace").strip().splitlines()[-1:]
        raise PartsError(f"dockerd ended at once, see {home.log}: {' '.join(last)}")
    return _engine(home.host, home)


def _forwards(prefix: list[str], home: Home) -> bool:
    """Whether containers reach each other without rules for each network and port, which are half a dozen programs to
    start. What is published on 127.0.0.1 is passed on by docker-proxy in any case. Where a firewall is, or an engine
    with rules ran before, nothing is forwarded without them."""
    policy = run(*prefix, "iptables", "-S", "FORWARD", env={"PATH": home.path}, check=False).stdout
    return policy.startswith("-P FORWARD ACCEPT")


def _unfiltered(home: Home) -> Path:
    """A filter that lets every system call through."""
    path = home.directory / "seccomp.json"
    path.write_text('{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": []}\n')
    return path


def down() -> None:
    """Stop our engines and remove what they made; on a contributor's engine, remove only what carries our label."""
    from tests.parts import images, leftovers

    with locked("engine"):
        for home in (NEWER, PRUNED, OURS):
            if answers(home.host):
                stop(_engine(home.host, home))
            else:
                _clear_away(home)
        if host := _contributors_host():
            theirs = _engine(host, None)
            leftovers.remove(theirs)
            images.remove_ours(theirs)


def stop(engine: Engine) -> None:
    """Stop an engine of ours and remove its directory. All it holds is ours."""
    if engine.home is None:
        return
    if containers := engine.docker("ps", "--all", "--quiet").split():
        engine.docker("rm", "--force", "--volumes", *containers, check=False)
    engine.docker("network", "prune", "--force", check=False)
    halt(engine)
    _clear_away(engine.home)


def answers(host: str) -> bool:
    """Whether an engine answers at this address."""
    if host.startswith("unix://") and not Path(host.removeprefix("unix://")).exists():
        return False
    return works("docker", "--host", host, "info", "--format", "{{.ServerVersion}}")


def _engine(host: str, home: Home | None) -> Engine:
    env = {"DOCKER_HOST": host, **GARBAGE}
    # A contributor's own DOCKER_CONFIG stays in use unless it lacks Compose.
    if (DOCKER_CONFIG / "cli-plugins").exists() and (home is not None or not own_compose_works()):
        env["DOCKER_CONFIG"] = str(DOCKER_CONFIG)
    return Engine(docker_host=host, home=home, env=env)


def _contributors_host() -> str | None:
    """The address of the engine that plain `docker` reaches, if it does and is none of ours."""
    host = os.environ.get("DOCKER_HOST")
    if host in (OURS.host, NEWER.host):
        return None
    if host:
        return host if answers(host) else None
    if not works("docker", "info", "--format", "{{.ServerVersion}}"):
        return None
    return run("docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}").stdout.strip()


def _network(home: Home) -> list[str]:
    """Prepare the network an engine lives in; the words that put a command into it."""
    if not home.network:
        if not Path("/sys/class/net/docker0").exists():
            (home.directory / "made-docker0").touch()
        return []
    run("ip", "netns", "add", home.network)
    prefix = _into(home)
    run(*prefix, "ip", "link", "set", "lo", "up")
    return prefix


def _into(home: Home) -> list[str]:
    """The words that put a command into the network of an engine's own."""
    nsenter = find_program("nsenter")
    if nsenter is None:
        raise PartsError("nsenter is missing; install util-linux")
    # Not `ip netns exec`: that hides the control groups, and dockerd ends at once.
    return [nsenter, f"--net=/run/netns/{home.network}"]


def _is_gone(pid: int) -> bool:
    """Whether a process has ended; one of our own children is collected on the way."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    return not psutil.pid_exists(pid)


def _clear_away(home: Home) -> None:
    """Remove the directory of an engine that has ended (or was killed), mounts first."""
    if home.directory.exists():
        if home.directory.stat().st_uid != os.getuid():
            raise PartsError(f"{home.directory} belongs to somebody else; remove it")
        _end_survivors(home)
        for mount in _mounts_below(home.directory):
            run("umount", "--lazy", mount, check=False)
        if (home.directory / "made-docker0").exists():
            run("ip", "link", "delete", "docker0", check=False)
        shutil.rmtree(home.directory, ignore_errors=True)
    if home.network and Path("/run/netns", home.network).exists():
        run("ip", "netns", "delete", home.network, check=False)


def _end_survivors(home: Home) -> None:
    """End what a killed engine left running: its programs name our directory on their command line, with all below."""
    mine = f"{home.directory}/"
    doomed: dict[int, psutil.Process] = {}
    for process in psutil.process_iter(["name", "cmdline"]):
        known = process.info["name"] in {"dockerd", "containerd"} or process.info["name"].startswith("containerd-shim")
        if known and any(mine in word for word in process.info["cmdline"] or []):
            with contextlib.suppress(psutil.NoSuchProcess):
                doomed |= {child.pid: child for child in (process, *process.children(recursive=True))}
    for process in doomed.values():
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    for pid in doomed:
        wait_until(lambda pid=pid: _is_gone(pid), 10, f"process {pid} does not end")  # type: ignore[misc]


def _mounts_below(directory: Path) -> list[str]:
    """The mount points below a directory, innermost first."""
    points = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    return sorted((point for point in points if point.startswith(f"{directory}/")), reverse=True)
