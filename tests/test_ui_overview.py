"""The overview: all is well in one second, and what is not well first."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from opsconsole.model import Alert, AlertState, Reading, Severity, Snapshot, SourceState
from opsconsole.ui.app import ConsoleApp
from opsconsole.ui.panes.attention import concerns
from opsconsole.ui.panes.overview_data_lines import backups, databases, probes, volumes
from opsconsole.ui.panes.overview_frame import Frame
from opsconsole.ui.panes.overview_lines import attention, host, services
from opsconsole.ui.wording import ASCII, UNICODE
from tests import ui_sample as sample
from tests.ui_sample import NOW, Feed, ago, painted, text_of

SIZES = [(80, 24), (120, 40), (200, 60), (60, 20)]


def alert(rule: str, subject: str, state: AlertState = AlertState.FIRING) -> Alert:
    return Alert(rule=rule, subject=subject, severity=Severity.CRITICAL, state=state, since=NOW, message=f"{rule} said")


# --- what needs attention --------------------------------------------------------------------------


def test_nothing_needs_attention_when_all_is_well() -> None:
    assert concerns(sample.well()) == []


def test_everything_that_is_wrong_is_found_worst_first() -> None:
    found = concerns(sample.troubled())
    words = [concern.word for concern in found]
    assert words[0] == "critical" and words[-1] == "pending"
    for word in ("out of memory", "unreachable", "unhealthy", "not created", "incomplete", "at risk", "drift"):
        assert word in words
    assert [concern.rank for concern in found] == sorted(concern.rank for concern in found)
    assert "mailer" not in {concern.subject for concern in found}  # stopped, and wanted by nobody


@pytest.mark.parametrize(
    ("rule", "subject", "word"),
    [
        ("container-unhealthy", "backend", "unhealthy"),
        ("container-down", "worker", "out of memory"),
        ("service-missing", "nginx", "not created"),
        ("database-down", "redis", "unreachable"),
        ("volume-risk", "mongodb's volume 3f2a", "at risk"),
        ("backup-failed", "backups", "incomplete"),
    ],
)
def test_what_a_firing_alert_says_is_not_said_twice(rule: str, subject: str, word: str) -> None:
    before = [concern.word for concern in concerns(sample.troubled(alerts=()))]
    firing = [concern.word for concern in concerns(sample.troubled(alerts=(alert(rule, subject),)))]
    assert firing.count(word) == before.count(word) - 1 and firing.count("critical") == 1
    pending = sample.troubled(alerts=(alert(rule, subject, AlertState.PENDING),))
    assert [concern.word for concern in concerns(pending)] == before  # it is seen now: no need to say it comes
    elsewhere = sample.troubled(alerts=(alert("cpu", subject),))
    assert [concern.word for concern in concerns(elsewhere)].count(word) == before.count(word)


def test_a_resolved_alert_needs_no_attention() -> None:
    assert concerns(sample.well(alerts=(alert("cpu", "host", AlertState.RESOLVED),))) == []


# --- panels ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("panel", [host, databases, backups, volumes, probes])
@pytest.mark.parametrize("snapshot", [sample.well(), sample.troubled(), sample.hostile(), Snapshot(sampled_at=NOW)])
@pytest.mark.parametrize("width", [30, 38, 60, 120])
def test_no_panel_line_is_wider_than_its_panel(panel: object, snapshot: Snapshot, width: int) -> None:
    for glyphs in (UNICODE, ASCII):
        frame = Frame(snapshot, width, glyphs)
        for line in (*panel(frame), *services(frame, 8)):  # type: ignore[operator]
            assert line.cell_length <= width, line.plain


def test_services_that_are_not_well_stand_first_and_the_rest_is_counted() -> None:
    snapshot = sample.many(200)
    bad = msgspec.structs.replace(snapshot.containers[150], health="unhealthy")
    containers = (*snapshot.containers[:150], bad, *snapshot.containers[151:])
    lines = [
        line.plain for line in services(Frame(sample.well(stack=snapshot.stack, containers=containers), 60, UNICODE), 8)
    ]
    assert "199 of 200 well" in lines[0]
    assert "service-0150" in lines[1] and "unhealthy" in lines[1]
    assert lines[-1].startswith("and 193 more, all well") and len(lines) == 9


def test_replicas_are_told_apart_where_names_are_cut() -> None:
    first = sample.well().containers[0]
    both = [msgspec.structs.replace(first, id=f"r{n}", service="a-very-long-name", number=n) for n in (12, 2)]
    lines = services(Frame(sample.well(containers=tuple(both)), 38, UNICODE), 12)
    assert [line.plain[:12].split()[-1] for line in lines[-2:]] == ["2", "12"]


def test_a_source_that_has_not_answered_is_neither_well_nor_empty() -> None:
    readings = {**sample.READINGS, "backups": Reading(source="backups")}
    lines = attention(Frame(sample.well(readings=readings, backups=()), 80, UNICODE), 8)
    assert "Looking" in lines[0].plain and "well" not in lines[0].plain
    assert "looking" in backups(Frame(sample.well(readings=readings, backups=()), 60, UNICODE))[1].plain
    failed = {
        **sample.READINGS,
        "backups": Reading(source="backups", state=SourceState.FAILED, problem="no permission"),
    }
    said = backups(Frame(sample.well(readings=failed, backups=()), 60, UNICODE))[1].plain
    assert "cannot be read: no permission" in said


# --- on the screen ---------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
async def test_all_is_well_is_said_in_words_at_the_top(size: tuple[int, int]) -> None:
    app = ConsoleApp(Feed(sample.well()), clock=lambda: NOW)  # type: ignore[arg-type]
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        lines = painted(app)
        assert "✓ All is well" in lines[2]
        text = "\n".join(lines)
        for word in ("Services", "6 of 6 well", "Host", "CPU", "memory", "disk"):
            assert word in text
        if size[1] >= 24:
            for word in ("MongoDB 6.0.5", "Redis 7.0.15", "newest good 3 h ago", "all persistent", "200  backend"):
                assert word in text, word


@pytest.mark.parametrize("size", SIZES)
async def test_trouble_is_said_first_with_how_long_it_lasts(size: tuple[int, int]) -> None:
    app = ConsoleApp(Feed(sample.troubled()), clock=lambda: NOW)  # type: ignore[arg-type]
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        lines = painted(app)
        assert "10 things need attention" in lines[2]
        assert "critical" in lines[3] and "Disk / is 94 % full" in lines[3] and "2 h" in lines[3]
        assert "out of memory" in lines[4]
        await pilot.press("enter")
        await pilot.pause()
        whole = " ".join(text_of(app).split())
        assert "Remove old images: docker image prune" in whole  # the advice, whatever the width
        await pilot.press("G")
        await pilot.pause()
        assert "pending" in text_of(app)


@pytest.mark.parametrize(("width", "columns"), [(60, 1), (75, 1), (76, 2), (120, 2), (149, 2), (150, 3), (200, 3)])
async def test_the_panels_stand_in_as_many_columns_as_there_is_room_for(width: int, columns: int) -> None:
    app = ConsoleApp(Feed(sample.well()), clock=lambda: NOW)  # type: ignore[arg-type]
    async with app.run_test(size=(width, 50)) as pilot:
        await pilot.pause()
        heading = next(line for line in painted(app) if line.startswith(" Services "))
        assert (heading.count("Host") + heading.count("Backups") + 1) == columns


async def test_old_backups_and_full_disks_are_told_with_numbers() -> None:
    snapshot = sample.troubled(sampled_at=NOW + timedelta(seconds=1))
    app = ConsoleApp(Feed(snapshot), clock=lambda: NOW)  # type: ignore[arg-type]
    async with app.run_test(size=(120, 45)) as pilot:
        await pilot.pause()
        text = text_of(app)
        assert "newest good 2 d 5 h ago" in text and "latest is incomplete, no mongo" in text
        assert "full in 2 d 9 h, 5G free" in text and "1 at risk  3f2a" in text
        assert ago(hours=1) < NOW
