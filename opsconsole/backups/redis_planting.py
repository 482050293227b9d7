"""Giving Redis a whole RDB file through its data directory, while it is stopped: for a server without room beside its
live data. With `appendonly yes` the file becomes the base of a new append-only file, because a dump.rdb is ignored
then. Needs Redis 7 with `appendonly yes`; before that the append-only file is one file with no base.

    prepare -> exchanges, to be written down -> swapping.forward (or back), with the server stopped
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from opsconsole.backups.encryption import NO_KEYS, Keys
from opsconsole.backups.packed_files import UnpackedFile
from opsconsole.backups.reading import Corrupt
from opsconsole.backups.redis_link import linked
from opsconsole.backups.swapping import NEW, OLD, Exchange
from opsconsole.durable import sync_directory
from opsconsole.model import Record, SourceError


class ServerFiles(Record, frozen=True):
    """How a server names its files; asked while it runs."""

    appendonly: bool
    dump: str = "dump.rdb"
    append_file: str = "appendonly.aof"
    append_directory: str = "appendonlydir"
    version: str = ""


def server_files(uri: str) -> ServerFiles:
    """Raises SourceError."""
    with linked(uri) as link:
        return ServerFiles(
            appendonly=link.setting("appendonly") == "yes",
            dump=link.setting("dbfilename") or "dump.rdb",
            append_file=link.setting("appendfilename") or "appendonly.aof",
            append_directory=link.setting("appenddirname") or "appendonlydir",
            version=link.info().get("redis_version", ""),
        )


def prepare(data: Path, source: Path, files: ServerFiles, name: str, keys: Keys = NO_KEYS) -> tuple[Exchange, ...]:
    """Copy the RDB file beside the live files, and say what is to be renamed. Nothing that is live is touched.

    `data` is the server's data directory as this host sees it, and the copy gets its owner. `keys`: of an
    encrypted file. Raises SourceError or OSError.
    """
    refuse(files)
    new, old = data / f"{NEW}{name}", data / f"{OLD}{name}"
    if new.exists():
        shutil.rmtree(new)  # of an attempt that was cut off
    new.mkdir(mode=0o700)
    owner = data.stat()
    if files.appendonly:
        base = f"{files.append_file}.1.base.rdb"
        (new / files.append_directory).mkdir(mode=0o755)
        _copy(source, new / files.append_directory / base, keys)
        listing = new / files.append_directory / f"{files.append_file}.manifest"
        listing.write_text(f"file {base} seq 1 type b\n")
        listing.chmod(0o644)
    else:
        _copy(source, new / files.dump, keys)
    _settle(new, owner)
    # A dump.rdb beside an append-only file is ignored, and stays.
    item = files.append_directory if files.appendonly else files.dump
    had = os.path.lexists(data / item)
    return (Exchange(live=str(data / item), new=str(new / item), old=str(old / item), had=had),)


def refuse(files: ServerFiles) -> None:
    """Raises SourceError for a server that does not load what is laid there."""
    major = files.version.partition(".")[0]
    if files.appendonly and major.isdigit() and int(major) < 7:
        raise SourceError(
            f"Redis {files.version} with `appendonly yes` does not load a dump from its directory",
            "Load it key by key instead, or use Redis 7.",
        )
    for file in (files.dump, files.append_file, files.append_directory):
        if "/" in file or file in ("", ".", ".."):
            raise SourceError(f"Redis names a file that lies elsewhere: {ascii(file)[:80]}")


def _copy(source: Path, target: Path, keys: Keys) -> None:
    try:
        with UnpackedFile(source, keys=keys) as given, target.open("xb") as taken:
            while data := given.read(1 << 20):
                taken.write(data)
    except Corrupt as fault:
        raise SourceError(f"{source.name} {fault.problem}", "Verify the backup; choose another one.") from None
    target.chmod(0o644)


def _settle(top: Path, owner: os.stat_result) -> None:
    """The server's own user must be able to read it, and it is on the disk."""
    for directory, _, files in os.walk(top, topdown=False):
        for name in files:
            path = Path(directory, name)
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
            _own(path, owner)
        if directory != str(top):
            _own(Path(directory), owner)
        sync_directory(Path(directory))


def _own(path: Path, owner: os.stat_result) -> None:
    if os.geteuid() == 0:
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
