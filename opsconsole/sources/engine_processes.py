"""As which user of this host the program of a container runs, and how its container was told to start it."""

from __future__ import annotations

from opsconsole.model import Record, SourceError
from opsconsole.sources.engine_connection import EngineConnection

_COLUMNS = "-eo pid,uid,gid,comm"


class Started(Record, frozen=True):
    """`command` and `entrypoint` are those of the container, of the image where the container has none of its own."""

    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    user: int = 0  # number on this host
    group: int = 0


def started(container: str, program: str) -> Started:
    """Of the process of that name, else of the first one. Raises SourceError when it does not run."""
    engine = EngineConnection()
    try:
        config = engine.get(f"/containers/{container}/json")["Config"]
        found = engine.get(f"/containers/{container}/top", {"ps_args": _COLUMNS})
    finally:
        engine.close()
    rows = [row for row in found.get("Processes") or () if len(row) >= 4 and row[1].isdigit() and row[2].isdigit()]
    rows = [row for row in rows if row[3] == program] or rows
    if not rows:
        raise SourceError("as which user its program runs cannot be told", "Is there a `ps` on the engine's host?")
    return Started(
        command=tuple(config.get("Cmd") or ()),
        entrypoint=tuple(config.get("Entrypoint") or ()),
        user=int(rows[0][1]),
        group=int(rows[0][2]),
    )
