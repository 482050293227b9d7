"""The pane of backups: the alarm, how good each one is, what is missing in it, and where was looked."""

from __future__ import annotations

import time
from collections.abc import Iterator

import msgspec
import pytest
from rich.cells import cell_len

from opsconsole.model import (
    BackupCheck,
    BackupContents,
    BackupState,
    Collection,
    DatabaseTarget,
    HeldCollection,
    HeldKeys,
    HeldPart,
    MongoDatabase,
    MongoStatus,
    Reading,
    RedisStatus,
    SourceState,
)
from opsconsole.ui.panes.backup_lines import contents_lines, detail
from opsconsole.ui.panes.backup_rows import change_said, parts_said, summary
from opsconsole.ui.wording import UNICODE
from tests import pane_samples
from tests.pane_samples import NOW, console, painted

UNFINISHED, GOOD, INCOMPLETE, DAMAGED, OLD = pane_samples.well().backups


@pytest.fixture
def jakarta(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Asia/Jakarta")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


async def test_the_alarm_stands_above_the_rows_and_says_what_to_do() -> None:
    async with console(pane_samples.well(), pane="backups") as (app, _):
        lines = painted(app)
        assert "✗ The newest good backup is 31 h old (limit 26 h)." in lines[2]
        assert "→ Run ./backup.sh" in lines[3]
        assert "5 backups, 2 good" in lines[4] and "in /srv/thynk/backups" in lines[4] + lines[5]


async def test_no_alarm_no_banner() -> None:
    snapshot = msgspec.structs.replace(pane_samples.well(), alerts=pane_samples.well().alerts[:1])
    async with console(snapshot, pane="backups") as (app, _):
        assert "5 backups, 2 good" in painted(app)[2]


async def test_rows_say_state_age_size_and_parts_newest_first(jakarta: None) -> None:
    async with console(pane_samples.well(), pane="backups", size=(200, 60)) as (app, _):
        rows = [line for line in painted(app) if "20250" in line][:5]
        assert [row.split()[1] for row in rows] == ["unfinished", "good", "incomplete", "damaged", "good"]
        assert "31 h" in rows[1] and "1.2 GiB" in rows[1]
        assert "2025-03-13 14:02" in rows[1]  # 07:02:11 UTC
        assert "no MongoDB; files, config" in rows[2]
        assert "MongoDB empty" in rows[3]


def test_the_future_is_never_the_newest() -> None:
    ahead = msgspec.structs.replace(GOOD, id="ahead", in_future=True, taken_at=NOW.replace(year=2031))
    snapshot = msgspec.structs.replace(pane_samples.well(), backups=(ahead, OLD), alerts=())
    assert "newest good one 6 d ago" in summary(snapshot, 120, UNICODE)[0].plain
    text = " ".join(line.plain for line in detail(ahead, NOW, 100, UNICODE))
    assert "lies in the future" in text and "Check the clock" in text and "backup misdated" in text


@pytest.mark.parametrize("width", [77, 117, 197])
def test_what_is_in_it_beside_what_is_there_now_fits_and_alarms_nobody(width: int) -> None:
    """MongoDB's own databases are in a backup and are not counted while it runs: they are not gone."""
    names = (("admin", "system.users"), ("shop", "users"), ("shop", "orders"))
    held = HeldPart(
        kind="mongo",
        name="mongodb",
        collections=tuple(HeldCollection(database=one, name=name, documents=14) for one, name in names),
    )
    keys = HeldPart(kind="redis", name="redis", keys=(HeldKeys(database=0, keys=1_234_567, expiring=1_234_560),))
    mongo = MongoStatus(
        target=DatabaseTarget(kind="mongodb", name="mongodb"),
        listed=True,
        databases=(MongoDatabase(name="shop", collections=(Collection(name="users", documents=14),)),),
    )
    redis = RedisStatus(target=DatabaseTarget(kind="redis", name="redis"), reachable=True)
    checks = (
        BackupCheck(level=2, at=NOW, problem=f"mongodb.archive.gz {'is cut short ' * 9}at its end"),
        BackupCheck(level=3, at=NOW),
    )
    inside = BackupContents(parts=(held, keys), checks=checks)
    lines = [one.plain for one in contents_lines(GOOD, inside, (GOOD,), (mongo, redis), NOW, width, UNICODE)]
    assert max(map(cell_len, lines)) <= width
    text = " ".join(" ".join(lines).split())
    assert "restored into throw-away servers and compared" in text and "at its end" in text
    assert "1,234,560" in text and "…" not in text
    assert {line.split()[0]: "is gone" in line for line in lines if "." in line and " 14 " in line} == {
        "admin.system.users": False, "shop.users": False, "shop.orders": True,
    }  # fmt: skip


def test_a_size_that_is_many_times_the_one_before_fits_into_its_column() -> None:
    small = msgspec.structs.replace(OLD, id="small", size_bytes=1000, taken_at=NOW.replace(year=2020))
    for size, said in ((1500, "+50 %"), (10_990, "+999 %"), (24_000, "x24")):
        assert change_said(msgspec.structs.replace(OLD, size_bytes=size), (OLD, small))[0] == said


def test_no_good_one_among_them_is_said() -> None:
    snapshot = msgspec.structs.replace(pane_samples.well(), backups=(INCOMPLETE, DAMAGED), alerts=())
    assert "none of them is good" in summary(snapshot, 120, UNICODE)[0].plain


@pytest.mark.parametrize(
    ("backup", "said"),
    [
        (GOOD, "MongoDB, files, config"),
        (INCOMPLETE, "no MongoDB; files, config"),
        (DAMAGED, "MongoDB empty; files, config"),
        (msgspec.structs.replace(GOOD, parts=(), missing=()), "nothing recognised"),
        (msgspec.structs.replace(GOOD, parts=(), missing=("mongo", "redis")), "no MongoDB, no Redis"),
    ],
)
def test_what_is_missing_and_what_is_bad_come_first(backup: object, said: str) -> None:
    assert parts_said(backup) == said  # type: ignore[arg-type]


def test_the_detail_lists_every_part_with_size_and_note() -> None:
    text = "\n".join(line.plain for line in detail(DAMAGED, NOW, 100, UNICODE))
    assert "The dump of the database is empty." in text
    assert "✗ MongoDB" in text and "database/thynk" in text and "empty" in text
    assert "✓ files" in text and "2,113 files" in text
    assert DAMAGED.path in text


@pytest.mark.parametrize("state", list(BackupState))
async def test_every_state_is_a_word_with_a_sign(state: BackupState) -> None:
    backup = msgspec.structs.replace(GOOD, state=state)
    snapshot = msgspec.structs.replace(pane_samples.well(), backups=(backup,), alerts=())
    async with console(snapshot, pane="backups") as (app, _):
        row = next(line for line in painted(app) if "20250313" in line)
        signs = {"good": "✓", "incremental": "✓", "incomplete": "▲", "damaged": "✗", "unfinished": "◐"}
        sign = signs[state.value]
        assert f"{sign} {state.value}" in row


async def test_where_there_is_none_it_says_what_was_looked_for_and_where() -> None:
    snapshot = msgspec.structs.replace(pane_samples.well(), backups=())
    async with console(snapshot, pane="backups", size=(80, 24)) as (app, _):
        text = " ".join("\n".join(painted(app)).split())
        assert "The newest good backup is 31 h old" in text
        assert "No backup in /srv/thynk/backups. Looked for:" in text and "mps_backup_<time>.tar.gz" in text


async def test_a_directory_that_cannot_be_read_is_not_called_empty() -> None:
    failed = Reading(source="backups", state=SourceState.FAILED, problem="permission denied", hint="use sudo")
    snapshot = pane_samples.well()
    snapshot = msgspec.structs.replace(snapshot, backups=(), readings=snapshot.readings | {"backups": failed})
    async with console(snapshot, pane="backups") as (app, _):
        text = "\n".join(painted(app))
        assert "could not be read: permission denied" in text and "No backup in" not in text
