"""Everything about an incident in one file to hand on: logs, inspects, a Snapshot, journals, the record, the report.

Secrets are masked in all of it, as they are wherever this program writes; the file is for its owner only.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from opsconsole.durable import open_private, sync_directory
from opsconsole.incident.course import Incident
from opsconsole.incident_room import records
from opsconsole.incident_room.looking import began
from opsconsole.model import Snapshot, SourceError
from opsconsole.operations import emergency, masking
from opsconsole.operations.places import existing_operations
from opsconsole.operations.site import Site
from opsconsole.text import mask_text

SECONDS = 20.0
"""For logs, inspects and the Snapshot together: nobody is waiting for a stop."""

BEFORE = timedelta(hours=24)
"""Journals that are older than the incident by more are left out."""

_MOST_BYTES = 8 << 20  # of each file: its end
_OF_OPERATION = ("plan.json", "journal.jsonl", "output.log", "runner.log", "census-before.json", "census-after.json")


def bundle(site: Site, incident: Incident, snapshot: Snapshot, report: str, to: Path | None = None) -> tuple[Path, str]:
    """Write it beside the incident's record, or `to` a file that must not be there. Where it is, and what is in it.

    Raises SourceError."""
    home = records.place(site.directory, incident.name)
    now = datetime.now(UTC)
    path = to or home / f"incident-{incident.name}-{now:%Y%m%dT%H%M%SZ}.tar.gz"
    config, secrets = site.config(), _secrets(site)
    names = [one.name for one in snapshot.containers]
    work = Path(tempfile.mkdtemp(prefix=".bundle-", dir=home))  # 0700
    try:
        said = emergency.save_evidence(work, site.directory, config, names, secrets, site.project, SECONDS)
        files = [*_evidence(work), *_kept(site.directory, home, incident), ("report.md", report.encode())]
        _write(path, incident.name, [(name, _safe(name, content, secrets)) for name, content in files], now)
    except OSError as error:
        raise SourceError(f"{path} cannot be written: {error.strerror or error}") from None
    finally:
        shutil.rmtree(work, ignore_errors=True)
    left_out = said.partition("; ")[2]
    return path, f"{len(files)} files" + (f"; {left_out}" if left_out else "")


def _secrets(site: Site) -> tuple[str, ...]:
    """All that can be known; where the engine does not answer, those of the env file."""
    found: set[str] = set()
    for ask in (masking.env_file_secrets, masking.container_secrets):
        with contextlib.suppress(SourceError):
            found.update(ask(site.directory, site.config(), site.project))
    return tuple(sorted(found, key=len, reverse=True))


def _evidence(work: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted((work / "evidence").iterdir()):
        yield f"evidence/{path.name}", _end_of(path)


def _kept(directory: Path, home: Path, incident: Incident) -> Iterator[tuple[str, bytes]]:
    """The record, the journals of that time, what releases are kept. Never a rendered configuration or an env file."""
    since = (incident.declared_at or datetime.now(UTC)) - BEFORE
    wanted = [(home / "record.jsonl", "record.jsonl")]
    for place in existing_operations(directory):
        if began(place.name) >= since:
            wanted += [(place / name, f"operations/{place.name}/{name}") for name in _OF_OPERATION]
    state = directory / ".opsconsole"
    wanted += [(state / "operations" / "chain.jsonl", "operations/chain.jsonl")]
    wanted += [(path, f"releases/{path.parent.name}.json") for path in sorted(state.glob("releases/r*/release.json"))]
    wanted += [(state / "schedule.log", "schedule.log"), (directory / "opsconsole.toml", "opsconsole.toml")]
    for path, name in wanted:
        with contextlib.suppress(OSError):
            yield name, _end_of(path)


def _end_of(path: Path) -> bytes:
    """The last bytes of a file; where it is cut, from the beginning of a line on."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _MOST_BYTES))
        content = file.read()
    return content if size <= _MOST_BYTES else content.partition(b"\n")[2]


def _safe(name: str, content: bytes, secrets: tuple[str, ...]) -> bytes:
    """The same with every secret masked that is known or can be told by its form."""
    text = content.decode(errors="replace")
    if name.endswith(".json"):
        with contextlib.suppress(ValueError):
            return json.dumps(emergency.masked(json.loads(text), secrets), indent=1).encode()
    return "".join(f"{_line(name, line, secrets)}\n" for line in text.splitlines()).encode()


def _line(name: str, line: str, secrets: tuple[str, ...]) -> str:
    if name.endswith(".jsonl"):
        with contextlib.suppress(ValueError):
            return json.dumps(emergency.masked(json.loads(line), secrets))
    return mask_text(line, secrets)


def _write(path: Path, name: str, files: list[tuple[str, bytes]], now: datetime) -> None:
    fd = open_private(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        with os.fdopen(fd, "wb") as file:
            with tarfile.open(fileobj=file, mode="w:gz") as tar:
                for inside, content in files:
                    one = tarfile.TarInfo(f"incident-{name}/{inside}")
                    one.size, one.mode, one.mtime = len(content), 0o600, now.timestamp()
                    tar.addfile(one, io.BytesIO(content))
            file.flush()
            os.fsync(file.fileno())
        sync_directory(path.parent)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
