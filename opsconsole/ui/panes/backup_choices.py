"""What a backup can be made of, and how far one can be verified: one line for each. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from opsconsole.model import DatabaseStatus, MongoStatus, Stack
from opsconsole.operations.orders import BackupOrder
from opsconsole.operations.requests import Request
from opsconsole.ui.screens.choosing import Choice

_DATABASES = {"mongo": "mongodb", "redis": "redis"}
_ONLY = {
    "mongo": ("Only MongoDB", "Every collection with its indexes, users and roles."),
    "redis": ("Only Redis", "Every key of every database."),
    "files": ("Only files", "The directories and volumes with data."),
    "config": ("Only the configuration", "Compose and env files, commit, image digests. No data."),
}


def saves(stack: Stack | None, databases: Sequence[DatabaseStatus] = ()) -> list[Choice]:
    """Of everything, of what changed since the last one where MongoDB keeps a list of that, or of some kinds of parts
    that the stack has."""
    whole = "Databases, files and configuration, one recovery point."
    found = [
        Choice("Everything", whole, _save(BackupOrder())),
        Choice("Everything, kept for ever", "The same; no rule ever removes it.", _save(BackupOrder(critical=True))),
    ]
    if any(isinstance(one, MongoStatus) and one.topology.startswith("replica set") for one in databases):
        since = "What MongoDB wrote since the last one: every second in between can be restored (t)."
        found.append(Choice("Incremental", since, _save(BackupOrder(incremental=True))))
    kinds = {target.kind for target in stack.databases} if stack is not None else set(_DATABASES.values())
    for kind, (label, said) in _ONLY.items():
        if _DATABASES.get(kind, "") in kinds or kind not in _DATABASES:
            found.append(Choice(label, said, _save(BackupOrder(parts=(kind,)))))
    return found


def _save(order: BackupOrder) -> Request:
    return Request(what="backup", backup=order)


def levels(backups: Sequence[str]) -> list[Choice]:
    """How far a backup can be verified. The one that is worth its time first."""
    said = {
        2: ("L2, read everything", "Every document, key and file is read and counted. Takes as long as reading it."),
        3: ("L3, prove it", "Restored into throw-away servers and compared. Takes as long as a restore."),
        1: ("L1, every byte", "SHA-256 of every file."),
        0: ("L0, the manifest", "The manifest is whole and every file is there. A moment."),
    }
    return [
        Choice(label, words, Request(what="verify", backups=tuple(backups), level=level))
        for level, (label, words) in said.items()
    ]
