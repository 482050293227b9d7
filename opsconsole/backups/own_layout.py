"""A directory that the console made itself: what its manifest says is in it, held against what lies there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from opsconsole.backups import manifest
from opsconsole.backups.findings import Finding, Verdict, counted, some_of
from opsconsole.backups.manifest import Manifest, ManifestError, Part


def read(path: str, sizes: Mapping[str, int]) -> tuple[Manifest | None, str]:
    """The manifest of a directory and what is wrong, "" when nothing is. `sizes`: its files, by their paths.

    Looks at names and sizes only: that every byte is right is for `verify` to say.
    """
    try:
        found = manifest.read(Path(path))
    except ManifestError as error:
        return None, error.problem
    return found, next(iter(differences(found, sizes)), "")


def differences(found: Manifest, sizes: Mapping[str, int]) -> list[str]:
    """Files that are missing, of another size or too many, one phrase each that begins with the file."""
    held = {file.path: file.size for file in found.files}
    problems = [f"{path} is missing" for path in held if path not in sizes]
    for path, size in held.items():
        if sizes.get(path, size) != size:
            short = "is cut short: it" if sizes[path] < size else "is too long: it"
            problems.append(f"{path} {short} has {sizes[path]:,} bytes and the manifest says {size:,}")
    extra = sorted(set(sizes) - set(held) - {manifest.NAME})
    problems += [f"{path} is not in the manifest" for path in extra]
    return problems


def findings(found: Manifest, read_already: Sequence[Finding]) -> list[Finding]:
    """The parts as the manifest lists them; what the reading of their files said of damage stays."""
    broken = {one.path: one for one in read_already if not one.ok and one.verdict is not Verdict.EMPTY}
    listed = []
    for part in found.parts:
        path = part.files[0].path if part.files else part.name
        worst = next((broken[file.path] for file in part.files if file.path in broken), None)
        databases = tuple(sorted({one.database for one in part.collections})) if part.kind == "mongo" else ()
        listed.append(
            Finding(
                part.kind,
                worst.path if worst else path,
                part.size,
                worst.verdict if worst else Verdict.PLAUSIBLE,
                worst.note if worst else described(part),
                databases,
            )
        )
    return [*listed, Finding("manifest", manifest.NAME, 0)]


def described(part: Part) -> str:
    """`42 collections of thynk`, `1,204 keys`, `312 files and directories`."""
    match part.kind:
        case "mongo" if part.oplog is not None and part.is_slice:
            minutes = (part.oplog.ends.time - part.oplog.begins.time) // 60
            return f"{counted(part.oplog.entries, 'change')} in {minutes // 60} h {minutes % 60} min"
        case "mongo":
            databases = sorted({one.database for one in part.collections} - {"admin", "config", ""})
            text = counted(len(part.collections), "collection")
            return f"{text} of {some_of(databases)}" if databases else text
        case "redis":
            return counted(sum(one.keys for one in part.keys), "key")
        case "files":
            return counted(part.members, "entry").replace("entrys", "entries")
        case _:
            return counted(len(part.files), "file")
