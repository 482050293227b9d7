"""Series in steps of equal length."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from opsconsole.history import STEP_SECONDS, STEPS, History

START = datetime(2026, 1, 1, tzinfo=UTC)


def test_samples_of_one_step_are_averaged() -> None:
    history = History()
    for second, value in ((0, 10.0), (2, 20.0), (4, 30.0), (STEP_SECONDS, 5.0)):
        history.add("host.cpu", START + timedelta(seconds=second), value)
    assert history.series()["host.cpu"] == (20.0, 5.0)


def test_a_series_is_bounded() -> None:
    history = History()
    for step in range(STEPS + 50):
        history.add("host.cpu", START + timedelta(seconds=step * STEP_SECONDS), float(step))
    values = history.series()["host.cpu"]
    assert len(values) == STEPS
    assert values[-1] == STEPS + 49


def test_unknown_values_leave_no_trace() -> None:
    history = History()
    history.add("host.cpu", START, None)
    assert history.series() == {}


def test_removed_containers_are_forgotten() -> None:
    history = History({"cpu.old": (1.0,), "cpu.new": (1.0,), "host.cpu": (1.0,)})
    history.forget(("cpu",), ["new"])
    assert set(history.series()) == {"cpu.new", "host.cpu"}
