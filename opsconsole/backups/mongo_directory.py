"""A directory that `mongodump --out` left: one file of documents and one of metadata for each collection.

The files have no header, count or checksum: what is lost at the end of a document is invisible.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from struct import Struct
from urllib.parse import unquote_plus

from opsconsole.backups.bson_documents import LARGEST_DOCUMENT, SMALLEST_DOCUMENT
from opsconsole.backups.mongo_archive import BUCKETS, Batch, Entry
from opsconsole.backups.packed_files import UnpackedFile
from opsconsole.backups.reading import Corrupt, Reader, up_to

_READ = 1 << 20
_LARGEST_METADATA = 16 * 1024 * 1024
_MOST_FILES = 200_000
_METADATA = ".metadata.json"
_length_at = Struct("<i").unpack_from


class DirectoryReader:
    """Reads such a directory, or the directory of one database in it. Raises Corrupt, and OSError."""

    def __init__(self, root: Path) -> None:
        self.tool_version = self.server_version = ""
        self._files: dict[Entry, Path | None] = {}
        self._seen = 0
        directories = [root, *(place for place in self._listed(root) if place.is_dir() and not place.is_symlink())]
        for directory in directories:
            self._read_directory(directory)
        self.entries = tuple(sorted(self._files, key=lambda entry: (entry.database, entry.name)))
        if not self.entries:
            raise Corrupt("holds no collections")

    def batches(self) -> Iterator[Batch]:
        """The documents of every collection, each collection ending with an empty batch that is its last."""
        for entry in self.entries:
            path = self._files[entry]
            if path is not None:
                with _naming(path), UnpackedFile(path) as source:
                    for data, documents in _whole_documents(source):
                        yield Batch(entry, data, documents)
            yield Batch(entry, b"", last=True)

    def _listed(self, directory: Path) -> list[Path]:
        found = [Path(one.path) for one in os.scandir(directory)]
        self._seen += len(found)
        if self._seen > _MOST_FILES:
            raise Corrupt("holds more files than a server has collections")
        return sorted(found)

    def _read_directory(self, directory: Path) -> None:
        documents: dict[str, Path] = {}
        metadata: dict[str, Path] = {}
        for path in self._listed(directory):
            plain = path.name.removesuffix(".gz")
            if path.name.startswith(("._", "$")) or not path.is_file():
                continue  # what macOS leaves, and users of the database, which a full restore ignores
            if plain == "prelude.json":
                self._read_prelude(path)
            elif plain.endswith(_METADATA):
                metadata[plain.removesuffix(_METADATA)] = path
            elif plain.endswith(".bson") and plain != "oplog.bson":
                documents[plain.removesuffix(".bson")] = path
        for stem in sorted(metadata.keys() | documents.keys()):
            if stem in metadata or not unquote_plus(stem).startswith(BUCKETS):
                self._add(directory.name, stem, metadata.get(stem), documents)

    def _add(self, database: str, stem: str, metadata: Path | None, documents: dict[str, Path]) -> None:
        text = _text(metadata) if metadata is not None else ""
        told = _told(text, metadata) if metadata is not None and text else {}
        name = str(told.get("collectionName") or unquote_plus(stem))
        kind = str(told.get("type") or ("view" if _is_view(told) else "collection"))
        if kind not in ("collection", "view", "timeseries"):
            raise Corrupt(f"lists a collection of an unknown kind ({kind[:20]})")
        path = documents.get(stem)
        if kind == "timeseries" and path is None:
            path = next((found for other, found in documents.items() if unquote_plus(other) == BUCKETS + name), None)
        if path is None and kind != "view":
            raise Corrupt(f"has no documents of {database}.{name}: {stem}.bson is missing")
        self._files[Entry(database, name, kind, text)] = path if kind != "view" else None

    def _read_prelude(self, path: Path) -> None:
        told = _told(_text(path), path)
        self.server_version = str(told.get("ServerVersion", ""))
        self.tool_version = str(told.get("ToolVersion", ""))


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Of a directory with many files the one at fault is named."""
    try:
        yield
    except Corrupt as fault:
        raise Corrupt(f"{fault.problem}, in {path.name}", cut=fault.cut) from None


def _text(path: Path) -> str:
    with _naming(path), UnpackedFile(path) as source:
        data = up_to(source, _LARGEST_METADATA + 1)
    if len(data) > _LARGEST_METADATA:
        raise Corrupt(f"has too much in {path.name}")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Corrupt(f"has no text in {path.name}") from None


def _told(text: str, path: Path) -> dict[str, object]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise Corrupt(f"has broken metadata in {path.name}") from None
    if not isinstance(found, dict):
        raise Corrupt(f"has broken metadata in {path.name}")
    return found


def _is_view(told: dict[str, object]) -> bool:
    """Old tools do not say what kind it is."""
    options = told.get("options")
    return isinstance(options, dict) and "viewOn" in options


def _whole_documents(source: Reader) -> Iterator[tuple[bytes, int]]:
    """Documents up to the end of the file, about a MiB at a time."""
    held, wanted = b"", 0
    while True:
        more = up_to(source, max(wanted - len(held), _READ if wanted <= _READ else 1))
        held += more
        at = count = 0
        while len(held) - at >= 4:
            wanted = _length_at(held, at)[0]
            if not SMALLEST_DOCUMENT <= wanted <= LARGEST_DOCUMENT:
                raise Corrupt("has a broken document")
            if at + wanted > len(held):
                break
            at += wanted
            wanted = 0
            count += 1
            if held[at - 1]:
                raise Corrupt("has a broken document")
        if at:
            yield held[:at], count
            held = held[at:]
        if not more:
            if held:
                raise Corrupt("is cut short", cut=True)
            return
