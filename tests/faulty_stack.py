"""A stack that is well until a test makes a fault, and what an operator does about it on the incident screen."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
from collections.abc import Iterator

from opsconsole.incident.course import Incident
from opsconsole.incident_room import records
from opsconsole.operations import journal, places
from opsconsole.operations.journal import Result
from tests.console import Console
from tests.operation_stack import OperationStack
from tests.parts.machine import wait_until
from tests.terminal import OPSCONSOLE, Wanted


class FaultyStack(OperationStack):
    """The installed command works on it."""

    def opsconsole(self, *words: str) -> str:
        done = subprocess.run(
            [OPSCONSOLE, *words], cwd=self.directory, env={**os.environ, **self.engine.env}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode in (0, 1), done.stdout + done.stderr
        return done.stdout

    def last_result(self) -> tuple[str, Result | None]:
        place = places.existing_operations(self.directory)[-1]
        last = journal.read(place)[-1]
        return place.name, last.result if last.event == "end" else None

    def is_well(self) -> None:
        """Nothing is red, and nothing is recommended. An alert lasts a minute longer than what it is about: those of
        before are forgotten, and it is looked at anew."""
        for file in (self.directory / ".opsconsole").glob("metrics.sqlite*"):
            file.unlink()
        seen = json.loads(self.opsconsole("incident", "show", "--json"))
        assert [seen[name] for name in ("symptoms", "data", "recommendations", "not_seen")] == [[], [], [], []]

    def newest_incident(self) -> Incident:
        return records.all_incidents(self.directory)[0]


@contextlib.contextmanager
def console_of(stack: FaultyStack) -> Iterator[Console]:
    """On a stack that is well, as its incident screen says."""
    with Console(cwd=stack.directory, columns=120, rows=40, env=stack.engine.env) as console:
        console.started(stack.project)
        console.press("!", shows="Nothing is red, and no data is known to be missing.")
        console.wait_for("Nothing: a system that is well is left alone.", "none is open")
        console.esc("a system that is well")
        yield console


def see_it(console: Console, *shows: Wanted) -> None:
    """Look at all of it now, then at the incident screen."""
    console.type("F5", "!")
    console.wait_for("The runbook's answer", *shows, seconds=60)


def declare(console: Console, priority: str) -> None:
    """Take what is proposed."""
    console.press("D", shows="Declare an incident")
    console.press("Enter", shows="It is declared. The clock runs.")
    console.wait_for(re.compile(rf"Incident i\d+ +{priority} "))


def close(console: Console, why: str) -> None:
    console.press("C", shows="What it was, and what mended it.")
    console.type(why, "Enter")
    console.wait_for("none is open")


def run_the_plan(console: Console, stack: FaultyStack, *shows: str, typed: str = "") -> str:
    """From the plan that is shown to the end of its operation, which is named."""
    before = len(places.existing_operations(stack.directory))
    console.wait_for("Enter run it", *shows, seconds=60)
    console.press("Enter", shows="Type the name of the stack to agree" if typed else "Run it")
    if typed:
        console.type(typed)
        console.wait_for(re.compile(rf"│ +{typed} +│"))
        console.type("Enter")
    else:
        console.type("y")
    wait_until(lambda: len(places.existing_operations(stack.directory)) > before, 30, "nothing was begun")
    wait_until(lambda: stack.last_result()[1], 90, "the operation did not end")
    name, result = stack.last_result()
    assert result is Result.DONE
    return name
