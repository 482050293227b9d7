"""Links the journals: `.opsconsole/operations/chain.jsonl` has a line when one is opened and when it is sealed.

Each line carries the hash of the line before; the sealing line also carries the hash of the journal's last record and
of the plan. Whoever changes or removes a record, a plan, an output or a whole operation breaks a link, and `verify`
says which. It is no protection against somebody who writes the whole directory anew, or takes away its
newest operations together with their links.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from opsconsole.operations import journal
from opsconsole.operations.places import existing_operations, operations_directory


class Link(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    n: int
    at: datetime
    event: str  # opened, sealed
    operation: str
    previous: str
    resolves: str = ""  # the half-done operation that this one finishes or undoes
    head: str = ""  # hash of the last record
    records: int = 0
    plan_sha256: str = ""
    late: bool = False  # sealed by the next operation, because its own process was killed before it could


class Problem(msgspec.Struct, frozen=True):
    """One broken place. `where` is `<operation>/journal.jsonl line 3`."""

    where: str
    what: str


def opened(directory: Path, operation: str, resolves: str = "") -> None:
    _append(directory, event="opened", operation=operation, resolves=resolves)


def sealed(directory: Path, place: Path, *, late: bool = False) -> None:
    lines = journal.whole_lines(place / "journal.jsonl")
    _append(
        directory,
        event="sealed",
        operation=place.name,
        head=_hash(lines[-1]) if lines else journal.START,
        records=len(lines),
        plan_sha256=journal.plan_sha256(place),
        late=late,
    )


def seal_left_open(directory: Path) -> None:
    """Seal what ended and was killed before it could be sealed. Only where the journal itself is whole."""
    closed = {link.operation for link in links(directory) if link.event == "sealed"}
    for place in existing_operations(directory):
        if place.name in closed or journal.is_alive(place):
            continue
        records = journal.read(place)
        if records and records[-1].event == "end" and not list(_journal_problems(place, None)):
            sealed(directory, place, late=True)


def links(directory: Path) -> tuple[Link, ...]:
    found = (_parse(line) for line in journal.whole_lines(_path(directory)))
    return tuple(link for link in found if link is not None)


def resolved(directory: Path) -> frozenset[str]:
    """Half-done operations that a later one has finished or undone, or has begun to."""
    places = {place.name: place for place in existing_operations(directory)}
    return frozenset(
        link.resolves
        for link in links(directory)
        if link.resolves and link.operation in places and _has_acted(places[link.operation])
    )


def _has_acted(place: Path) -> bool:
    """A later operation that was refused, or killed before its first step, has resolved nothing."""
    records = journal.read(place)
    done = bool(records) and records[-1].result is journal.Result.DONE
    return done or any(record.event == "step" for record in records)


def verify(directory: Path) -> tuple[Problem, ...]:
    """Every broken link, named; () when all is as it was written."""
    return tuple(_problems(directory))


def _problems(directory: Path) -> Iterator[Problem]:
    before = journal.START
    seals: dict[str, Link] = {}
    known: set[str] = set()
    for number, line in enumerate(journal.whole_lines(_path(directory))):
        where = f"chain.jsonl line {number + 1}"
        link = _parse(line)
        if link is None:
            yield Problem(where, "is not a record")
        elif link.n != number:
            yield Problem(where, f"is record {link.n}: a record before it was removed or added")
        elif link.previous != before:
            yield Problem(f"chain.jsonl line {number}", "was changed after it was written")
        if link is not None:
            known.add(link.operation)
            if link.event == "sealed":
                seals[link.operation] = link
        before = _hash(line)
    there = {place.name: place for place in existing_operations(directory)}
    for name in sorted(known | there.keys()):
        place = there.get(name)
        if place is None:
            yield Problem(name, "the operation's directory was removed")
        elif (place / "journal.jsonl").exists() or name in known:
            yield from _operation_problems(place, name in known, seals.get(name))


def _operation_problems(place: Path, known: bool, seal: Link | None) -> Iterator[Problem]:
    yield from _journal_problems(place, seal)
    records = journal.read(place)
    if not known:
        # Killed between its first record and the chain: it has done nothing yet.
        if any(record.event == "step" for record in records):
            yield Problem(place.name, "the chain does not know this operation")
        return
    if seal is None and records and records[-1].event == "end" and not journal.is_alive(place):
        yield Problem(
            place.name, "ended and is not sealed: its process was killed then, or the chain's end was removed"
        )
    began = next((record for record in records if record.event == "begin"), None)
    if began is not None and began.plan_sha256 != journal.plan_sha256(place):
        yield Problem(f"{place.name}/plan.json", "was changed after the operation began")
    yield from _output_problems(place, records)


def _journal_problems(place: Path, seal: Link | None) -> Iterator[Problem]:
    before, count = journal.START, 0
    for number, (line, record) in enumerate(journal.entries(place)):
        where = f"{place.name}/journal.jsonl line {number + 1}"
        if record is None:
            yield Problem(where, "is not a record")
        elif record.n != number:
            yield Problem(where, f"is record {record.n}: a record before it was removed or added")
        elif record.previous != before:
            yield Problem(f"{place.name}/journal.jsonl line {number}", "was changed after it was written")
        before, count = _hash(line), number + 1
    if seal is not None and count < seal.records:
        yield Problem(f"{place.name}/journal.jsonl", f"{seal.records - count} records at its end were removed")
    elif seal is not None and count > seal.records:
        yield Problem(f"{place.name}/journal.jsonl line {seal.records + 1}", "was added after the end")
    elif seal is not None and before != seal.head:
        yield Problem(f"{place.name}/journal.jsonl line {count}", "was changed after it was written")


def _output_problems(place: Path, records: tuple[journal.Entry, ...]) -> Iterator[Problem]:
    try:
        output = (place / "output.log").read_bytes()
    except OSError:
        output = b""
    for record in records:
        if record.output_from is not None and record.output_to is not None:
            part = output[record.output_from : record.output_to]
            if hashlib.sha256(part).hexdigest() != record.output_sha256:
                yield Problem(f"{place.name}/output.log", f"the output of the step {record.step} was changed")


def _append(directory: Path, **fields: object) -> None:
    """One writer at a time: an emergency stop writes while another operation runs."""
    path = operations_directory(directory) / "chain.jsonl"
    fd = journal.open_private(path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        text = path.read_bytes()
        lines = text.split(b"\n")
        torn = lines.pop()
        link = Link(
            n=len(lines) + (1 if torn else 0),
            at=datetime.now(UTC),
            previous=_hash(torn or lines[-1]) if text else journal.START,
            **fields,  # type: ignore[arg-type]
        )
        # A line that a crash tore is ended, so that it stays visible as what it is.
        os.write(fd, (b"\n" if torn else b"") + msgspec.json.encode(link) + b"\n")
        os.fsync(fd)
    finally:
        os.close(fd)


def _parse(line: bytes) -> Link | None:
    try:
        return msgspec.json.decode(line, type=Link)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _path(directory: Path) -> Path:
    return directory / ".opsconsole" / "operations" / "chain.jsonl"


def _hash(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()
