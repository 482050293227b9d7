"""Unique indexes, laid aside while entries are applied to a base that was read over a time.

In such a base a document may lie beside another that took over its unique value later. Both are right once everything
that was written while the base was read has been applied; until then no unique index may look at them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opsconsole.backups.mongo_catalog import Document, Metadata, collection_infos, database_names, index_specs
from opsconsole.backups.mongo_loading import build_indexes
from opsconsole.backups.mongo_raw import ask
from opsconsole.backups.mongo_saving import EVERYTHING
from opsconsole.model import OF_THE_SERVER
from opsconsole.sources.mongo_bulk import RawClient


class UniqueIndexes:
    """Those of a whole server. Told of everything that is done to collections until they are built again."""

    def __init__(self, client: RawClient) -> None:
        self._client = client
        self._aside: dict[tuple[str, str], dict[str, Document]] = {}

    def lay_aside(self) -> None:
        """Drop every unique index but those of `_id`."""
        for database in database_names(self._client, EVERYTHING):
            if database in OF_THE_SERVER:
                continue
            for info in collection_infos(self._client[database]):
                if info.get("type") == "collection":
                    self._lay_aside(database, str(info["name"]))

    def build(self) -> None:
        """Put them back. Raises OperationFailure when documents are not unique, which no state of the server was."""
        for (database, collection), specs in self._aside.items():
            infos = collection_infos(self._client[database])
            options: Document = next((one.get("options", {}) for one in infos if one["name"] == collection), {})
            build_indexes(self._client[database], collection, list(specs.values()), Metadata(options))
        self._aside = {}

    def takes(self, database: str, command: str, told: Mapping[str, Any]) -> bool:
        """Whether a command is about an index that is laid aside, so that it is done here and nowhere else."""
        collection = str(told.get(command, ""))
        specs = self._aside.get((database, collection), {})
        if command == "collMod" and isinstance(told.get("index"), Mapping):
            return self._modify(specs, told["index"])
        if command in ("dropIndexes", "deleteIndexes", "dropIndex", "deleteIndex"):
            name = str(told.get("index", ""))
            if name == "*":
                specs.clear()
            return specs.pop(name, None) is not None
        if command == "drop":
            self._aside.pop((database, collection), None)
        elif command == "dropDatabase":
            self._aside = {key: value for key, value in self._aside.items() if key[0] != database}
        elif command == "renameCollection":
            self._rename(str(told["renameCollection"]), str(told["to"]))
        return False

    def without_unique(self, database: str, collection: str, specs: list[Document]) -> list[Document]:
        """Of indexes that are to be built, those that can be built now."""
        later = {str(spec["name"]): spec for spec in specs if spec.get("unique")}
        if later:
            self._aside.setdefault((database, collection), {}).update(later)
        return [spec for spec in specs if not spec.get("unique")]

    def _lay_aside(self, database: str, collection: str) -> None:
        for spec in index_specs(self._client[database], collection):
            if spec.get("unique") and not spec.get("clustered"):
                ask(self._client[database], {"dropIndexes": collection, "index": spec["name"]})
                self._aside.setdefault((database, collection), {})[str(spec["name"])] = spec

    def _modify(self, specs: dict[str, Document], change: Mapping[str, Any]) -> bool:
        for name, spec in specs.items():
            if change.get("name") == name or change.get("keyPattern") == spec["key"]:
                specs[name] = spec | {key: change[key] for key in ("hidden", "expireAfterSeconds") if key in change}
                return True
        return False

    def _rename(self, source: str, target: str) -> None:
        before, after = source.partition("."), target.partition(".")
        moved = self._aside.pop((before[0], before[2]), None)
        self._aside.pop((after[0], after[2]), None)
        if moved:
            self._aside[(after[0], after[2])] = moved
