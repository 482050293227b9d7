"""Tests that share something run in one process, and no two processes are given the same port."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.parts import servers
from tests.spreading import in_worker

SUITE = """
import os, pytest
@pytest.fixture(scope="module", params=["a", "b"])
def mps(request): return request.param
@pytest.mark.parametrize("number", range(6))
def test_here(number): say("file")
@pytest.mark.parametrize("number", range(3))
def test_shared(mps, number): say("mps")
@pytest.mark.parametrize("stack", ["mps", "none"])
def test_named(stack): say(stack.replace("none", "file"))
@pytest.mark.timeout(600)
def test_apart(): say("apart")
def say(group):
    with open("ran", "a") as ran: ran.write(f"{group} {os.getpid()}\\n")
"""


def test_what_is_shared_is_made_in_one_process(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(SUITE)
    (tmp_path / "conftest.py").write_text(
        "import pytest\nfrom tests.spreading import spread\n"
        "@pytest.hookimpl(tryfirst=True)\ndef pytest_collection_modifyitems(items): spread(items)\n"
    )
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n2", "--dist=loadgroup", "test_it.py"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout
    ran = [line.split() for line in (tmp_path / "ran").read_text().splitlines()]
    assert len(ran) == 6 + 6 + 2 + 1
    for group in ("file", "mps"):
        assert len({process for name, process in ran if name == group}) == 1, group


def test_this_run_is_spread_as_it_was_told(request: pytest.FixtureRequest) -> None:
    if in_worker():
        assert request.node.nodeid.endswith("@test_spreading")


def test_a_port_is_given_to_one_process_only(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = servers.free_port()
    ask = f"numbers = iter([{mine}, *range(31900, 31990)]); import random; random.randint = lambda *_: next(numbers)"
    code = f"{ask}\nfrom tests.parts.servers import free_port\nprint(free_port())"
    theirs = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert int(theirs.stdout) != mine
    monkeypatch.setattr("random.randint", lambda *_: next(numbers))
    numbers = iter([mine, *range(31800, 31890)])
    assert servers.free_port() != mine
