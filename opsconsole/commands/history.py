"""`opsconsole history` and the live view of an operation: the journal as lines for a person, or as JSON."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from opsconsole.model import SourceError
from opsconsole.operations import chain, journal, unfinished
from opsconsole.operations import past as the_past
from opsconsole.operations.journal import Entry, exit_code
from opsconsole.operations.past import Past
from opsconsole.operations.places import operation_directory
from opsconsole.operations.report import lines_of, markdown
from opsconsole.text import printable

_POLL_SECONDS = 0.1
_NO_BEGIN_SECONDS = 20.0
_FAILED = 1
_ROOM_BYTES = 64 << 10
"""The records of one operation, with its release."""


def run(
    directory: Path, *, operation: str | None, verify: bool = False, as_json: bool = False, as_markdown: bool = False
) -> int:
    """Print the list, one operation, or what `--verify` finds. Raises SourceError for an unknown id."""
    if verify:
        return _verify(directory, as_json=as_json)
    if as_markdown:
        if operation is None:
            raise SourceError("--markdown needs an id", "See `opsconsole history`.")
        print(markdown(operation_directory(directory, operation)), end="")
        return 0
    if operation is not None:
        return _one(operation_directory(directory, operation), as_json=as_json)
    found = the_past.past(directory)
    if as_json:
        for one in found:
            print(msgspec.json.encode(one).decode())
        return 0
    for one in found:
        print(printable(_line(one)))
    if not found:
        print("no operation yet")
    for half in unfinished.unfinished(directory):
        print(printable(f"{half.operation} is {half.words()}\n  {half.advice()}", lines=True), file=sys.stderr)
    return 0


def follow(place: Path, *, as_json: bool, process: subprocess.Popen[bytes] | None = None) -> int:
    """Print records and output as they come, until the end. 1 when the operation was killed or never began."""
    records, output = journal.Follower(place), _Output(place)
    began = time.monotonic()
    seen = False
    while True:
        over = process.poll() is not None if process is not None else seen and not journal.is_alive(place)
        known = output.size()  # asked first: output of a step whose record is not read yet waits for it
        new = records.read()
        for entry, end in zip(new, journal.output_ends(new), strict=True):
            seen = True
            if not as_json:  # what comes before this record
                output.copy(end if end is not None else entry.output_to or known)
            _print(entry, as_json=as_json)
            if entry.event == "end" and entry.result is not None:
                if process is not None:
                    process.wait()
                return exit_code(entry.result, entry.less)
        if not as_json:
            output.copy(known)
        if over or (not seen and process is None and time.monotonic() - began > _NO_BEGIN_SECONDS):
            return _was_killed(place)
        time.sleep(_POLL_SECONDS)


# --- the live view ---------------------------------------------------------------------------------


class _Output:
    """What the commands write, line by line, indented."""

    def __init__(self, place: Path) -> None:
        self._path = place / "output.log"
        self._at = 0

    def size(self) -> int:
        try:
            return self._path.stat().st_size
        except OSError:
            return 0

    def copy(self, to: int) -> None:
        """Whole lines up to this byte."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._at)
                text = file.read(max(0, to - self._at))
        except OSError:
            return
        whole = text[: text.rfind(b"\n") + 1]
        self._at += len(whole)
        for line in whole.decode(errors="replace").splitlines():
            print(f"    {printable(line)}", flush=True)


def _print(entry: Entry, *, as_json: bool) -> None:
    if as_json:
        print(msgspec.json.encode(entry).decode(), flush=True)
        return
    for line in lines_of(entry):
        print(printable(line), flush=True)


def _was_killed(place: Path) -> int:
    half = [one for one in unfinished.unfinished(place.parents[2]) if one.operation == place.name]
    for one in half:
        print(f"opsconsole: {printable(one.words())}\n  {printable(one.advice())}", file=sys.stderr)
    if half and _is_full(place):
        print(
            f"opsconsole: the disk of {printable(str(place.parents[1]))} is full: nothing more could be recorded and "
            "nothing more was done. Make room there first; `opsconsole rollback emergency-stop` works without.",
            file=sys.stderr,
        )
    if not half:
        why = _last_line(place / "runner.log")
        print(printable(f"opsconsole: {place.name} ended before it did anything. {why}"), file=sys.stderr)
    return _FAILED


def _is_full(place: Path) -> bool:
    try:
        there = os.statvfs(place)
    except OSError:
        return False
    return there.f_bavail * there.f_frsize < _ROOM_BYTES or (there.f_files > 0 and there.f_ffree == 0)


def _last_line(path: Path) -> str:
    try:
        return next((line for line in reversed(path.read_text(errors="replace").splitlines()) if line.strip()), "")
    except OSError:
        return ""


# --- history ---------------------------------------------------------------------------------------


def _line(one: Past) -> str:
    seconds = f"{one.seconds:.1f} s" if one.seconds is not None else "-"
    result = "half done, resolved" if one.result == "half done" and one.resolved else one.result
    if one.less:
        result = f"{result}, LESS DATA"
    by = one.who.words() if one.who else "?"
    problem = f"  {one.problem}" if one.problem else ""
    return f"{one.began:%Y-%m-%d %H:%M:%S}  {result:<9}  {seconds:>8}  {one.title}  {by}  {one.operation}{problem}"


def _one(place: Path, *, as_json: bool) -> int:
    output = place / "output.log"
    text = output.read_bytes() if output.exists() else b""
    records = journal.read(place)
    begins = [entry.output_from for entry in records if entry.event == "step" and entry.output_from is not None]
    for entry in records:
        _print(entry, as_json=as_json)
        if not as_json and entry.event == "step" and entry.output_from is not None:
            begins.pop(0)
            part = text[entry.output_from : begins[0] if begins else None]
            for line in part.decode(errors="replace").splitlines():
                print(f"    {printable(line)}")
    return 0


def _verify(directory: Path, *, as_json: bool) -> int:
    problems = chain.verify(directory)
    for problem in problems:
        print(msgspec.json.encode(problem).decode() if as_json else printable(f"{problem.where} {problem.what}"))
    if not problems and not as_json:
        print("every record is as it was written")
    return 1 if problems else 0
