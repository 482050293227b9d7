"""Files of exported documents that lie about: found by their names and their first bytes, never read further.

A directory of a stack is full of JSON that is no export (package.json): one begins with a document that has an `_id`.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from opsconsole.backups.packed_files import UnpackedFile
from opsconsole.backups.reading import Corrupt, LimitReached, up_to
from opsconsole.model import Record, SourceError

_NAMED = re.compile(r"\.(json|jsonl|ndjson)(\.gz|\.zst)?(\.age)?$", re.IGNORECASE)
_TARGET = re.compile(r"(?P<database>[^.\s/$]+)\.(?P<name>[^\s/$]+)")
_HEAD = 64 << 10
_MOST_FILES = 5_000
_DOCUMENT = re.compile(rb'^(\xef\xbb\xbf)?\s*\[?\s*\{.*?"_id"\s*:', re.DOTALL)


class ExportFile(Record, frozen=True):
    path: str
    size: int  # bytes, as it lies there
    at: datetime  # last written
    target: str = ""  # "database.collection", as its name says it; "" when it does not


def exports(places: Iterable[Path]) -> tuple[ExportFile, ...]:
    """Those directly in these directories, newest first. What cannot be read is left out."""
    found: dict[str, ExportFile] = {}
    for place in dict.fromkeys(places):
        for entry in _entries(place):
            if (
                not entry.name.startswith(".")
                and _NAMED.search(entry.name)
                and (one := _export(Path(entry.path))) is not None
            ):
                found[one.path] = one
    return tuple(sorted(found.values(), key=lambda one: (one.at, one.path), reverse=True))


def target_of(name: str) -> str:
    """`shop.users` of `shop.users.json.gz`; "" where the name says none."""
    plain = _NAMED.sub("", Path(name).name)
    return plain if _TARGET.fullmatch(plain) else ""


def completed(text: str, base: Path) -> str:
    """What was typed of a path, as far as there is only one way to go on: directories end with a slash, files must be
    JSON. Relative ones are below `base`. The text itself where nothing fits."""
    directory, _, begun = text.rpartition("/")
    shown = f"{directory}/" if "/" in text else ""
    place = base / os.path.expanduser(shown)
    fitting = sorted(
        f"{one.name}/" if one.is_dir() else one.name
        for one in _entries(place)
        if one.name.startswith(begun) and (begun or not one.name.startswith("."))
        if one.is_dir() or _NAMED.search(one.name)
    )
    if not fitting:
        return text
    first, last = fitting[0], fitting[-1]  # sorted: what these two share, all share
    shared = next((at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), None)
    common = first[:shared] if shared is not None else min(first, last, key=len)
    return shown + common if len(common) > len(begun) else text


def _entries(place: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(place) as items:
            return [item for item, _ in zip(items, range(_MOST_FILES), strict=False)]
    except OSError:
        return []


def _export(path: Path) -> ExportFile | None:
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            return None
        if path.suffix != ".age":  # whose first bytes only a key tells
            with UnpackedFile(path, 2 * _HEAD) as source:
                if not _DOCUMENT.match(up_to(source, _HEAD)):
                    return None
    except (OSError, Corrupt, LimitReached, SourceError):
        return None
    at = datetime.fromtimestamp(status.st_mtime, UTC)
    return ExportFile(path=str(path), size=status.st_size, at=at, target=target_of(path.name))
