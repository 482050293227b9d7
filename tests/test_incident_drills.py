"""Each drill: the matrix gives the runbook's answer, the right way mends it, and a day without one is quiet."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from opsconsole.demo import DemoSources, demo_sources
from opsconsole.demo.drill import THRESHOLDS
from opsconsole.demo.drill_room import DrillRoom
from opsconsole.demo.drill_text import SAYS
from opsconsole.demo.drills import DRILLS
from opsconsole.incident.evidence import Evidence
from opsconsole.incident.matrix import recommend, ways
from opsconsole.incident.recommendation import Issue
from opsconsole.incident.snippets import snippets
from opsconsole.model import AlertState, LogLevel, LogLine
from opsconsole.monitor import Monitor
from opsconsole.sources import LogRange
from tests.screenshots import MOMENT

ANSWERS = {
    "crash-loop-after-deploy": (Issue.CODE, "previous-image"),
    "emptied-collection": (Issue.DATA, "restore"),
    "changed-env": (Issue.CONFIGURATION, "config"),
    "full-disk": (Issue.INFRASTRUCTURE, ""),
    "cpu-hog": (Issue.PERFORMANCE, "restart"),
    "mongodb-stopped": (Issue.INFRASTRUCTURE, "start"),
    "redis-maxmemory": (Issue.PERFORMANCE, ""),
    "engine-stopped": (Issue.INFRASTRUCTURE, ""),
    "slow-endpoint": (Issue.PERFORMANCE, "restart"),
}


class Clock:
    def __init__(self) -> None:
        self.now = MOMENT

    def __call__(self) -> datetime:
        return self.now


def look(sources: DemoSources, clock: Clock) -> Evidence:
    """What the incident screen of the drill would know."""
    monitor = Monitor(sources, thresholds=THRESHOLDS, clock=clock)
    monitor.start()
    snapshot = monitor.wait_until_settled(20)
    monitor.stop()
    assert sources.drill is not None
    return DrillRoom(sources.drill, Path("/nonexistent"), sources.backups.look_inside).evidence(snapshot)


@pytest.mark.parametrize("name", DRILLS)
def test_the_matrix_gives_the_runbooks_answer_and_its_way_mends_it(name: str) -> None:
    clock = Clock()
    sources = demo_sources(clock=clock, drill=name)
    drill = sources.drill
    assert drill is not None and not drill.said.endswith("?")
    evidence = look(sources, clock)
    found = recommend(evidence)
    issue, what = ANSWERS[name]
    assert found[0].issue is issue and found[0].ways[0].what == what
    assert len(found) == 1, [one.issue for one in found]  # one fault, one answer
    assert evidence.changes or issue is Issue.DATA
    assert snippets(evidence)[0].fits or issue is Issue.DATA or name == "engine-stopped"
    wrong = [way for _, way in ways(found) if way.what == "emergency-stop"]
    for way in wrong:
        assert "changes nothing" in drill.practise(way)
    assert "was the way" in drill.practise(found[0].ways[0])
    clock.now += timedelta(minutes=3)
    after = look(sources, clock)
    assert after.quiet and recommend(after) == ()


def test_a_day_without_an_incident_is_quiet() -> None:
    clock = Clock()
    evidence = look(demo_sources(clock=clock, drill="quiet"), clock)
    assert not [one for one in evidence.snapshot.alerts if one.state is AlertState.FIRING]
    assert evidence.quiet and not evidence.changes and recommend(evidence) == ()


def test_every_drill_has_a_test() -> None:
    assert ANSWERS.keys() == DRILLS.keys()


def test_the_logs_of_a_drill_hold_the_trace_that_is_looked_for() -> None:
    clock = Clock()
    sources = demo_sources(clock=clock, drill="crash-loop-after-deploy")
    containers = [one for one in sources.engine.containers() if one.service in ("backend", "mailer")]
    stream = sources.logs.open(containers, LogRange(tail=5, follow=True))
    lines: list[LogLine] = []
    while not stream.caught_up:
        lines += stream.read()
    lines += stream.read()
    assert {line.service for line in lines} == {"backend"}
    assert lines[-1].text == "Error: Cannot find module './payments/v2'" and lines[-1].level is LogLevel.ERROR
    assert [line.at for line in lines] == sorted(line.at for line in lines)
    assert stream.read() == []
    clock.now += timedelta(seconds=20)
    more = [line for _ in range(50) for line in stream.read()]
    assert [line.text for line in more] == [
        text for text in SAYS["crash-loop-after-deploy"]["backend"] for _ in range(3)
    ]
