"""What a verification or a look at a backup left on the disk when it was killed: data of a backup, unpacked or
decrypted, in directories that only we may enter, and throw-away servers with it. Whoever comes by next removes it."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

from opsconsole.model import SourceError
from opsconsole.operations.site import Site


def remove(directory: Path, backups: Path) -> tuple[str, ...]:
    """Remove what processes that are gone have left, below a stack's directory, its backups and where sockets lie.

    What belongs to a process that still runs is left alone. Returns what was removed; never raises.
    """
    from opsconsole.sources.throwaway_places import sweep_directories

    gone = sweep_directories((directory / ".opsconsole", backups))
    if gone:
        from opsconsole.sources.throwaway_container import sweep_containers

        with contextlib.suppress(SourceError):  # no engine: the next proof asks it again
            sweep_containers()
    return gone


def remove_of(site: Site) -> tuple[str, ...]:
    """The same for a stack, whose backups are found without asking anybody. Raises SourceError for bad settings."""
    from opsconsole.stack.discover import StackDiscovery

    found = StackDiscovery(site.directory, site.config(), project=site.project).first_look()
    return remove(site.directory, Path(found.backup_directory))


def remove_aside(site: Site) -> None:
    """The same on a thread of its own, for who must not wait; nothing is told."""

    def work() -> None:
        with contextlib.suppress(SourceError):
            remove_of(site)

    threading.Thread(target=work, name="left-behind", daemon=True).start()


def words(gone: tuple[str, ...]) -> str:
    """One line, "" when nothing was left."""
    return f"removed, as a process that was killed had left it behind: {', '.join(gone)}" if gone else ""
