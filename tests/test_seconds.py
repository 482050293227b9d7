"""The second that MongoDB is restored to: typed by the clock of a host, with its jumps, and placed in the ranges."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from opsconsole.backups.oplog_ranges import Chain, Range
from opsconsole.backups.seconds import STEPS, held, local, range_of, typed, why_not, zone_said
from opsconsole.model import SourceError

BERLIN = ZoneInfo("Europe/Berlin")
DAY = datetime(2026, 1, 31, 9, 0, tzinfo=UTC)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def shown(*edges: tuple[str, str]) -> list[Range]:
    chain = Chain(base="b", slices=())
    return [Range(part="mongodb", first=utc(first), last=utc(last), chain=chain) for first, last in edges]


RANGES = shown(("2026-01-30 02:00:11", "2026-01-30 14:00:02"), ("2026-01-31 02:00:05", "2026-01-31 08:00:00"))


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-01-31 14:05:00", "2026-01-31 13:05:00"),
        ("2026-01-31T14:05:00", "2026-01-31 13:05:00"),
        ("2026-01-31T14:05:00Z", "2026-01-31 14:05:00"),
        ("2026-01-31 14:05:00+05:30", "2026-01-31 08:35:00"),
        ("2026-01-31 14:05:00.999999", "2026-01-31 13:05:00"),  # the whole second is restored
        ("2026-07-31 14:05:00", "2026-07-31 12:05:00"),
        ("14:05:09", "2026-01-31 13:05:09"),
        ("4:05", "2026-01-31 03:05:00"),
        (" 4:05:06 ", "2026-01-31 03:05:06"),
        ("2026-10-25 02:30:00+02:00", "2026-10-25 00:30:00"),
    ],
)
def test_typed(text: str, at: str) -> None:
    assert typed(text, DAY, BERLIN) == utc(at)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "nothing is no time"),
        ("yesterday", "yesterday is no time"),
        ("25:00", "25:00 is no time"),
        ("2026-02-30 01:00:00", "2026-02-30 01:00:00 is no time"),
        ("0001-01-01 00:00:00+14:00", "0001-01-01 00:00:00+14:00 is no time"),
        ("2026-03-29 02:30:00", "2026-03-29 02:30:00 was never: the clock is set forward there"),
        ("2026-10-25 02:30:00", "2026-10-25 02:30:00 was twice: the clock is set back there"),
    ],
)
def test_what_is_no_second_is_said(text: str, said: str) -> None:
    with pytest.raises(SourceError) as caught:
        typed(text, DAY, BERLIN)
    assert caught.value.problem == said and caught.value.hint


def test_an_hour_that_comes_twice_is_told_with_both_ways_to_write_it() -> None:
    with pytest.raises(SourceError) as caught:
        typed("2026-10-25 02:30:00", DAY, BERLIN)
    for text in caught.value.hint.removeprefix("Write ").removesuffix(".").split(" or "):
        assert local(typed(text, DAY, BERLIN), BERLIN) == "2026-10-25 02:30:00"


def test_a_second_outside_of_every_range_is_explained() -> None:
    assert range_of(utc("2026-01-30 14:00:02"), RANGES) == 0 and range_of(utc("2026-01-31 02:00:05"), RANGES) == 1
    for at, said in (
        ("2026-01-30 02:00:10", "before the first second that can be had, 2026-01-30 03:00:11."),
        ("2026-01-31 08:00:01", "after the last second that can be had, 2026-01-31 09:00:00."),
        (
            "2026-01-30 14:00:03",
            "in a gap: nothing holds what was written between 2026-01-30 15:00:02 and 2026-01-31 03",
        ),
    ):
        assert range_of(utc(at), RANGES) is None
        assert said in why_not(utc(at), RANGES, BERLIN)


def test_steps_end_at_the_edges_of_the_range() -> None:
    within = RANGES[0]
    assert held(within.last + STEPS["second"], within) == within.last
    assert held(within.first - STEPS["day"], within) == within.first
    assert held(within.first + STEPS["hour"], within) == within.first + timedelta(hours=1)


def test_the_zone_is_said() -> None:
    assert zone_said(DAY, BERLIN) == "CET, UTC+01:00"
    assert zone_said(utc("2026-07-01 00:00:00"), BERLIN) == "CEST, UTC+02:00"
    assert zone_said(DAY, ZoneInfo("Asia/Tehran")) == "UTC+03:30"
    assert zone_said(DAY, UTC) == "UTC"
    assert zone_said(DAY, ZoneInfo("Europe/London")) == "GMT, UTC"
