"""How far the reading of a backup is: bytes of how many, rate and time left; and that it can be given up."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from opsconsole.backups.catalog import Catalog
from opsconsole.backups.encryption import NO_KEYS
from opsconsole.backups.faults import Level
from opsconsole.backups.opening import open_backup
from opsconsole.backups.progress import Cancelled, Counted, Pace
from opsconsole.backups.reading import FileReader, Meter, heard_by
from opsconsole.backups.verifying import verify
from opsconsole.config import Config
from opsconsole.model import Stack
from opsconsole.operations import restore_look
from opsconsole.ui.reading import Reading
from opsconsole.ui.wording import UNICODE
from tests import backup_samples as samples

STAMP = "20260301_020000"
Heard = list[tuple[str, int, int]]


def told_to(heard: Heard) -> Callable[[str, int, int], None]:
    return lambda what, done, total: heard.append((what, done, total))


def test_every_block_is_told_while_a_large_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(300_000))
    sizes: list[int] = []
    with heard_by(sizes.append), FileReader(str(tmp_path / "large"), Meter(1 << 30)) as reader:
        while reader.read(1 << 20):
            pass
    assert sum(sizes) == 300_000 and len(sizes) > 3
    with FileReader(str(tmp_path / "large"), Meter(1 << 30)) as reader:
        reader.read(10)  # nobody listens any more
    assert sum(sizes) == 300_000


def test_a_backup_is_told_of_pass_by_pass_to_its_last_byte(tmp_path: Path) -> None:
    place = samples.by_opsconsole(tmp_path, STAMP)
    heard: Heard = []
    seen = verify(place, Level.PARSED, told=told_to(heard))
    assert seen.manifest is not None
    hashes = [one for one in heard if one[0].startswith("1 of 2, hash of ")]
    assert hashes[-1][1:] == (seen.manifest.size, seen.manifest.size)
    assert [one[1] for one in hashes] == sorted(one[1] for one in hashes)
    assert {one[0] for one in heard if one[0].startswith("2 of 2")} >= {"2 of 2, content of mongodb"}
    heard.clear()
    verify(place, Level.HASHES, told=told_to(heard))
    assert heard[0][0].startswith("hash of ")


def test_an_older_backup_is_told_of_while_it_is_unpacked(tmp_path: Path) -> None:
    file = samples.by_mps(tmp_path / "backups", "20260228_020000")
    (backup,) = Catalog().look(Stack(name="mps", directory=str(tmp_path), backup_directory=str(tmp_path / "backups")))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    heard: Heard = []
    opened = open_backup(backup, scratch, 1 << 30, told=told_to(heard))
    assert {part.kind for part in opened.parts} == {"mongo", "redis"}
    unpacking = [one for one in heard if one[0] == f"unpacking {file.name}"]
    assert unpacking[-1][1:] == (file.stat().st_size, file.stat().st_size)
    assert any(one[0] == "content of mongo.archive" and one[1] == one[2] for one in heard)


@pytest.mark.parametrize("older", [False, True])
def test_given_up_nothing_is_left(tmp_path: Path, older: bool) -> None:
    backups = tmp_path / "backups"
    samples.by_mps(backups, "20260228_020000") if older else samples.by_opsconsole(backups, STAMP)
    (backup,) = Catalog().look(Stack(name="mps", directory=str(tmp_path), backup_directory=str(backups)))
    reading = Reading()
    reading.give_up()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with pytest.raises(Cancelled):
        open_backup(backup, scratch, 1 << 30, keys=NO_KEYS, told=reading.hear)
    if older:
        with pytest.raises(Cancelled):
            restore_look.look_into(tmp_path, Config(), backup, reading.hear)
        assert list((tmp_path / ".opsconsole").iterdir()) == []


def test_rate_and_time_left_are_of_the_pass_that_runs() -> None:
    now = 100.0
    pace = Pace(lambda: now)
    assert pace.words(0, 900_000_000) == ""
    now += 2
    assert pace.words(100_000_000, 900_000_000) == ", 50.0 MB/s, about 16 s left"
    now += 1
    assert pace.words(900_000_000, 900_000_000) == ", 300.0 MB/s"
    assert pace.words(0, 900_000_000) == ""  # the next pass
    now += 10
    assert pace.words(100_000_000, 900_000_000) == ", 10.0 MB/s, about 80 s left"


def test_more_bytes_than_were_expected_are_all_of_them() -> None:
    heard: Heard = []
    counted = Counted(told_to(heard), 10, "hash of ")
    counted.at("a")
    counted.went_on(25)
    assert heard == [("hash of a", 0, 10), ("hash of a", 10, 10)]


def test_the_screen_says_bytes_of_total_rate_and_what(tmp_path: Path) -> None:
    reading = Reading()
    assert reading.lines(80, UNICODE) == []
    reading.hear("1 of 2, hash of mongodb.archive.gz", 512 << 20, 2 << 30)
    text = "\n".join(line.plain for line in reading.lines(80, UNICODE))
    assert " 25 %  512 MiB of 2 GiB" in text and "1 of 2, hash of mongodb.archive.gz" in text
    reading.hear("what is live now", 0, 0)
    assert "what is live now" in reading.lines(80, UNICODE)[0].plain


def test_a_file_in_gzip_counts_the_bytes_on_the_disk(tmp_path: Path) -> None:
    from opsconsole.backups.packed_files import UnpackedFile

    data = gzip.compress(bytes(1 << 20))
    (tmp_path / "a.gz").write_bytes(data)
    sizes: list[int] = []
    with heard_by(sizes.append), UnpackedFile(tmp_path / "a.gz") as reader:
        while reader.read(1 << 16):
            pass
    assert sum(sizes) == len(data)


def test_the_command_says_it_on_one_line_of_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import sys

    from opsconsole.commands.reading_line import ReadingLine

    line = ReadingLine()
    line.hear("1 of 2, hash of a", 5_000_000, 20_000_000)
    assert capsys.readouterr().err == ""  # no terminal
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    line.hear("2 of 2, content of \x1b[2Jmongodb", 5_000_000, 20_000_000)
    said = capsys.readouterr().err
    assert said == "\r\x1b[Kreading 25 %, 5.0 of 20.0 MB: 2 of 2, content of ␛[2Jmongodb"
    line.end()
    line.end()
    assert capsys.readouterr().err == "\r\x1b[K"
