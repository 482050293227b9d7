"""The floor: the least a Textual program can do and still show the containers. Compared with, never shipped."""

from __future__ import annotations

import os

from textual import work
from textual.app import App, ComposeResult
from textual.widgets import DataTable


class Floor(App[None]):
    """A table of container names and states, filled by one list call."""

    def compose(self) -> ComposeResult:
        yield DataTable(cursor_type="row")

    def on_mount(self) -> None:
        self.query_one(DataTable).add_columns("name", "state")
        self.load()

    @work(thread=True)
    def load(self) -> None:
        import docker

        client = docker.DockerClient(base_url=os.environ.get("DOCKER_HOST"))
        found = client.containers.list(all=True, sparse=True)
        rows = [(container.attrs["Names"][0].lstrip("/"), container.attrs["State"]) for container in found]
        self.call_from_thread(self.fill, sorted(rows))

    def fill(self, rows: list[tuple[str, str]]) -> None:
        self.query_one(DataTable).add_rows(rows)


if __name__ == "__main__":
    Floor().run()
