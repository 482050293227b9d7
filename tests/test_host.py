"""The host as sampled here, and the forecast of its disks."""

from __future__ import annotations

import itertools
import json
import os
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from opsconsole.config import Config
from opsconsole.model import HostSample
from opsconsole.real_sources import real_sources
from opsconsole.sources import host_disks
from opsconsole.sources.disk_history import KEPT, SPACING, DiskHistory, days_until_full
from opsconsole.sources.host import HostSampler, cpu_shares, is_whole_disk
from opsconsole.sources.host_disks import DiskSampler
from opsconsole.sources.host_processes import ProcessSampler, parse_stat
from tests.parts.machine import wait_until

START = datetime(2026, 3, 1, tzinfo=UTC)
GIB = 1 << 30


def _line(
    hours: float, per_day: float, *, start: int = 10 * GIB, spacing: timedelta = SPACING
) -> list[tuple[datetime, int]]:
    count = int(timedelta(hours=hours) / spacing) + 1
    moments = [START + spacing * number for number in range(count)]
    return [(moment, int(start + per_day * ((moment - START) / timedelta(days=1)))) for moment in moments]


# --- the forecast ----------------------------------------------------------------------------------


@given(st.floats(1.0, 168.0), st.integers(1 << 20, 100 * GIB), st.integers(GIB, 1000 * GIB))
@example(hours=168.0, per_day=GIB, free=7 * GIB)
def test_steady_growth_is_continued(hours: float, per_day: int, free: int) -> None:
    days = days_until_full(_line(hours, per_day), free)
    if free / per_day < 3600:
        assert days == pytest.approx(free / per_day, rel=1e-3)
    elif free / per_day > 3700:
        assert days is None


@given(st.floats(1.0, 168.0), st.integers(0, 100 * GIB))
def test_a_disk_that_stands_still_or_empties_has_no_day(hours: float, per_day: int) -> None:
    assert days_until_full(_line(hours, -per_day, start=1000 * GIB), GIB) is None


@given(st.integers(1, 50), st.integers(GIB, 100 * GIB), st.randoms(use_true_random=False))
def test_neither_order_nor_unit_matters(factor: int, free: int, random: Random) -> None:
    samples = _line(24, GIB)
    shuffled = list(samples)
    random.shuffle(shuffled)
    days = days_until_full(samples, free)
    assert days is not None
    assert days_until_full(shuffled, free) == days
    assert days_until_full([(at, used * factor) for at, used in samples], free * factor) == pytest.approx(days)


def test_a_few_wrong_values_do_not_tilt_it() -> None:
    samples = _line(48, GIB)
    for index in range(5, len(samples), 10):
        samples[index] = (samples[index][0], 500 * GIB)
    assert days_until_full(samples, 10 * GIB) == pytest.approx(10, rel=0.02)


@given(st.integers(0, 2**32))
def test_noise_around_a_level_is_not_growth(seed: int) -> None:
    random = Random(seed)
    noisy = [(at, used + random.randrange(100_000_000)) for at, used in _line(24, 0)]
    assert days_until_full(noisy, 50_000_000) is None


def test_less_than_an_hour_says_nothing() -> None:
    assert days_until_full([], GIB) is None
    assert days_until_full(_line(0.9, GIB), GIB) is None
    assert days_until_full([(START, 1)] * 50, GIB) is None


def test_a_full_disk_that_grows_is_full_now() -> None:
    assert days_until_full(_line(24, GIB), 0) == 0.0


# --- its memory ------------------------------------------------------------------------------------


def test_the_history_is_kept_in_a_small_private_file(tmp_path: Path) -> None:
    path = tmp_path / "state" / "disks.json"
    history = DiskHistory(path)
    assert history.add("/", START, 1)
    assert not history.add("/", START + SPACING / 2, 2)
    assert history.add("/", START + SPACING, 3)
    assert history.save()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(path.parent) == ["disks.json"]
    again = DiskHistory(path)
    assert again.samples("/") == ((START, 1), (START + SPACING, 3))
    assert again.samples("/", since=START + SPACING) == ((START + SPACING, 3),)


def test_the_history_is_bounded_and_forgets_disks_that_are_gone() -> None:
    history = DiskHistory()
    history.add("/gone", START, 1)
    for number in range(int(KEPT / SPACING) + 500):
        history.add("/", START + SPACING * number, number)
    assert len(history.samples("/")) == KEPT / SPACING + 1
    assert history.samples("/gone") == ()


def test_a_clock_set_back_does_not_stop_the_history() -> None:
    history = DiskHistory()
    history.add("/", START + timedelta(days=400), 1)
    assert history.add("/", START, 2)
    assert history.samples("/") == ((START, 2),)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe", b"[]", b'{"version": 2}', b'{"version":1,"mounts":{"/":[[1]]}}',
     b'{"version":1,"mounts":{"/":[[1e300,5]]}}', b'{"version":1,"mounts":{"/":[["x",NaN]]}}',
     b'{"version":1,"mounts":[]}', b"[" * 100_000],
)  # fmt: skip
def test_a_damaged_file_is_begun_anew(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "disks.json"
    path.write_bytes(content)
    history = DiskHistory(path)
    assert history.samples("/") == ()
    assert history.add("/", START, 7) and history.save()
    assert json.loads(path.read_text())["mounts"] == {"/": [[int(START.timestamp()), 7]]}


def test_where_nothing_can_be_written_the_memory_still_works(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    history = DiskHistory(blocked / "disks.json")
    assert history.add("/", START, 7)
    assert not history.save()
    assert history.samples("/") == ((START, 7),)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MiB."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    point = tmp_path / "small"
    point.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,nr_inodes=100", "tmpfs", str(point)], check=True, timeout=30)
    yield point
    subprocess.run(["umount", "--lazy", str(point)], check=True, timeout=30)


def test_a_full_disk_keeps_the_last_file(small_disk: Path) -> None:
    path = small_disk / "disks.json"
    history = DiskHistory(path)
    history.add("/", START, 7)
    assert history.save()
    before = path.read_bytes()
    with open(small_disk / "filler", "wb", buffering=0) as filler, pytest.raises(OSError, match="No space"):
        while True:
            filler.write(b"x" * 4096)
    for number in range(1, 2000):
        history.add("/", START + SPACING * number, 7)
    assert not history.save()
    assert path.read_bytes() == before
    assert sorted(os.listdir(small_disk)) == ["disks.json", "filler"]


# --- disks -----------------------------------------------------------------------------------------


def test_the_disk_of_a_path_is_there_whatever_it_is(small_disk: Path) -> None:
    sampler = DiskSampler(names={str(small_disk / "later" / "backups"): "backups"})
    disks = {disk.mount: disk for disk in sampler.disks([str(small_disk / "later" / "backups")])}
    disk = disks[str(small_disk)]
    assert (disk.filesystem, disk.total_bytes, disk.inodes_total, disk.holds) == ("tmpfs", 1 << 20, 100, "backups")
    assert disk.used_bytes + disk.free_bytes == disk.total_bytes
    assert str(small_disk) not in {disk.mount for disk in sampler.disks([])}


def test_a_disk_is_listed_once_and_its_numbers_are_those_of_df() -> None:
    disks = DiskSampler().disks(["/"])
    by_device = [disk.device for disk in disks if disk.device.startswith("/dev/")]
    assert len(by_device) == len(set(by_device))
    root = next(disk for disk in disks if disk.mount == "/")
    line = subprocess.run(["df", "-B1", "/"], capture_output=True, text=True, check=True, timeout=30).stdout
    size, used, _, share = line.splitlines()[1].split()[1:5]
    assert root.total_bytes == int(size)
    assert root.used_bytes == pytest.approx(int(used), rel=0.02)
    assert root.used_percent == pytest.approx(float(share.rstrip("%")), abs=1.5)
    assert root.holds == "/"


def test_a_mount_that_hangs_costs_only_its_own_row(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A share whose server is gone cannot be made without a second machine: the question itself hangs here.
    real, release = host_disks._filling, small_disk / "release"

    def hanging(point: str) -> host_disks._Filling:
        while point == str(small_disk) and not os.access(release, os.F_OK):
            time.sleep(0.02)
        return real(point)

    monkeypatch.setattr(host_disks, "_filling", hanging)
    monkeypatch.setattr(host_disks, "_ANSWER_SECONDS", 0.3)
    sampler = DiskSampler()

    def look() -> dict[str, int]:
        return {disk.mount: disk.total_bytes for disk in sampler.disks([str(small_disk), "/"])}

    first = look()
    assert first[str(small_disk)] == 0 and first["/"] > 0
    monkeypatch.setattr(host_disks, "_ANSWER_SECONDS", 60)
    began = time.monotonic()
    assert look()["/"] > 0
    assert time.monotonic() - began < 30  # who hung before is not waited for again
    release.touch()
    wait_until(lambda: look()[str(small_disk)] == 1 << 20, 30, "the disk does not come back")


def test_a_growing_disk_gets_a_day_from_its_history(tmp_path: Path) -> None:
    root = next(disk for disk in DiskSampler().disks(["/"]) if disk.mount == "/")
    path, now = tmp_path / "disks.json", datetime.now(UTC)
    history = DiskHistory(path)
    per_day = root.free_bytes / 5
    for number in range(60, 0, -1):
        ago = SPACING * number
        history.add("/", now - ago, int(root.used_bytes - per_day * (ago / timedelta(days=1))))
    disks = {disk.mount: disk for disk in DiskSampler(history).disks(["/"])}
    assert disks["/"].full_in_days == pytest.approx(5, rel=0.05)
    assert disks["/"].watched_days == pytest.approx(10 / 24, rel=0.01)
    assert next(disk for disk in DiskSampler().disks(["/"]) if disk.mount == "/").watched_days == 0.0
    assert len(DiskHistory(path).samples("/")) == 61  # this look was remembered and written
    written = path.read_bytes()
    only_read = DiskHistory(path, writes=False)
    assert only_read.add("/", now + SPACING, 1) and not only_read.save()
    assert len(only_read.samples("/")) == 62 and path.read_bytes() == written


def test_who_only_looks_knows_the_history_and_leaves_it_as_it_is(tmp_path: Path) -> None:
    """`opsconsole maintenance` and a console that is read-only said nothing of what grows."""
    path, now = tmp_path / ".opsconsole" / "disk-history.json", datetime.now(UTC)
    history = DiskHistory(path)
    for number in range(60, 0, -1):
        history.add("/", now - SPACING * number, 10**9 - number)
    history.save()
    written = path.read_bytes()
    sample = real_sources(tmp_path, Config(), read_only=True).host.sample(paths=["/"])
    assert next(disk for disk in sample.disks if disk.mount == "/").watched_days == pytest.approx(10 / 24, rel=0.01)
    assert path.read_bytes() == written


# --- CPU, traffic, processes -----------------------------------------------------------------------


class Times(NamedTuple):
    user: float = 0
    system: float = 0
    idle: float = 0
    iowait: float = 0
    steal: float = 0
    guest: float = 0


def test_cpu_shares_are_of_the_time_between() -> None:
    assert cpu_shares(Times(), Times(user=1, system=1, idle=4, iowait=2, steal=2, guest=1)) == {
        "busy": 40.0,
        "iowait": 20.0,
        "steal": 20.0,
    }
    assert cpu_shares(Times(user=3), Times(user=3)) == {}


@given(st.lists(st.floats(0, 1e6), min_size=12, max_size=12))
def test_cpu_shares_stay_within_the_whole(numbers: Sequence[float]) -> None:
    before = Times(*numbers[:6])
    for share in cpu_shares(before, Times(*(a + b for a, b in zip(before, numbers[6:], strict=True)))).values():
        assert -1e-6 <= share <= 100 + 1e-6


@given(st.binary(max_size=15), st.integers(0, 10**9), st.integers(0, 10**9))
def test_a_process_may_have_any_name(name: bytes, user: int, kernel: int) -> None:
    numbers = ["0"] * 11 + [str(user), str(kernel)] + ["0"] * 6 + ["99", "0", "3"]
    found = parse_stat(b"17 (" + name + b") S " + " ".join(numbers[1:]).encode())
    assert found is not None
    assert found.name == name.decode(errors="replace")
    assert found.cpu_seconds * os.sysconf("SC_CLK_TCK") == pytest.approx(user + kernel)
    assert found.started == 99 and found.memory_bytes == 3 * os.sysconf("SC_PAGE_SIZE")


@given(st.binary())
def test_no_stat_is_strange_enough_to_raise(content: bytes) -> None:
    parse_stat(content)


def test_the_busiest_process_is_on_top_with_its_secret_masked() -> None:
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass", "--password=hunter2"])
    try:
        sampler = ProcessSampler()
        assert all(process.cpu_percent == 0 for process in sampler.top(5))

        def found() -> bool:
            # The machine is shared: it need not be the first, but it must be among the first.
            top = {process.pid: process for process in sampler.top(10)}
            row = top.get(busy.pid)
            return row is not None and row.cpu_percent > 20 and "hunter2" not in row.command and "while" in row.command

        wait_until(found, 60, "the busy process does not show", interval=0.5)
    finally:
        busy.kill()
        busy.wait()
    assert busy.pid not in {process.pid for process in sampler.top(10_000)}


def test_a_sample_knows_everything_and_rates_come_with_the_second() -> None:
    sampler = HostSampler()
    first = sampler.sample(paths=["/"])
    assert (first.cpu_percent, first.cpu_per_core, first.disk_read_rate, first.processes) == (None, (), None, ())
    samples = itertools.chain([first], iter(lambda: sampler.sample(paths=["/"], processes=3), None))

    def complete() -> HostSample | None:
        sample = next(samples)
        return sample if sample.cpu_percent is not None and len(sample.cpu_per_core) == sample.cpus else None

    sample = wait_until(complete, 30, "no CPU share after the first sample", interval=0.2)
    assert sample is not None and sample.cpu_percent is not None and 0 <= sample.cpu_percent <= 100
    assert sample.memory_total is not None and sample.memory_used is not None and sample.memory_available is not None
    assert sample.memory_used + sample.memory_available == sample.memory_total
    assert sample.load is not None and sample.iowait_percent is not None and sample.name
    assert sample.boot_at is not None and sample.boot_at < datetime.now(UTC)
    assert len(sample.processes) == 3


@pytest.mark.parametrize("name", ["loop0", "dm-0", "md127", "zram0", "nothing-of-the-kind"])
def test_layers_over_disks_are_not_counted_twice(name: str) -> None:
    assert not is_whole_disk(name)
