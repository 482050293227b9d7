"""The manifest: what is written is read back, and nothing else is believed. Ids that never go backwards."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from opsconsole.backups import manifest
from opsconsole.backups.identifiers import ClockWentBack, known_ids, new_id, next_id
from opsconsole.backups.manifest import HeldFile, Manifest, ManifestError, decode, encode
from tests import backup_samples as samples

NIGHT = "20260118_020000"
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return samples.by_opsconsole(tmp_path, NIGHT)


@pytest.fixture
def made(place: Path) -> Manifest:
    return manifest.read(place)


def sealed(text: dict[str, object]) -> bytes:
    """A file with a seal that fits, whatever is in it."""
    body = json.dumps(text, indent=1).encode().removesuffix(b"\n}") + b",\n"
    return body + b' "seal": "' + hashlib.sha256(body).hexdigest().encode() + b'"\n}\n'


def plain(made: Manifest) -> dict[str, object]:
    found: dict[str, object] = json.loads(encode(made))
    del found["seal"]
    return found


def test_what_is_written_is_read_back(made: Manifest) -> None:
    assert decode(encode(made)) == made
    assert decode(sealed(plain(made))) == made
    assert {part.kind for part in made.parts} == {"mongo", "redis", "config"}


def test_stock_tools_check_it(place: Path) -> None:
    assert subprocess.run(["sha256sum", "-c", "--strict", "SHA256SUMS"], cwd=place, capture_output=True).returncode == 0
    told = subprocess.run(
        ["sh", "-c", "head -n -2 manifest.json | sha256sum"], cwd=place, capture_output=True, text=True, check=True
    )
    assert json.loads((place / "manifest.json").read_bytes())["seal"] == told.stdout.split()[0]


def test_every_flipped_byte_and_every_cut_is_seen(made: Manifest) -> None:
    data = encode(made)
    for at in range(len(data)):
        for flipped in (data[at] ^ 1, data[at] ^ 0x80):
            with pytest.raises(ManifestError):
                decode(data[:at] + bytes([flipped]) + data[at + 1 :])
        with pytest.raises(ManifestError, match=r"^manifest\.json "):
            decode(data[:at])
    for more in (b"\n", b"x", b"\0", data):
        with pytest.raises(ManifestError):
            decode(data + more)


HOSTILE = {
    "path": ["../x", "/etc/passwd", "a/../../b", "a//b", "", ".", "a\\b", "a\nb", "a\0b", "\x1b[2J", "x/" * 9 + "x"],
    "size": [-1, 1 << 63, 1.5, "1", None, True],
    "sha256": ["", "x" * 64, "A" * 64, "0" * 63, "0" * 64 + "\n"],
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in HOSTILE.items() for value in values])
def test_hostile_files(made: Manifest, field: str, value: object) -> None:
    text = plain(made)
    text["parts"][0]["files"][0][field] = value  # type: ignore[index]
    with pytest.raises(ManifestError, match=r"^manifest\.json "):
        decode(sealed(text))


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("version", 2, "use a newer"),
        ("version", 0, "is no manifest"),
        ("format", "another", "is no manifest"),
        ("id", "../20260118_020000", "is no manifest"),
        ("taken_at", "2026-01-18T02:00:00", "is no manifest"),
        ("backup_class", "mine", "is no manifest"),
        ("more", 1, "is no manifest"),
        ("why", "x" * 2000, "is no manifest"),
        ("duration_seconds", 1e300, "is no manifest"),
    ],
)
def test_strict(made: Manifest, field: str, value: object, said: str) -> None:
    with pytest.raises(ManifestError) as caught:
        decode(sealed({**plain(made), field: value}))
    assert said in f"{caught.value.problem} {caught.value.hint}".lower()


def test_paths_that_meet(made: Manifest) -> None:
    file = HeldFile(path="a", size=1, sha256="0" * 64)
    for other in ("a", "a/b", manifest.NAME):
        files = (file, msgspec.structs.replace(file, path=other))
        part = msgspec.structs.replace(made.parts[0], files=files)
        with pytest.raises(ManifestError):
            encode(msgspec.structs.replace(made, parts=(part,)))


@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode("utf-8", "surrogatepass")))
@example(b"[" * 100_000)
@example(b'{"version":' * 20_000)
@example(b'{"version": 1, "id": "\\ud800"}')
@example(b"\xff\xfe")
def test_anything_else_is_refused_in_one_line(data: bytes) -> None:
    for text in (data, data + b",\n" + b' "seal": "' + hashlib.sha256(data + b",\n").hexdigest().encode() + b'"\n}\n'):
        with pytest.raises(ManifestError) as caught:
            decode(text)
        assert caught.value.problem.startswith("manifest.json ") and caught.value.problem.isprintable()


def test_files_that_are_no_files(place: Path) -> None:
    path = place / "manifest.json"
    real = path.rename(place / "real")
    with pytest.raises(ManifestError, match="is missing"):
        manifest.read(place)
    path.symlink_to(real)
    with pytest.raises(ManifestError, match="cannot be read"):
        manifest.read(place)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ManifestError, match="not a regular file"):
        manifest.read(place)
    path.unlink()
    with path.open("wb") as file:
        file.truncate(manifest.LARGEST + 1)
    with pytest.raises(ManifestError, match="larger than"):
        manifest.read(place)


# --- ids -------------------------------------------------------------------------------------------

NOW = datetime(2026, 1, 18, 2, 0, 0, tzinfo=UTC)


def test_an_id_is_the_local_time() -> None:
    assert new_id([], NOW, BERLIN) == "20260118_030000"


def test_an_hour_that_comes_twice() -> None:
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)  # 02:30 summer time
    before = new_id([], first, BERLIN)
    again = new_id([(before, first)], first + timedelta(hours=1), BERLIN)  # 02:30 once more
    assert (before, again) == ("20261025_023000", "20261025_023001")
    later = new_id([(before, first), (again, first + timedelta(hours=1))], first + timedelta(hours=2), BERLIN)
    assert later == "20261025_033000"


@pytest.mark.parametrize(("behind", "said"), [(86_400, "24 hours"), (30, "30 seconds"), (0, "0 seconds")])
def test_a_clock_that_went_back(behind: int, said: str) -> None:
    with pytest.raises(ClockWentBack, match=f"went back.*{said} later"):
        new_id([(NIGHT, NOW)], NOW - timedelta(seconds=behind), UTC)


@given(st.lists(st.integers(0, 4 * 3600), min_size=1, max_size=12), st.sampled_from(["Europe/Berlin", "Asia/Tehran"]))
def test_ids_always_rise(steps: list[int], zone: str) -> None:
    moment = datetime(2026, 10, 24, 22, 0, tzinfo=UTC)
    known: list[tuple[str, datetime]] = []
    for step in steps:
        moment += timedelta(seconds=step + 1)
        made = new_id(known, moment, ZoneInfo(zone))
        assert manifest.is_id(made) and all(made > name for name, _ in known)
        known.append((made, moment))


class Clock:
    """A clock that only goes on while somebody waits."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def test_the_second_that_is_taken_is_waited_for(tmp_path: Path) -> None:
    (tmp_path / f".partial-{NIGHT}").mkdir()
    (tmp_path / "20260117_020000").mkdir()
    (tmp_path / "notes").mkdir()
    clock = Clock(NOW)
    assert next_id(tmp_path, clock, clock.wait, UTC)[0] == "20260118_020001"
    (tmp_path / "20260118_020100").mkdir()
    with pytest.raises(ClockWentBack):
        next_id(tmp_path, clock, clock.wait, UTC)
    assert next_id(tmp_path, clock, clock.wait, UTC, disregarded={"20260118_020100"})[0] == "20260118_020001"


def test_the_manifest_tells_the_moment_that_a_name_cannot(tmp_path: Path, made: Manifest, place: Path) -> None:
    moment = datetime(2026, 1, 18, 1, 0, tzinfo=UTC)
    (place / "manifest.json").write_bytes(encode(msgspec.structs.replace(made, taken_at=moment)))
    assert known_ids(tmp_path, NOW, UTC) == [(NIGHT, moment)]
    assert known_ids(tmp_path / "none", NOW, UTC) == []
