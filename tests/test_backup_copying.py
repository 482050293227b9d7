"""A backup is copied away with the real rsync and the real rclone, and a copy that is not the same is found."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from opsconsole.backups import copying, marks
from opsconsole.backups.copying import CopyFailed
from opsconsole.backups.faults import Level
from opsconsole.backups.verifying import verify
from opsconsole.config.sections import CopySection
from opsconsole.operations import commands
from tests import backup_samples
from tests.test_e2e_end import Login

AT = datetime(2026, 1, 18, 3, 0, tzinfo=UTC)
ID = "20260118_020000"


class Copier:
    """A stack with one backup, and a place elsewhere. Commands are run as an operation runs them."""

    def __init__(self, directory: Path) -> None:
        self.stack = directory / "stack"
        self.far = directory / "far"
        self.backup = backup_samples.by_opsconsole(self.stack / "backups", ID)
        self.far.mkdir()
        self._place = directory / "operation"
        self._place.mkdir()
        self.before: dict[int, Callable[[], None]] = {}  # done before the command of this number
        self.ran: list[tuple[str, ...]] = []

    def run_command(
        self, command: tuple[str, ...], seconds: float, *, environment: Mapping[str, str] | None = None
    ) -> commands.Ran:
        self.before.get(len(self.ran), lambda: None)()
        self.ran.append(command)
        output = commands.Output(self._place, ())
        try:
            return commands.run(command, output, directory=str(self.stack), seconds=seconds, environment=environment)
        finally:
            output.close()

    def copy(self, **section: object) -> marks.Copy:
        self.ran.clear()
        settings = CopySection(**section)  # type: ignore[arg-type]
        return copying.copy(self.backup, settings, self.run_command, lambda: AT, self.stack)

    @property
    def copied(self) -> Path:
        return self.far / ID

    @property
    def output(self) -> str:
        return (self._place / "output.log").read_text()


@pytest.fixture
def copier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Copier:
    monkeypatch.setenv("RCLONE_CONFIG", str(tmp_path / "rclone.conf"))
    (tmp_path / "rclone.conf").write_text("[far]\ntype = local\n")
    return Copier(tmp_path)


def section(tool: str, copier: Copier) -> dict[str, str]:
    return {tool: f"far:{copier.far}" if tool == "rclone" else str(copier.far)}


both = pytest.mark.parametrize("tool", ["rsync", "rclone"])


@both
def test_a_copy_is_the_backup_with_all_that_is_in_it(copier: Copier, tool: str) -> None:
    made = copier.copy(**section(tool, copier))
    assert made == marks.Copy(place=section(tool, copier)[tool], at=AT, verified=True)
    assert verify(copier.copied, Level.HASHES).ok
    assert copier.ran == list(copying.commands(copier.backup, CopySection(**section(tool, copier))))
    assert copier.copy(**section(tool, copier)).verified  # once more changes nothing
    assert verify(copier.copied, Level.HASHES).ok


def test_what_rsync_copies_is_for_its_owner_alone(copier: Copier) -> None:
    (copier.backup / "redis.rdb").chmod(0o644)
    copier.copy(rsync=str(copier.far))
    assert {stat.S_IMODE(path.stat().st_mode) for path in copier.copied.rglob("*") if path.is_file()} == {0o600}
    assert stat.S_IMODE(copier.copied.stat().st_mode) == 0o700


@both
def test_a_copy_that_is_damaged_on_the_way_is_found_and_never_gets_a_manifest(copier: Copier, tool: str) -> None:
    def damage() -> None:
        path = copier.copied / "redis.rdb"
        found, data = path.stat(), bytearray(path.read_bytes())
        data[20] ^= 1
        path.write_bytes(data)
        os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))  # same size, same time

    copier.before[1] = damage
    with pytest.raises(CopyFailed, match="is not the same") as raised:
        copier.copy(**section(tool, copier))
    assert "redis.rdb" in raised.value.problem
    assert len(copier.ran) == 2  # the manifest was not even sent
    assert not (copier.copied / "manifest.json").exists()
    assert not verify(copier.copied).ok
    copier.before.clear()
    assert copier.copy(**section(tool, copier)).verified
    assert verify(copier.copied).ok


@both
@pytest.mark.parametrize("fault", ["lost", "extra"])
def test_a_file_too_few_or_too_many_is_found(copier: Copier, tool: str, fault: str) -> None:
    def change() -> None:
        if fault == "lost":
            (copier.copied / "config" / "env").unlink()
        else:
            (copier.copied / "more").write_text("x")

    copier.before[1] = change
    with pytest.raises(CopyFailed, match="is not the same"):
        copier.copy(**section(tool, copier))
    assert not (copier.copied / "manifest.json").exists()


@both
def test_a_copy_that_is_cut_short_does_not_look_finished_even_over_an_older_one(copier: Copier, tool: str) -> None:
    copier.copy(**section(tool, copier))
    (copier.backup / "mongodb.archive.gz").write_bytes(b"another")  # there is more to do than before

    def cut() -> None:
        raise KeyboardInterrupt

    copier.before[1] = cut
    with pytest.raises(KeyboardInterrupt):
        copier.copy(**section(tool, copier))
    assert (copier.copied / "mongodb.archive.gz").exists()
    assert not (copier.copied / "manifest.json").exists()


@both
def test_a_manifest_that_is_damaged_last_of_all_is_found(copier: Copier, tool: str) -> None:
    copier.before[3] = lambda: (copier.copied / "manifest.json").write_text("{}") and None
    with pytest.raises(CopyFailed, match="is not the same"):
        copier.copy(**section(tool, copier))


def test_a_local_copy_is_looked_at_as_any_backup_is(copier: Copier) -> None:
    (copier.backup / "redis.rdb").write_bytes(b"not what the manifest says")
    with pytest.raises(CopyFailed, match=r"redis.rdb is cut short: it has 26 bytes"):
        copier.copy(rsync=str(copier.far))
    assert not (copier.copied / "manifest.json").exists()


def test_where_the_other_side_keeps_no_sums_everything_is_read_back(copier: Copier, tmp_path: Path) -> None:
    with (tmp_path / "rclone.conf").open("a") as file:
        file.write(f"[sealed]\ntype = crypt\nremote = {copier.far}\npassword = {obscured('sample')}\n")
    made = copier.copy(rclone="sealed:")
    assert made.verified
    assert sum("--download" in command for command in copier.ran) == 2
    assert not copier.copied.exists()  # the names are sealed, too

    def damage() -> None:
        largest = max((path for path in copier.far.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
        data = bytearray(largest.read_bytes())
        data[-1] ^= 1
        largest.write_bytes(data)

    copier.before[1] = damage
    with pytest.raises(CopyFailed, match="is not the same"):
        copier.copy(rclone="sealed:")


def obscured(text: str) -> str:
    return subprocess.run(["rclone", "obscure", text], capture_output=True, text=True, check=True).stdout.strip()


@both
def test_a_target_that_is_not_there_is_told_in_the_programs_words(copier: Copier, tool: str) -> None:
    copier.far.rmdir()
    copier.far.write_text("a file")
    with pytest.raises(CopyFailed) as raised:
        copier.copy(**section(tool, copier))
    assert raised.value.problem.startswith(f"{ID} could not be copied: {tool}: exit code ")
    assert "Not a directory" in raised.value.problem or "not a directory" in raised.value.problem
    assert (copier.backup / "manifest.json").exists()


def test_another_host_that_does_not_answer_is_told_in_the_words_of_ssh(
    copier: Copier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RSYNC_RSH", "ssh -oBatchMode=yes -p1")
    with pytest.raises(
        CopyFailed, match=r"rsync: exit code \d+: ssh: connect to host 127.0.0.1 port 1: Connection ref"
    ):
        copier.copy(rsync="nobody@127.0.0.1:/backups")


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Login]:
    (tmp_path / "ssh").mkdir()
    login = Login(tmp_path / "ssh")
    words = [word for word in login.command("")[:-2] if word != "-tt"]
    monkeypatch.setenv("RSYNC_RSH", " ".join(words))
    yield login
    login.close()


def test_a_copy_on_another_host_is_read_again_over_there(copier: Copier, ssh: Login) -> None:
    target = f"{pwd.getpwuid(os.getuid()).pw_name}@127.0.0.1:{copier.far}"
    (copier.backup / "config" / "env").write_text("changed since its manifest was written\n")
    assert copier.copy(rsync=target) == marks.Copy(place=target, at=AT, verified=True)
    assert (copier.copied / "config" / "env").read_text().startswith("changed since")

    def damage() -> None:
        path = copier.copied / "redis.rdb"
        found, data = path.stat(), bytearray(path.read_bytes())
        data[20] ^= 1
        path.write_bytes(data)
        os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))

    copier.before[1] = damage
    with pytest.raises(CopyFailed, match=r"is not the same: [^ ]* redis.rdb"):
        copier.copy(rsync=target)
    assert not (copier.copied / "manifest.json").exists()
    copier.before.clear()
    assert copier.copy(rsync=target).verified
    copier.before[3] = lambda: (copier.copied / "manifest.json").write_text("{}") and None
    with pytest.raises(CopyFailed, match="is not the same"):
        copier.copy(rsync=target)


def program(copier: Copier, name: str, text: str) -> tuple[str, ...]:
    path = copier.stack / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return (f"./{name}", str(copier.far))


def test_a_program_of_ones_own_copies_and_is_believed_only_when_one_verifies(copier: Copier) -> None:
    copies = program(copier, "copy.sh", 'cp -a "$OPSCONSOLE_BACKUP_PATH" "$1/$OPSCONSOLE_BACKUP_ID"')
    made = copier.copy(command=copies)
    assert (made.place, made.verified) == ("command ./copy.sh", False)
    assert copying.words(made) == "copied to command ./copy.sh and not verified"
    assert verify(copier.copied).ok
    shutil.rmtree(copier.copied)
    compares = program(copier, "compare.sh", 'cd "$1/$OPSCONSOLE_BACKUP_ID" && sha256sum --quiet -c SHA256SUMS')
    assert copier.copy(command=copies, verify_command=compares).verified
    copier.before[1] = lambda: (copier.copied / "redis.rdb").write_text("x") and None
    with pytest.raises(CopyFailed, match=r"could not be compared with its copy: ./compare.sh: exit code 1"):
        copier.copy(command=copies, verify_command=compares)


def test_a_program_that_fails_hangs_or_is_not_there_is_told(copier: Copier) -> None:
    fails = program(copier, "copy.sh", "echo the tape is full; exit 3")
    with pytest.raises(CopyFailed, match=f"{ID} could not be copied: ./copy.sh: exit code 3: the tape is full"):
        copier.copy(command=fails)
    hangs = program(copier, "copy.sh", "sleep 60")
    with pytest.raises(CopyFailed, match="it did not end within"):
        copier.copy(command=hangs, timeout_hours=0.5 / 3600)
    with pytest.raises(CopyFailed, match=r"not copied: .*/nowhere.sh is not there"):
        copier.copy(command=("./nowhere.sh",))
    with pytest.raises(CopyFailed, match="no place to copy to"):
        copier.copy()


@pytest.mark.parametrize(
    "settings",
    [
        {"rsync": "rsync://me:hunter2@far/backups"},
        {"rclone": ":sftp,host=far,user=me,pass=hunter2:/backups"},
        {"rclone": ":s3,provider=AWS,secret_access_key=hunter2:bucket"},
        {"rclone": "webdav://me:hunter2@far/x"},
    ],
)
def test_a_password_never_comes_onto_a_command_line(copier: Copier, settings: dict[str, str]) -> None:
    with pytest.raises(CopyFailed, match="spells out a password") as raised:
        copier.copy(**settings)
    assert "hunter2" not in f"{raised.value.problem} {raised.value.hint}"
    assert not copier.ran
    with pytest.raises(CopyFailed):
        copying.commands(copier.backup, CopySection(**settings))
    assert copying.place_of(CopySection(rclone=":s3,provider=AWS,env_auth=true:bucket/backups"))


def test_a_copy_is_remembered_per_place() -> None:
    first, again = (marks.Copy(place="far:", at=AT, verified=verified) for verified in (False, True))
    other = marks.Copy(place="nas:/x", at=AT)
    known = marks.copied(marks.copied(marks.copied(marks.Marks(), first), other), again)
    assert known.copies == (other, again)
    assert msgspec.json.decode(msgspec.json.encode(known), type=marks.Marks) == known
