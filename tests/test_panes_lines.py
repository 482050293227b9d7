"""Histories, bars, wrapped and flowed lines: pure functions, and what they promise about widths."""

from __future__ import annotations

import math
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from textual.content import Content

from opsconsole.model import HostSample, Reading, SourceState
from opsconsole.ui.panes import host_lines
from opsconsole.ui.widgets.chart import area, painted, sparkline
from opsconsole.ui.widgets.gauge import gauge
from opsconsole.ui.widgets.lines import fit, flowed, latency, share_of, shorten_middle, wrapped
from opsconsole.ui.widgets.source_banner import source_lines
from opsconsole.ui.wording import ASCII, UNICODE, Tone
from tests.pane_samples import GB, MB, NOW, ago

numbers = st.floats(min_value=0, max_value=1e12) | st.sampled_from([math.nan, math.inf])


@given(st.lists(numbers, max_size=60), st.integers(0, 50), st.integers(1, 4), st.booleans())
def test_a_history_is_exactly_as_wide_and_high_as_asked(
    values: list[float], width: int, height: int, ascii: bool
) -> None:
    rows = area(values, width, height, ascii=ascii)
    assert [cell_len(row) for row in rows] == [width] * height
    assert all(row.isascii() for row in rows) or not ascii


def test_the_newest_value_stands_at_the_right_edge() -> None:
    assert sparkline([0, 50, 100], 5, high=100) == "  ▁▄█"
    assert sparkline(range(0, 101), 3, high=100) == "███"
    assert sparkline([0, 50, 100], 5, high=100, ascii=True) == "  .=@"


def test_a_known_value_is_never_a_blank_and_an_unknown_one_always_is() -> None:
    assert sparkline([0.0, 0.0], 2) == "▁▁"
    assert sparkline([math.nan, 1.0], 2) == " █"


def test_a_high_chart_fills_from_the_bottom() -> None:
    assert area([25, 100], 2, 2, high=100) == [" █", "▄█"]


def test_what_is_over_the_limit_stands_out() -> None:
    (row,) = painted([10, 90, 20], 3, high=100, limit=80)
    assert [(span.start, span.end) for span in row.spans if span.style == Tone.WARNING] == [(1, 2)]


@given(st.none() | st.floats(min_value=0, max_value=500), st.integers(0, 60), st.sampled_from([UNICODE, ASCII]))
def test_a_bar_is_exactly_as_wide_as_asked(percent: float | None, width: int, glyphs: object) -> None:
    assert gauge(percent, width, glyphs=glyphs).cell_length == width  # type: ignore[arg-type]


def test_a_bar_tells_used_from_free_by_shape_and_shows_the_least_use() -> None:
    assert gauge(50, 8, glyphs=UNICODE).plain == "━━━━────"
    assert gauge(0.1, 8, glyphs=ASCII).plain == "#-------"
    assert gauge(0, 8, glyphs=ASCII).plain == "--------"


@given(st.text(max_size=40), st.integers(0, 40), st.booleans())
def test_a_cell_is_exactly_as_wide_as_asked(text: str, width: int, right: bool) -> None:
    assert cell_len(fit(text, width, right=right)) == width


@given(st.text(max_size=60), st.integers(0, 40))
def test_shortening_in_the_middle_keeps_within_the_width(text: str, width: int) -> None:
    assert cell_len(shorten_middle(text, width)) <= width


def test_shortening_in_the_middle_keeps_both_ends() -> None:
    assert shorten_middle("/var/lib/docker/volumes/thynk_mongo/_data", 21) == "/var/lib/d…ongo/_data"


@given(st.text(max_size=120), st.integers(1, 30))
def test_a_wrapped_sentence_never_passes_the_edge(text: str, width: int) -> None:
    assert all(line.cell_length <= width for line in wrapped(text, width))


def test_facts_flow_onto_as_many_lines_as_they_need() -> None:
    facts = [Content("one two"), Content(""), Content("three"), Content("four")]
    assert [line.plain for line in flowed(facts, 14, indent=1, hang=2)] == [" one two", "   three  four"]


@pytest.mark.parametrize(
    ("used", "whole", "said"),
    [(74 * GB, 80 * GB, "74 of 80 GiB"), (90 * MB, 4 * GB, "90 MiB of 4 GiB"), (None, 4 * GB, "- of 4 GiB")],
)
def test_a_share_says_its_unit_once(used: int | None, whole: int, said: str) -> None:
    assert share_of(used, whole) == said


def test_latencies_have_two_digits_that_matter() -> None:
    assert [latency(seconds) for seconds in (None, 0.0004, 0.034, 2.42)] == ["-", "0.4 ms", "34 ms", "2.4 s"]


# --- the banner ------------------------------------------------------------------------------------


def _failed(source: str, problem: str = "connection refused", hint: str = "start it") -> Reading:
    return Reading(
        source=source,
        state=SourceState.FAILED,
        sampled_at=ago(minutes=3),
        problem=problem,
        hint=hint,
        failing_since=ago(minutes=2),
        retry_at=NOW + timedelta(seconds=7),
    )


def test_one_fault_is_one_line_where_there_is_room() -> None:
    (line,) = source_lines([_failed("host")], NOW, 120, UNICODE)
    assert line.plain == (
        "✗ No answer from the host for 2 m: connection refused → start it (data 3 m old, next try in 7 s)"
    )


def test_sources_with_one_trouble_are_named_together() -> None:
    lines = source_lines([_failed("host"), _failed("usage"), _failed("probes", "timeout")], NOW, 160, UNICODE)
    assert len(lines) == 2
    assert "the host and container usage" in lines[0].plain
    assert "the health endpoints" in lines[1].plain and "timeout" in lines[1].plain


def test_a_source_that_never_answered_has_no_data_yet() -> None:
    reading = Reading(source="databases", state=SourceState.FAILED, problem="no route")
    assert "no data yet" in source_lines([reading], NOW, 120, UNICODE)[0].plain


# --- the host --------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [40, 58, 78, 118])
@pytest.mark.parametrize("cores", [0, 1, 4, 16, 64])
def test_cores_fit_the_width(width: int, cores: int) -> None:
    host = HostSample(cpus=cores or None, cpu_per_core=tuple(float(core) for core in range(cores)))
    lines = [line.plain for line in host_lines.cpu(host, {}, width, UNICODE)]
    assert all(cell_len(line) <= width for line in lines)
    if cores == 64:
        assert any("busiest: core 63 at 63 %" in line for line in lines)
    elif cores:
        assert any(f"{cores - 1:>2} " in line for line in lines)


def test_a_host_that_knows_nothing_is_said_without_zeros() -> None:
    host = HostSample()
    text = "\n".join(
        line.plain
        for lines in (
            host_lines.cpu(host, {}, 80, UNICODE),
            host_lines.memory(host, {}, 80, UNICODE),
            host_lines.disks(host, 80, UNICODE),
            host_lines.throughput(host, {}, 80, UNICODE),
            host_lines.processes(host, 80, UNICODE),
        )
        for line in lines
    )
    assert "0 %" not in text and "0 B" not in text and "None" not in text
