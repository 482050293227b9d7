"""Removes what test runs that were killed left on an engine, and nothing else.

The name of every project we start is `opsctest-<process>-<its start>-<rest>`: what belongs to a living process stays.
"""

from __future__ import annotations

import os
import re

import psutil

from tests.parts.engine import Engine

PREFIX = "opsctest-"
PROJECT = re.compile(r"opsctest-(\d+)-(\d+)-")


def run_name() -> str:
    """The start of the project names of this process."""
    return f"{PREFIX}{os.getpid()}-{int(psutil.Process().create_time())}-"


def remove(engine: Engine, *, also: str = "") -> None:
    """Remove what dead test runs left, and everything whose name starts with `also`."""
    listings = {
        "container": ["ps", "--all", "--format", '{{.ID}} {{.Label "com.docker.compose.project"}} {{.Names}}'],
        "network": ["network", "ls", "--format", '{{.ID}} {{.Label "com.docker.compose.project"}} {{.Name}}'],
        "volume": ["volume", "ls", "--format", '{{.Name}} {{.Label "com.docker.compose.project"}} {{.Name}}'],
        "image": ["images", "--format", "{{.Repository}}:{{.Tag}} {{.Repository}}"],
    }
    for kind, listing in listings.items():
        doomed = []
        for line in engine.docker(*listing).splitlines():
            name, *words = line.split()
            if any(_is_left_over(word, also) for word in words):
                doomed.append(name)
        if doomed:
            flags = {"container": ["--force", "--volumes"], "image": ["--force"]}.get(kind, [])
            # In use by a container of somebody else: then it stays.
            engine.docker(kind, "rm", *flags, *doomed, check=False)


def _is_left_over(name: str, also: str) -> bool:
    """Whether a name belongs to a test run that is over."""
    found = PROJECT.search(name)
    if not found:
        return False
    return bool(also and also in name) or not _lives(int(found[1]), int(found[2]))


def _lives(pid: int, started: int) -> bool:
    try:
        return abs(int(psutil.Process(pid).create_time()) - started) <= 1
    except psutil.NoSuchProcess:
        return False
