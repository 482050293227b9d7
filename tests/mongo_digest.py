"""What a live server holds, as digests: to tell whether two states are the same to the last byte and option.

Documents count whatever their order, collections whatever their UUIDs.
"""

from __future__ import annotations

import hashlib

import msgspec

from opsconsole.backups.bson_documents import DocumentSum
from opsconsole.backups.mongo_archive import Entry
from opsconsole.backups.mongo_catalog import Selection, catalog, metadata_of, to_json
from opsconsole.backups.mongo_raw import raw_batches
from opsconsole.sources.mongo_bulk import RawClient


class CollectionDigest(msgspec.Struct, frozen=True):
    database: str
    name: str
    kind: str
    documents: int
    bytes: int
    digest: str  # of the documents
    metadata: str  # of options and indexes


def digest_mongo(client: RawClient, selection: Selection) -> tuple[CollectionDigest, ...]:
    """Every collection of a selection, sorted, read as it is now. Raises the driver's errors."""
    found = []
    for one in catalog(client, selection).listed:
        sums = DocumentSum()
        if one.uuid is not None:
            for data, _ in raw_batches(client[one.entry.database], {"find": one.uuid}):
                sums.add(data)
        found.append(
            CollectionDigest(
                one.entry.database,
                one.entry.name,
                one.entry.kind,
                sums.documents,
                sums.bytes,
                sums.digest,
                metadata_digest(one.entry),
            )
        )
    return tuple(sorted(found, key=lambda one: (one.database, one.name)))


def metadata_digest(entry: Entry) -> str:
    """SHA-256 of the options and indexes of a collection, indexes in the order of their names."""
    metadata = metadata_of(entry)
    indexes = sorted(to_json(dict(sorted(spec.items()))) for spec in metadata.indexes)
    text = "\n".join([entry.kind, to_json(metadata.options), *indexes])
    return hashlib.sha256(text.encode()).hexdigest()
