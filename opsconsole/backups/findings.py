"""What a bounded reading of a backup's files found out, before it is judged against a stack."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum


class Verdict(StrEnum):
    PLAUSIBLE = "plausible"
    EMPTY = "empty"
    CUT = "cut"  # ends too early: broken, or still being written
    WRONG = "wrong"  # cannot be what it says it is
    UNREAD = "unread"  # the file system did not let us


@dataclass(frozen=True, slots=True)
class Finding:
    """One part of a backup. `kind` as in BackupPart; `note` is a phrase that follows the part's name."""

    kind: str
    path: str
    size: int
    verdict: Verdict = Verdict.PLAUSIBLE
    note: str = ""
    databases: tuple[str, ...] = ()  # of a MongoDB part; () when not all of them were seen
    whole: bool = True  # read, or at least listed, to its end

    @property
    def ok(self) -> bool:
        return self.verdict is Verdict.PLAUSIBLE


@dataclass(slots=True)
class Contents:
    """What lies in one file or directory. `flaw` is about the wrapping itself (a tar file that breaks off)."""

    findings: list[Finding] = field(default_factory=list)
    verdict: Verdict = Verdict.PLAUSIBLE
    flaw: str = ""
    whole: bool = True
    shallow: bool = False  # read with the small allowance; worth another look
    members: int = 0  # files inside a tar file that are no parts by themselves
    tar: bool = False
    unknown: bool = False  # neither a dump nor a tar file, under a name that promises neither

    def under(self, path: str) -> list[Finding]:
        """The findings as parts of something larger, at `path` in it."""
        return [replace(found, path=f"{path}/{found.path}" if found.path else path) for found in self.findings]


def counted(number: int, noun: str) -> str:
    """`1 collection`, `1,204 files`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def some_of(names: Iterable[str], limit: int = 3) -> str:
    """`a, b, c and 4 more`."""
    known = list(names)
    if len(known) <= limit:
        return ", ".join(known)
    return f"{', '.join(known[:limit])} and {len(known) - limit} more"
