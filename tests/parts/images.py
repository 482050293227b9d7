"""The images, made from the programs of this machine: no registry is asked.

An image is the program, the libraries that `ldd` lists, a static busybox, and an entry point that does what the
official image's does. It carries the tag that the compose files name, so Compose pulls nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from tests.parts.engine import LABEL, Engine
from tests.parts.install import MONGOD, find
from tests.parts.leftovers import run_name
from tests.parts.machine import PartsError, locked, run, say

ROOTFS = Path(__file__).parent / "rootfs"
CONTENT_LABEL = f"{LABEL}.content"

USERS = "root:x:0:0::/:/bin/sh\nmongodb:x:999:999::/data/db:/bin/sh\nredis:x:999:1000::/data:/bin/sh\n"
GROUPS = "root:x:0:\nmongodb:x:999:\nredis:x:1000:\n"


@dataclass(frozen=True)
class Image:
    """What an image is made of."""

    tag: str
    programs: tuple[str, ...]
    directories: tuple[str, ...]
    changes: tuple[str, ...]
    # name in /usr/local/bin -> script in rootfs/
    scripts: tuple[tuple[str, str], ...] = ()


IMAGES = (
    Image(
        tag="opsconsole-fixture/app:1",
        programs=(),
        directories=("app", "www"),
        changes=("WORKDIR /app", 'CMD ["/bin/sh"]'),
        scripts=tuple((name, f"{name}.sh") for name in ("backend", "frontend", "chatty", "hostile")),
    ),
    Image(
        tag="mongo:6.0",
        programs=(str(MONGOD), "setpriv"),
        directories=("data/db", "data/configdb"),
        changes=(
            "VOLUME /data/db /data/configdb",
            "EXPOSE 27017",
            "ENV MONGO_VERSION=6.0.5",
            'ENTRYPOINT ["docker-entrypoint.sh"]',
            'CMD ["mongod"]',
        ),
        scripts=(("docker-entrypoint.sh", "mongo-entrypoint.sh"),),
    ),
    Image(
        tag="redis:7",
        programs=("redis-server", "redis-cli", "redis-check-rdb", "redis-check-aof", "setpriv"),
        directories=("data",),
        changes=(
            "VOLUME /data",
            "WORKDIR /data",
            "EXPOSE 6379",
            'ENTRYPOINT ["docker-entrypoint.sh"]',
            'CMD ["redis-server"]',
        ),
        scripts=(("docker-entrypoint.sh", "redis-entrypoint.sh"),),
    ),
)


def build_all(engine: Engine) -> None:
    """Make every image that the engine does not have yet. An image of that name which is not ours is left alone."""
    with locked("images"):
        for image in IMAGES:
            present = engine.docker("images", "--quiet", image.tag)
            label = _content_label(engine, image.tag) if present else ""
            if present and not label:
                continue
            content = _content(image)
            if label != content:
                _import(engine, image, content)


def hold_all(engine: Engine) -> None:
    """Keep every image in use until this process ends: tests remove images that no container uses, as they should."""
    name = run_name()
    for number, image in enumerate(IMAGES):
        engine.docker("create", "--name", f"{name}holds-{number}", image.tag, "true")


def build(engine: Engine, tag: str) -> None:
    """Make one image, on an engine that does not have it."""
    image = next(one for one in IMAGES if one.tag == tag)
    _import(engine, image, _content(image))


def remove_ours(engine: Engine) -> None:
    """Remove the images that carry our label."""
    for image in IMAGES:
        if engine.docker("images", "--quiet", image.tag) and _content_label(engine, image.tag):
            engine.docker("rmi", "--force", image.tag, check=False)


def _content_label(engine: Engine, tag: str) -> str:
    found = engine.docker("image", "inspect", "--format", f'{{{{index .Config.Labels "{CONTENT_LABEL}"}}}}', tag)
    return "" if found == "<no value>" else found


def _import(engine: Engine, image: Image, content: str) -> None:
    """Stream the root file system into the engine as a tar archive."""
    say(f"building {image.tag}")
    labels = [f"LABEL {LABEL}=1 {CONTENT_LABEL}={content}", "ENV PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"]
    changes = [word for change in (*labels, *image.changes) for word in ("--change", change)]
    process = subprocess.Popen(
        ["docker", "import", *changes, "-", image.tag],
        env={**os.environ, **engine.env},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None and process.stderr is not None
    # A refusal ends the pipe early; what the engine says about it is read below.
    with (
        contextlib.suppress(BrokenPipeError),
        process.stdin,
        tarfile.open(fileobj=process.stdin, mode="w|") as archive,
    ):
        for member, source in _members(image):
            if source is None:
                archive.addfile(member)
            elif isinstance(source, bytes):
                archive.addfile(member, io.BytesIO(source))
            else:
                with source.open("rb") as handle:
                    archive.addfile(member, handle)
    problem = process.stderr.read().decode(errors="replace").strip()
    process.stderr.close()
    if process.wait() != 0:
        raise PartsError(f"docker import {image.tag}: {problem}")


def _content(image: Image) -> str:
    """A name for what the image holds: the same programs and scripts give the same name."""
    # The tree that a program was fetched into does not count: two of them share an engine.
    made_of = replace(image, programs=tuple(Path(program).name for program in image.programs))
    digest = hashlib.sha256(repr(made_of).encode())
    for member, source in _members(image):
        digest.update(f"{member.name} {member.mode} {member.linkname}".encode())
        if isinstance(source, bytes):
            digest.update(source)
        elif source is not None:
            # Not read: mongod alone has 140 MB.
            digest.update(f"{source.stat().st_size} {source.stat().st_mtime_ns}".encode())
    return digest.hexdigest()[:16]


def _members(image: Image) -> Iterator[tuple[tarfile.TarInfo, Path | bytes | None]]:
    """Every entry of the image's file system, with where its content comes from."""
    if os.uname().sysname != "Linux" or os.uname().machine != "x86_64":
        raise PartsError(f"{image.tag} is made of this machine's programs, which needs Linux on x86-64")
    busybox = _located("busybox")
    yield from _directories("bin", "etc", "proc", "sys", "dev", "tmp", "usr/bin", "usr/local/bin", *image.directories)
    yield _file("etc/passwd", USERS.encode())
    yield _file("etc/group", GROUPS.encode())
    yield _file("bin/busybox", busybox, mode=0o755)
    for applet in run(busybox, "--list").stdout.split():
        if applet not in {"busybox", "setpriv"}:
            yield _link(f"bin/{applet}", "busybox")
    for name, script in image.scripts:
        yield _file(f"usr/local/bin/{name}", (ROOTFS / script).read_bytes(), mode=0o755)
    programs = [_located(program) for program in image.programs]
    for program in programs:
        yield _file(f"usr/bin/{program.name}", program, mode=0o755)
    for name, library in sorted(_libraries(programs).items()):
        yield _file(name.lstrip("/"), library, mode=0o755)


def _libraries(programs: list[Path]) -> dict[str, Path]:
    """The libraries that the programs load: the path they look at -> the file that lies there."""
    found = {}
    for program in programs:
        for line in run("ldd", program).stdout.splitlines():
            for word in line.replace("=>", " ").split():
                if word.startswith("/"):
                    found[word] = Path(word).resolve()
    return found


def _located(program: str) -> Path:
    path = program if os.sep in program else find(program)
    if path is None or not Path(path).exists():
        raise PartsError(f"{program} is missing; run: python -m tests.parts install")
    return Path(path)


def _directories(*names: str) -> Iterator[tuple[tarfile.TarInfo, None]]:
    for name in names:
        member = tarfile.TarInfo(name)
        member.type = tarfile.DIRTYPE
        member.mode = 0o1777 if name == "tmp" else 0o755
        yield member, None


def _file(name: str, content: Path | bytes, mode: int = 0o644) -> tuple[tarfile.TarInfo, Path | bytes]:
    member = tarfile.TarInfo(name)
    member.size = len(content) if isinstance(content, bytes) else content.stat().st_size
    member.mode = mode
    return member, content


def _link(name: str, target: str) -> tuple[tarfile.TarInfo, None]:
    member = tarfile.TarInfo(name)
    member.type = tarfile.SYMTYPE
    member.linkname = target
    return member, None
