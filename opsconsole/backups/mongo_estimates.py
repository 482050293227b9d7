"""How much is to be read from a MongoDB server, and that it remembers the past for as long as that takes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from pymongo.errors import OperationFailure, PyMongoError

from opsconsole.backups.mongo_catalog import Catalog
from opsconsole.backups.mongo_raw import answers, ask
from opsconsole.sources.mongo_bulk import RawClient

_PARAMETER = "minSnapshotHistoryWindowInSeconds"
_WINDOW = 300  # seconds: its default
_SLOWEST = 20_000_000  # bytes per second that we count on: a tenth of what two cores and a disk do


def totals(client: RawClient, found: Catalog) -> tuple[int, int]:
    """Documents and bytes that are to be read, as the servers' metadata has them; 0 and 0 when it may not be asked."""
    documents = size = 0
    for one in found.listed:
        if one.uuid is None:
            continue
        pipeline: list[dict[str, Any]] = [{"$collStats": {"storageStats": {}}}]
        command = {"aggregate": one.entry.stored_as, "pipeline": pipeline}
        try:
            for row in answers(client[one.entry.database], command):
                stats = row.get("storageStats", {})
                documents += int(stats.get("count", 0))
                size += int(stats.get("size", 0))
        except OperationFailure:
            return 0, 0
    return documents, size


@contextlib.contextmanager
def long_memory(client: RawClient, size: int) -> Iterator[None]:
    """Let the server remember the past for as long as reading `size` bytes may take, where this user may say so.

    The setting is put back, and lasts no longer than the server's process anyway.
    """
    wanted = int(size / _SLOWEST)
    before = 0
    try:
        if wanted > _WINDOW / 2:
            before = int(ask(client.admin, {"getParameter": 1, _PARAMETER: 1})[_PARAMETER])
            if before < wanted:
                ask(client.admin, {"setParameter": 1, _PARAMETER: wanted})
    except OperationFailure:
        before = 0
    try:
        yield
    finally:
        if 0 < before < wanted:
            with contextlib.suppress(PyMongoError):
                ask(client.admin, {"setParameter": 1, _PARAMETER: before})
