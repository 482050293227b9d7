"""The floor: the least a Textual program can do and still show the containers. Compared with, never shipped.

python -m tests.bench.floor PROJECT [CONTAINER]      with CONTAINER its log is followed below the table
"""

from __future__ import annotations

import os
import sys
from collections import deque

from textual import work
from textual.app import App, ComposeResult
from textual.widgets import DataTable, Log

PROJECT = sys.argv[1]
CONTAINER = sys.argv[2] if len(sys.argv) > 2 else ""


class Floor(App[None]):
    """A table of container names and states, filled by one list call, and a log that is painted in batches."""

    CSS = "Log { height: 1fr; } DataTable { height: 1fr; }"

    def compose(self) -> ComposeResult:
        yield DataTable(cursor_type="row")
        if CONTAINER:
            yield Log(max_lines=10_000)

    def on_mount(self) -> None:
        self.lines: deque[str] = deque()
        self.query_one(DataTable).add_columns("name", "state")
        self.load()
        if CONTAINER:
            self.follow()
            self.set_interval(1 / 30, self.flush)

    @work(thread=True)
    def load(self) -> None:
        import docker

        client = docker.DockerClient(base_url=os.environ.get("DOCKER_HOST"))
        wanted = {"label": f"com.docker.compose.project={PROJECT}"}
        found = client.containers.list(all=True, sparse=True, filters=wanted)
        rows = [(container.attrs["Names"][0].lstrip("/"), container.attrs["State"]) for container in found]
        self.call_from_thread(self.fill, sorted(rows))

    def fill(self, rows: list[tuple[str, str]]) -> None:
        self.query_one(DataTable).add_rows(rows)

    @work(thread=True)
    def follow(self) -> None:
        import docker

        client = docker.DockerClient(base_url=os.environ.get("DOCKER_HOST"))
        for line in client.api.logs(CONTAINER, stream=True, follow=True, tail=0):
            self.lines.append(line.decode().rstrip("\n"))

    def flush(self) -> None:
        if self.lines:
            log = self.query_one(Log)
            log.write_lines([self.lines.popleft() for _ in range(len(self.lines))])
            log.refresh()  # a full `Log` does not repaint by itself


if __name__ == "__main__":
    Floor().run()
