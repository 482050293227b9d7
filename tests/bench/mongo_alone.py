"""python -m tests.bench.mongo_alone save|load URI PATH

Does it in a process that does nothing else, and prints how much memory it took at most, in MB.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from opsconsole.backups.mongo_catalog import Selection
from opsconsole.backups.mongo_dumps import open_dump
from opsconsole.backups.mongo_loading import load_mongo
from opsconsole.backups.mongo_saving import save_mongo
from opsconsole.backups.progress import Watch
from opsconsole.model import DatabaseTarget
from opsconsole.sources.connection import Connection
from opsconsole.sources.mongo_bulk import bulk_client
from tests.bench.terminal import peak_memory_bytes

SELECTION = Selection(frozenset({"bench"}))


def main(what: str, uri: str, path: Path) -> None:
    connection = Connection(target=DatabaseTarget(kind="mongodb", name="bench", database="", origin=""), uri=uri)
    if what == "save":
        path.unlink(missing_ok=True)
        save_mongo(connection, path, selection=SELECTION)
    else:
        with bulk_client(connection) as client, open_dump(path) as dump:
            load_mongo(client, dump, watch=Watch(None, None), selection=SELECTION)
    print(peak_memory_bytes(os.getpid()) / 1e6)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
