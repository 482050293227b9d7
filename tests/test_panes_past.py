"""The metrics of an hour, a day and a week: read beside the loop, drawn with holes where nothing was measured."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

import pytest

from opsconsole.demo import demo_sources
from opsconsole.metrics import Course, MetricsReader, MetricsStore, Point, Series, Value, metrics_file
from opsconsole.model import SourceError
from opsconsole.operations.site import Site
from opsconsole.ui.panes import past_lines
from opsconsole.ui.panes.metrics import MetricsPane
from opsconsole.ui.panes.past_metrics import MOST_CONTAINERS, RANGES, Past, read_past
from opsconsole.ui.wording import ASCII, UNICODE
from tests import pane_samples
from tests.pane_samples import NOW, console, painted

HOUR = RANGES[5]


def text_of(lines: object) -> str:
    return "\n".join(line.plain for line in lines)  # type: ignore[attr-defined]


def course(name: str, values: Sequence[float | None], step: int = 60, **labels: str) -> Course:
    return Course(
        series=Series(name=name, labels=tuple(sorted(labels.items()))),
        begins=NOW - timedelta(seconds=step * len(values)),
        step_seconds=step,
        points=tuple(None if value is None else Point(low=value, mean=value, high=value, count=6) for value in values),
    )


def past(*courses: Course, range_: int = 5, problem: str = "") -> Past:
    wanted = RANGES[range_]
    found: dict[str, tuple[Course, ...]] = {}
    for one in courses:
        found[one.series.name] = (*found.get(one.series.name, ()), one)
    return Past(range=wanted, since=NOW - wanted.span, until=NOW, courses=found, problem=problem)


def test_a_hole_is_drawn_as_a_hole_and_zero_is_not_one() -> None:
    values: list[float | None] = [50.0] * 20 + [None] * 20 + [0.0] * 20
    rows = past_lines.cpu(past(course("host_cpu_percent", values)), 9 + 60, UNICODE)
    bottom = rows[-2].plain[9:]
    assert rows[-2].plain.startswith("    0 % ".rjust(9)[:9])
    assert set(bottom[:20]) == {"█"} and set(bottom[20:40]) == {" "} and set(bottom[40:]) == {"▁"}


@cache
def day_of_the_demo() -> Past:
    return read_past(demo_sources(clock=lambda: NOW).kept, RANGES[6], NOW)


@pytest.mark.parametrize("width", [40, 78, 118, 58, 200])
@pytest.mark.parametrize("glyphs", [UNICODE, ASCII], ids=["unicode", "ascii"])
def test_no_line_is_broader_than_its_place(width: int, glyphs: object) -> None:
    shown = day_of_the_demo()
    for paint in (
        past_lines.head,
        past_lines.cpu,
        past_lines.memory,
        past_lines.disks,
        past_lines.throughput,
        past_lines.databases,
        past_lines.endpoints,
        past_lines.containers,
    ):
        for one in (shown, None, past()):
            lines = paint(one, width, glyphs)  # type: ignore[arg-type]
            assert all(line.cell_length <= width for line in lines), paint.__name__


def test_times_stand_below_what_they_are_of(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = past_lines.cpu(past(course("host_cpu_percent", [10.0] * 60)), 9 + 60, UNICODE)
    axis = rows[-1].plain[9:]
    begin = (NOW - HOUR.span).astimezone()
    for said in axis.split():
        hour, minute = map(int, said.split(":"))
        assert minute % 15 == 0
        at = begin.replace(hour=hour, minute=minute, second=0)
        assert axis.index(said) == int((at - begin).total_seconds() % 86400 // 60)


def test_highest_and_mean_are_said_with_the_time_of_the_highest() -> None:
    values: list[float | None] = [20.0] * 59 + [90.0]
    rows = past_lines.cpu(past(course("host_cpu_percent", values)), 80, UNICODE)
    at = (NOW - timedelta(minutes=1)).astimezone()
    assert f"mean 21 %, top 90 % at {at:%H:%M}" in rows[0].plain


def test_an_endpoint_that_failed_for_a_while_says_so() -> None:
    up: list[float | None] = [1.0] * 54 + [0.0] * 6
    shown = past(
        course("endpoint_latency_seconds", [0.2] * 60, endpoint="api"), course("endpoint_up", up, endpoint="api")
    )
    assert "api answered well 90.0 % of the time" in text_of(past_lines.endpoints(shown, 80, UNICODE))
    well = past(course("endpoint_up", [1.0] * 60, endpoint="api"))
    assert "of the time" not in text_of(past_lines.endpoints(well, 80, UNICODE))


def test_a_week_of_many_containers_is_the_busiest_of_them(tmp_path: Path) -> None:
    with MetricsStore(metrics_file(tmp_path)) as store:
        for minute in range(30):
            at = NOW - timedelta(minutes=30 - minute)
            labels = [(("container", f"shop-web-{number}"), ("service", "web")) for number in range(40)]
            values = [
                Value(name=name, value=float(number), labels=labels[number])
                for number in range(40)
                for name in ("container_cpu_percent", "container_memory_bytes")
            ]
            store.add_sample(at, values, spacing=60)
    shown = read_past(MetricsReader(metrics_file(tmp_path)), RANGES[7], NOW)
    assert not shown.problem and shown.containers == 40
    assert len(shown.of("container_cpu_percent")) == len(shown.of("container_memory_bytes")) == MOST_CONTAINERS
    lines = past_lines.containers(shown, 80, UNICODE)
    assert "the busiest 12 of 40" in lines[0].plain and lines[1].plain.startswith("web-39")


class Broken:
    def courses(self, *_: object, **__: object) -> tuple[Course, ...]:
        raise SourceError("the file is closed to this user", "Run opsconsole as its owner.")


def test_what_cannot_be_read_says_why_and_what_was_never_kept_says_how() -> None:
    assert "The file is closed to this user. Run opsconsole as its owner." in text_of(
        past_lines.head(read_past(Broken(), HOUR, NOW), 100, UNICODE)
    )
    nothing = read_past(MetricsReader(Path("/nowhere/.opsconsole/metrics.sqlite")), HOUR, NOW)
    assert "opsconsole collect --install" in nothing.problem
    assert read_past(None, HOUR, NOW).problem == "No metrics are kept of this stack."


async def test_keys_choose_the_range_and_the_first_one_goes_back(tmp_path: Path) -> None:
    with MetricsStore(metrics_file(tmp_path)) as store:
        for step in range(60):
            at = NOW - timedelta(minutes=60 - step)
            store.add_sample(at, [Value(name="host_cpu_percent", value=42.0)], spacing=60)
    site = Site(directory=tmp_path)
    async with console(pane_samples.well(), pane="metrics", site=site) as (app, pilot):

        async def shows(*texts: str) -> None:
            for _ in range(200):
                if all(text in "\n".join(painted(app)) for text in texts):
                    return
                await pilot.pause(0.02)
            raise AssertionError((texts, painted(app)))

        await pilot.press("5")
        await shows("The last hour", "mean 42 %, top 42 %")
        await pilot.press("7")
        await shows("The last 7 days", "mean 42 %")
        await pilot.press("6")
        await shows("The last 24 hours")
        await pilot.press("0")
        await shows("Alerts", "per core")


class Slow:
    """A store whose answers come when they are let."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.let = threading.Event()

    def courses(
        self,
        names: Sequence[str],
        since: datetime,
        until: datetime,
        *,
        steps: int,
        among: Callable[[Series], bool] = lambda series: True,
    ) -> tuple[Course, ...]:
        self.asked.append(threading.current_thread().name)
        self.let.wait(10)
        return (course("host_cpu_percent", [7.0] * 60),) if "host_cpu_percent" in names else ()


async def test_reading_holds_nothing_up_and_never_overlaps(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow()
    async with console(pane_samples.well(), pane="metrics") as (app, pilot):
        assert isinstance(app.pane, MetricsPane)
        monkeypatch.setattr("opsconsole.ui.panes.metrics.kept_metrics", lambda app: slow)
        await pilot.press("5", "6", "7", "5")
        await pilot.pause()
        assert "Reading what was kept." in "\n".join(painted(app)), "the keys were answered meanwhile"
        assert slow.asked == ["ui-history"]
        slow.let.set()
        for _ in range(200):
            if "mean 7 %" in "\n".join(painted(app)):
                break
            await pilot.pause(0.02)
        assert "The last hour" in "\n".join(painted(app)) and "mean 7 %" in "\n".join(painted(app))
        assert set(slow.asked) == {"ui-history"}


def test_the_demo_has_a_history_with_a_hole() -> None:
    shown = day_of_the_demo()
    (cpu,) = shown.of("host_cpu_percent")
    assert 10 < sum(point is None for point in cpu.points) < 60
    assert all(shown.of(name) for name in ("host_disk_percent", "mongodb_connections", "endpoint_latency_seconds"))
