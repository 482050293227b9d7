"""How this host reaches one database server: the target as it is shown, and the address with its password."""

from __future__ import annotations

from dataclasses import dataclass, field

from opsconsole.model import DatabaseTarget


@dataclass(frozen=True)
class Connection:
    """A database server and its URI. The URI holds the password, so it never enters a repr or a Snapshot."""

    target: DatabaseTarget
    uri: str = field(repr=False)
