"""Directories saved and given back, by us and by stock tar; hostile tar files; the configuration."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import socket
import stat
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opsconsole.backups import swapping, tar_format
from opsconsole.backups.config_part import ConfigSaver, read_state
from opsconsole.backups.files_loading import extract
from opsconsole.backups.files_part import FilesSaver, check_files_part
from opsconsole.backups.manifest import Part
from opsconsole.backups.packed_files import Packing
from opsconsole.backups.tar_format import Item, Kind
from opsconsole.model import SourceError

ROOT = os.geteuid() == 0
LARGE = 1 << 40


def described(directory: Path) -> dict[bytes, object]:
    """All that is to be kept of a tree."""
    found: dict[bytes, object] = {}
    inodes: dict[int, bytes] = {}
    top = os.fsencode(directory)
    for path, names, files in os.walk(top):
        for name in sorted([*names, *files]) + ([b"."] if path == top else []):
            full = os.path.join(path, name)
            status = os.lstat(full)
            relative = os.path.relpath(full, top)
            content: object = None
            if stat.S_ISLNK(status.st_mode):
                content = os.readlink(full)
            elif stat.S_ISREG(status.st_mode):
                content = (Path(os.fsdecode(full)).read_bytes(), inodes.setdefault(status.st_ino, relative))
            found[relative] = (status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns, content)
    return found


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Path]:
    top = tmp_path / "uploads"
    (top / "2026" / "january").mkdir(parents=True)
    (top / "empty").mkdir(mode=0o711)
    (top / "a.png").write_bytes(b"PNG" * 1000)
    (top / "none").write_bytes(b"")
    (top / "2026" / "january" / ("long-" + "n" * 200)).write_bytes(b"long")
    (top / "2026" / "ünïcode \n \x1b[2J.txt").write_bytes(b"odd")
    Path(os.fsdecode(os.fsencode(top) + b"/\xff\xfe.bin")).write_bytes(b"no text")
    os.link(top / "a.png", top / "2026" / "another name.png")
    (top / "link").symlink_to("2026/january")
    (top / "outside").symlink_to("/etc/hostname")
    (top / "dangling").symlink_to("x" * 300)
    os.mkfifo(top / "pipe", 0o640)
    (top / "tool").write_bytes(b"#!/bin/sh\n")
    (top / "tool").chmod(0o4755)
    if ROOT:
        os.chown(top / "a.png", 1000, 3_000_000)
        os.chown(top / "link", 33, 33, follow_symlinks=False)
    with (top / "sparse").open("wb") as file:
        file.truncate(3 << 20)
        file.seek(1 << 20)
        file.write(b"in the middle")
    (top / "2026" / "holes only").touch()
    os.truncate(top / "2026" / "holes only", 1 << 20)
    os.utime(top / "a.png", ns=(1, 1_700_000_000_123_456_789))
    os.utime(top / "none", ns=(1, -5_000_000_001))
    os.utime(top / "2026", ns=(1, 1_000_000_000))
    with socket.socket(socket.AF_UNIX) as server:
        here = os.getcwd()
        os.chdir(top)
        try:
            server.bind("socket")
        finally:
            os.chdir(here)
        yield top


def save(tree: Path, place: Path, **options: object) -> Part:
    place.mkdir(exist_ok=True)
    return FilesSaver("uploads", tree, **options).save(place)  # type: ignore[arg-type]


@pytest.mark.parametrize("packing", list(Packing))
def test_saved_and_given_back(tree: Path, tmp_path: Path, packing: Packing) -> None:
    part = save(tree, tmp_path / "backup", packing=packing)
    (file,) = part.files
    assert file.path == f"files-uploads.tar{packing.suffix}"
    assert file.size == (tmp_path / "backup" / file.path).stat().st_size < 200_000  # the holes are not in it
    assert part.notes == ("1 sockets and devices were left out",) and part.changed == ()
    assert check_files_part(tmp_path / "backup", part) == ()
    (tree / "socket").unlink()
    os.utime(tree, ns=(7, 7))
    wanted = described(tree)
    made = extract(tmp_path / "backup" / file.path, tmp_path / "again", limit=LARGE)
    assert (made.members, made.size) == (part.members, part.content_size) == (16, part.content_size)
    os.utime(tmp_path / "again", ns=(7, 7))
    assert described(tmp_path / "again") == wanted
    sparse = (tmp_path / "again" / "sparse").stat()
    assert sparse.st_blocks * 512 < sparse.st_size


@pytest.mark.parametrize("packing", [Packing.GZIP, Packing.NONE])
def test_stock_tar_unpacks_it(tree: Path, tmp_path: Path, packing: Packing) -> None:
    (file,) = save(tree, tmp_path / "backup", packing=packing).files
    (tree / "socket").unlink()
    target = tmp_path / "by tar"
    target.mkdir()
    command = ["tar", "-xpf", str(tmp_path / "backup" / file.path), "-C", str(target), "--numeric-owner"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert {path: value for path, value in described(target).items() if path != b"."} == {
        path: value for path, value in described(tree).items() if path != b"."
    }


def test_what_stock_tar_writes_is_read(tree: Path, tmp_path: Path) -> None:
    (tree / "socket").unlink()
    for number, form in enumerate(("gnu", "pax", "ustar")):
        if form == "ustar":
            (tree / "dangling").unlink()  # no room for 300 characters
            (tree / "none").unlink()  # nor for a year before 1970
            (tree / "a.png").chmod(0o600)
            os.chown(tree / "a.png", 0, 0) if ROOT else None
            for path in (tree / "2026" / "january").iterdir():
                path.unlink()
        archive = tmp_path / f"{form}.tar.gz"
        subprocess.run(["tar", f"--format={form}", "-czf", str(archive), "-C", str(tree), "."], check=True)
        extract(archive, tmp_path / f"from {number}", limit=LARGE)
        wanted, found = described(tree), described(tmp_path / f"from {number}")
        if form != "pax":
            for side in (wanted, found):
                for path, (mode, uid, gid, mtime, content) in list(side.items()):  # type: ignore[misc]
                    side[path] = (mode, uid, gid, mtime // 10**9, content)
        assert found == wanted, form


def test_the_same_tree_makes_the_same_file(tree: Path, tmp_path: Path) -> None:
    sums = {save(tree, tmp_path / f"b{number}").files[0].sha256 for number in range(2)}
    assert len(sums) == 1


def test_left_out_and_named(tree: Path, tmp_path: Path) -> None:
    (tree / "backups" / "20260118_020000").mkdir(parents=True)
    part = save(tree, tree / "backups", left_out=[tree / "backups", tmp_path / "none"])
    assert "1 directories were left out on purpose" in part.notes
    assert check_files_part(tree / "backups", part) == ()


# --- a tree in use ---------------------------------------------------------------------------------


def test_files_that_change_meanwhile_are_named(tree: Path, tmp_path: Path) -> None:
    large = tree / "a large one"
    large.write_bytes(os.urandom(5 << 20))
    (tree / "b shrinks").write_bytes(b"x" * (3 << 20))
    (tree / "z").mkdir()
    for name in "123":
        (tree / "z" / name).write_bytes(b"x")

    def meddle(path: str, members: int, size: int) -> None:
        if path == "a large one":
            with large.open("ab") as file:
                file.write(b"more")
        elif path == "b shrinks":
            os.truncate(tree / "b shrinks", 10)
        elif path == "z":
            (tree / "z" / "1").unlink()
        elif path == "z/2":
            (tree / "z" / "3").unlink()

    part = save(tree, tmp_path / "backup", told=meddle)
    assert {"a large one", "b shrinks"} <= set(part.changed)
    assert check_files_part(tmp_path / "backup", part) == ()
    extract(tmp_path / "backup" / part.files[0].path, tmp_path / "again", limit=LARGE)
    assert (tmp_path / "again" / "a large one").stat().st_size == 5 << 20
    assert (tmp_path / "again" / "b shrinks").stat().st_size == 3 << 20


def test_a_link_put_in_the_way_is_not_followed(tree: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_bytes(b"canary")
    (tree / "y").mkdir()
    (tree / "y" / "key").write_bytes(b"harmless")

    def swap(path: str, members: int, size: int) -> None:
        if path == "tool" and not (tree / "y").is_symlink():
            (tree / "y" / "key").unlink()
            (tree / "y").rmdir()
            (tree / "y").symlink_to(secret)

    part = save(tree, tmp_path / "backup", told=swap, packing=Packing.NONE)
    assert b"canary" not in (tmp_path / "backup" / part.files[0].path).read_bytes()


@pytest.mark.skipif(ROOT, reason="root reads everything")
def test_what_cannot_be_read_fails_the_part(tree: Path, tmp_path: Path) -> None:
    (tree / "a.png").chmod(0)
    with pytest.raises(SourceError, match=r"a\.png cannot be read"):
        save(tree, tmp_path / "backup")


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        save(tmp_path / "none", tmp_path / "backup")
    assert list((tmp_path / "backup").iterdir()) == []


# --- hostile tar files -----------------------------------------------------------------------------


def tar_of(*members: tarfile.TarInfo, data: bytes = b"evil") -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for member in members:
            if member.isreg():
                member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return made.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, link
    return made


HOSTILE = {
    "up": (tar_of(member("../evil")), "leads out"),
    "up inside": (tar_of(member("a/../../evil")), "leads out"),
    "absolute": (tar_of(member("/tmp/opsconsole-evil")), "leads out"),
    "behind its own link": (
        tar_of(member("a", tarfile.SYMTYPE, ".."), member("a/evil")),
        "behind something that is no directory",
    ),
    "over its own link": (tar_of(member("a", tarfile.SYMTYPE, "../evil"), member("a")), "twice"),
    "directory over its link": (
        tar_of(member("a", tarfile.SYMTYPE, ".."), member("a", tarfile.DIRTYPE)),
        "no directory",
    ),
    "hard link out": (tar_of(member("a", tarfile.LNKTYPE, "../secret")), "leads out"),
    "hard link to nothing": (tar_of(member("a", tarfile.LNKTYPE, "b")), "does not hold"),
    "hard link through a link": (
        tar_of(member("d", tarfile.SYMTYPE, ".."), member("a", tarfile.LNKTYPE, "d/secret")),
        "does not hold",
    ),
    "device": (tar_of(member("sda", tarfile.BLKTYPE)), "a device"),
    "twice": (tar_of(member("a"), member("a")), "twice"),
    "cut": (tar_of(member("a"))[:600], "cut short"),
    "nothing": (b"", "cut short"),
    "no tar": (b"x" * 1024, "broken tar header"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile(tmp_path: Path, name: str) -> None:
    data, said = HOSTILE[name]
    (tmp_path / "secret").write_bytes(b"untouched")
    archive = tmp_path / "hostile.tar"
    archive.write_bytes(data)
    with pytest.raises(SourceError, match=said):
        extract(archive, tmp_path / "target", limit=LARGE)
    assert {path.name for path in tmp_path.iterdir()} == {"secret", "hostile.tar"}
    assert (tmp_path / "secret").read_bytes() == b"untouched" and not Path("/tmp/opsconsole-evil").exists()


def test_foreign_archives_get_less(tmp_path: Path) -> None:
    for link in ("/etc/passwd", "../../x", "a/../../x"):
        (tmp_path / "a.tar").write_bytes(tar_of(member("b/link", tarfile.SYMTYPE, link)))
        if link == "a/../../x":
            extract(tmp_path / "a.tar", tmp_path / "t", limit=LARGE, foreign=True)  # b/a/../../x is x
            continue
        with pytest.raises(SourceError, match="a link that leads out"):
            extract(tmp_path / "a.tar", tmp_path / "t", limit=LARGE, foreign=True)
    tool = member("tool")
    tool.mode = 0o6755
    (tmp_path / "a.tar").write_bytes(tar_of(tool))
    extract(tmp_path / "a.tar", tmp_path / "t", limit=LARGE, foreign=True)
    assert stat.S_IMODE((tmp_path / "t" / "tool").stat().st_mode) == 0o755


def test_bombs(tmp_path: Path) -> None:
    bomb = tmp_path / "files-uploads.tar.gz"
    bomb.write_bytes(gzip.compress(tar_of(member("zeros"), data=bytes(64 << 20)), 9))
    with pytest.raises(SourceError, match="unpacks to more than it may"):
        extract(bomb, tmp_path / "t", limit=1 << 20)
    assert not (tmp_path / "t").exists()
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "a").write_bytes(b"a" * 3000)
    part = save(tmp_path / "one", tmp_path / "backup")
    (tmp_path / "backup" / part.files[0].path).write_bytes(bomb.read_bytes())
    assert str(check_files_part(tmp_path / "backup", part)[0]).startswith("files-uploads.tar.gz unpacks to more")


def test_a_part_that_does_not_add_up_is_named(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    part = FilesSaver("uploads", tmp_path / "one", packing=Packing.NONE).save(tmp_path)
    path = tmp_path / part.files[0].path
    path.write_bytes(tar_of(member("b")))
    assert check_files_part(tmp_path, part)[0].problem == "holds 1 members, the manifest says 0"
    path.write_bytes(b"x")
    assert check_files_part(tmp_path, part)[0].problem.startswith("is cut short")
    path.unlink()
    assert check_files_part(tmp_path, part)[0].problem.startswith("cannot be read")


names = (
    st.binary(min_size=1, max_size=300)
    .filter(lambda name: b"\0" not in name and b"/" not in name)
    .filter(lambda name: name not in (b".", b".."))
)
headers = st.builds(
    Item,
    path=st.lists(names, min_size=1, max_size=4).map(b"/".join),
    kind=st.sampled_from([Kind.FILE, Kind.DIRECTORY, Kind.FIFO]),
    mode=st.integers(0, 0o7777),
    uid=st.integers(0, 1 << 32),
    gid=st.integers(0, 1 << 32),
    mtime_ns=st.integers(-(10**19), 10**20),
)


@given(headers, st.binary(max_size=2000))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_any_header_is_read_back(item: Item, data: bytes) -> None:
    if item.kind is Kind.FILE:
        item = msgspec.structs.replace(item, size=len(data))
    stream = io.BytesIO(tar_format.header(item) + (tar_format.padded(data) if item.size else b"") + tar_format.END)
    ((found, content),) = [(each, inner.read(1 << 20)) for each, inner in tar_format.items(stream)]
    assert found == item and content == (data if item.size else b"")


# --- exchanging ------------------------------------------------------------------------------------


def test_a_directory_changes_places_and_back_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every rename may be the last that happens."""

    class Cut(Exception):
        pass

    real = os.rename
    for had in (True, False):
        for forth in range(4):
            for again in range(4):
                place = tmp_path / f"{had}-{forth}-{again}"
                live = place / "uploads"
                new, _ = swapping.beside(live, "op")
                new.mkdir(parents=True)
                (new / "new").touch()
                if had:
                    live.mkdir()
                    (live / "old").touch()
                wanted = swapping.exchanges(live, "op")
                for turn, limit in ((swapping.forward, forth), (swapping.back, again)):
                    left = [limit]

                    def cutting(source: str, target: str, left: list[int] = left) -> None:
                        if not left[0]:
                            raise Cut
                        left[0] -= 1
                        real(source, target)

                    monkeypatch.setattr(os, "rename", cutting)
                    with contextlib.suppress(Cut):
                        turn(wanted)
                monkeypatch.setattr(os, "rename", real)
                if again % 2:
                    swapping.forward(wanted)
                    assert swapping.is_new(wanted) and os.listdir(live) == ["new"]
                else:
                    swapping.back(wanted)
                    assert not swapping.is_new(wanted)
                    assert os.listdir(live) == ["old"] if had else not live.exists()
                swapping.clear(live, "op")
                assert {path.name for path in place.iterdir()} <= {"uploads"}


@pytest.mark.skipif(not ROOT, reason="root mounts")
def test_a_mount_point_changes_its_content(tmp_path: Path) -> None:
    live = tmp_path / "volume"
    live.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(live)], check=True)
    try:
        (live / "both").write_bytes(b"old")
        (live / "only old").mkdir()
        new, _ = swapping.beside(live, "op")
        assert new.parent == live
        new.mkdir()
        (new / "both").write_bytes(b"new")
        (new / "only new").touch()
        wanted = swapping.exchanges(live, "op")
        swapping.forward(wanted)
        assert (live / "both").read_bytes() == b"new" and (live / "only new").exists()
        assert not (live / "only old").exists() and swapping.is_new(wanted)
        (live / "only old").touch()  # by the program that runs again
        swapping.back(wanted)
        assert (live / "both").read_bytes() == b"old" and (live / "only old").is_dir()
        swapping.clear(live, "op")
        assert {path.name for path in live.iterdir()} == {"both", "only old"}
    finally:
        subprocess.run(["umount", "-l", str(live)], check=True)


# --- configuration ---------------------------------------------------------------------------------


def test_configuration(tmp_path: Path) -> None:
    stack, place = tmp_path / "stack", tmp_path / "backup"
    stack.mkdir()
    place.mkdir()
    (stack / "shared.env").write_bytes(b"PASSWORD=x\n")
    (stack / ".env").symlink_to("shared.env")
    (stack / "docker-compose.yml").write_bytes(b"services: {}\n")
    (stack / "override.yaml").write_bytes(b"services: {}\n")
    saver = ConfigSaver(
        compose_files=[stack / "docker-compose.yml", stack / "override.yaml"],
        env_file=stack / ".env",
        rendered="name: shop\n",
        release="r4",
        git_commit="a" * 40,
        images={"web": "sha256:" + "0" * 64},
    )
    part = saver.save(place)
    assert [file.path for file in part.files] == [
        "config/compose-1.yml", "config/compose-2.yaml", "config/env", "config/rendered.yml", "config/state.json",
    ]  # fmt: skip
    assert (place / "config" / "env").read_bytes() == b"PASSWORD=x\n"
    assert {oct(path.stat().st_mode & 0o777) for path in (place / "config").iterdir()} == {"0o600"}
    state = read_state(place)
    assert (state.release, state.images) == ("r4", saver.images) and state.files["env"] == str(stack / ".env")
    (stack / "shared.env").unlink()
    with pytest.raises(SourceError, match=r"\.env cannot be read"):
        saver.save(tmp_path / "stack")
    (place / "config" / "state.json").write_bytes(b"[")
    with pytest.raises(SourceError, match="is broken"):
        read_state(place)
