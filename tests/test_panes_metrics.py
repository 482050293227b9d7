"""The pane of metrics: figures with their histories, alerts with what to do, probes, and what is not known."""

from __future__ import annotations

import msgspec
import pytest

from opsconsole.model import AlertState, Disk, HostSample, Severity
from opsconsole.ui.panes import host_lines, stack_lines
from opsconsole.ui.wording import UNICODE
from tests import pane_samples
from tests.pane_samples import NOW, console, painted


def text_of(lines: object) -> str:
    return "\n".join(line.plain for line in lines)  # type: ignore[attr-defined]


async def test_everything_the_runbook_asks_for_is_on_one_screen() -> None:
    async with console(pane_samples.well(), pane="metrics", size=(200, 60)) as (app, _):
        text = "\n".join(painted(app))
    for said in (
        "37 %",  # CPU
        "1.21  0.98  0.74",
        "steal 0.3 %",
        "iowait 1.2 %",
        "10 of 16 GiB",
        "90 MiB of 4 GiB",
        "74 of 80 GiB, 6 GiB free",
        "inodes 18 %",
        "full in about 6 days",
        "3.2 MiB/s",  # written
        "node --max-old-space-size",
        "HTTP 502",
        "errors 40.0 %",
        "average  2.4 s",
        "41 of them 5xx (13.7 %)",
        "63.2 %",  # the api container
        "firing critical",
        "pending warning",
        "resolved",
        "since",
        "→ Free space: docker image prune, old logs, old backups.",
    ):
        assert said in text, said


async def test_keys_scroll_to_the_last_section_on_a_small_screen() -> None:
    async with console(pane_samples.well(), pane="metrics", size=(80, 24)) as (app, pilot):
        assert not any("mongodb  7.8 %" in line for line in painted(app))
        await pilot.press("G")
        await pilot.pause()
        assert any("mongodb" in line and "7.8 %" in line for line in painted(app))
        await pilot.press("g")
        await pilot.pause()
        assert any("firing critical" in line for line in painted(app))


def test_alerts_stand_in_order_of_urgency_with_since_when_and_what_to_do() -> None:
    lines = stack_lines.alerts(pane_samples.well().alerts, NOW, 120, UNICODE)
    heads = [line.plain for line in lines if line.plain[:1] in "✗▲◐✓"]
    assert [head.split()[1] for head in heads] == ["firing", "firing", "pending", "resolved"]
    assert "(2 h)" in heads[0] or "(5 h)" in heads[0]
    assert "1 pending, 2 firing, 1 resolved" in lines[0].plain


def test_a_resolved_alert_asks_for_nothing_any_more() -> None:
    alert = msgspec.structs.replace(pane_samples.well().alerts[0], state=AlertState.RESOLVED)
    assert "Free space" not in text_of(stack_lines.alerts([alert], NOW, 80, UNICODE))


def test_no_alert_is_good_news_only_once_something_was_measured() -> None:
    assert "✓ None. Every rule is within its limit." in text_of(stack_lines.alerts([], NOW, 80, UNICODE))
    unknown = text_of(stack_lines.alerts([], NOW, 80, UNICODE, measured=False))
    assert "✓" not in unknown and "Nothing is measured yet." in unknown


@pytest.mark.parametrize("severity", list(Severity))
def test_severity_and_state_are_words_beside_the_colour(severity: Severity) -> None:
    alert = msgspec.structs.replace(pane_samples.well().alerts[0], severity=severity)
    assert f"firing {severity.value}" in text_of(stack_lines.alerts([alert], NOW, 80, UNICODE))


@pytest.mark.parametrize(
    ("days", "said"),
    [
        (0.4, "✗ full in less than a day"),
        (1.2, "▲ full in about 1 day"),
        (6.2, "▲ full in about 6 days"),
        (90.0, "full in about 90 days"),
        (4000.0, "full in more than a year"),
        (None, ""),
    ],
)
def test_when_a_disk_will_be_full_is_said_as_it_is_known(days: float | None, said: str) -> None:
    disk = Disk(mount="/", total_bytes=100, used_bytes=50, free_bytes=50, used_percent=50.0, full_in_days=days)
    text = text_of(host_lines.disks(HostSample(disks=(disk,)), 100, UNICODE))
    assert said in text and ("full in" in text) == bool(said)


def test_a_disk_without_a_fixed_number_of_inodes_does_not_show_any() -> None:
    disk = Disk(mount="/", filesystem="btrfs", total_bytes=100, inodes_total=0, inodes_free=0)
    assert "inodes" not in text_of(host_lines.disks(HostSample(disks=(disk,)), 100, UNICODE))


def test_no_swap_is_not_an_empty_swap() -> None:
    assert "none on this host" in text_of(host_lines.memory(HostSample(swap_total=0), {}, 80, UNICODE))


def test_only_the_busiest_containers_are_listed_and_the_others_counted() -> None:
    snapshot = pane_samples.huge()
    lines = stack_lines.containers(snapshot.containers, snapshot.history, 80, UNICODE)
    assert "top 12 of 200 by CPU" in lines[0].plain
    assert lines[-1].plain == "and 188 more containers"
    assert len(lines) == 15


def test_probes_that_were_not_asked_yet_are_not_called_missing() -> None:
    assert "Looking for" in text_of(stack_lines.probes([], {}, NOW, 80, UNICODE, asked=False))
    assert "[[probes]]" in text_of(stack_lines.probes([], {}, NOW, 80, UNICODE))
