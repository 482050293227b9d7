"""What a proof says: which parts of a backup were restored for a trial, what was compared, how long it took."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from opsconsole.backups.encryption import NO_KEYS, Keys
from opsconsole.backups.faults import Fault
from opsconsole.backups.findings import counted
from opsconsole.backups.progress import Cancelled, IsCancelled
from opsconsole.backups.reading import Corrupt
from opsconsole.model import Record
from opsconsole.sources.connection import Connection


class LiveServer(msgspec.Struct, frozen=True):
    """A database of the stack. Its data is never touched by a proof."""

    connection: Connection
    image: str = ""  # id or name of the image that its container runs; "" when it is in none
    may_load: bool = True  # a proof may load into databases of its own there, where nothing else is to be had


class ProvenPart(Record, frozen=True):
    """A part that was restored for a trial, or that a fault was found in."""

    kind: str  # "mongo", "redis", "files", "config"
    name: str
    counts: tuple[tuple[int, str], ...] = ()  # what was compared: (42, "collection"), (12345, "document")
    seconds: float = 0.0  # of the restore alone: what the operator would wait
    way: str = ""  # "restored into a container of mongo:6.0"
    faults: tuple[Fault, ...] = ()
    notes: tuple[str, ...] = ()


class Unproven(Record, frozen=True):
    """A part that could not be tried here, which says nothing against it."""

    kind: str
    name: str
    problem: str
    hint: str = ""


class Proof(Record, frozen=True):
    parts: tuple[ProvenPart, ...] = ()
    unproven: tuple[Unproven, ...] = ()

    @property
    def faults(self) -> tuple[Fault, ...]:
        return tuple(fault for part in self.parts for fault in part.faults)

    @property
    def proven(self) -> bool:
        """Whether all of the backup was restored and is what it was."""
        return bool(self.parts) and not self.unproven and not self.faults

    @property
    def seconds(self) -> float:
        """How long restoring all of it took, one part after the other."""
        return sum(part.seconds for part in self.parts)

    @property
    def words(self) -> str:
        """`42 collections, 12,345 documents, 57 indexes; 1,204 keys; 312 files and directories`."""
        said = (", ".join(counted(number, what) for number, what in part.counts) for part in self.parts)
        return "; ".join(text.replace("indexs", "indexes").replace("entrys", "entries") for text in said if text)


def is_corrupt(error: BaseException) -> bool:
    """Whether a failure is for what a file holds; a full disk says nothing against a backup."""
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, Corrupt):
            return True
        link = link.__cause__ or link.__context__
    return False


Progressed = Callable[[str, int], None]
"""Hears of what is restored, and of bytes of the part so far."""


@dataclass(frozen=True)
class Trial:
    """What the proofs of all parts share."""

    scratch: Path  # a directory with room: hidden ones below it are made and removed
    servers: Sequence[LiveServer] = ()
    operation: str = ""
    told: Progressed = lambda what, done: None
    cancelled: IsCancelled = lambda: False
    keys: Keys = NO_KEYS  # of an encrypted backup

    def server(self, kind: str, name: str) -> LiveServer | None:
        """The one of that name; older backups do not tell it, then the first of the kind."""
        own = [one for one in self.servers if one.connection.target.kind == kind]
        named = [one for one in own if name in (one.connection.target.name, one.connection.target.service)]
        return next(iter([*named, *own]), None)

    def waiting(self) -> None:
        """Raises Cancelled when somebody asked to stop."""
        if self.cancelled():
            raise Cancelled
