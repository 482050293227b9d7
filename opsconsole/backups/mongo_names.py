"""Names of collections that stand beside the live ones for the time of a restore, and what no database is called."""

from __future__ import annotations

import hashlib

from opsconsole.backups.mongo_archive import BUCKETS
from opsconsole.model import OF_THE_SERVER

STAGED = ".__stg"
"""What was loaded and is not in its place yet."""
ASIDE = ".__old"
"""What was in its place before."""
UNFINISHED = ".__tmp"
"""A copy that is being made."""
PROOF = "opsconsole_proof_"
"""How databases begin that a backup is restored into for a trial."""

_FORBIDDEN = frozenset(' /\\."$*<>:|?')
_LONGEST_DATABASE = 63  # bytes
_LONGEST = 120  # bytes with the database: servers before 4.4 take no more


def beside(database: str, name: str, suffix: str) -> str:
    """The name of a collection's shadow, shortened where it would be too long. The same name gives the same shadow."""
    if name.startswith("system."):
        name = "system_" + name.removeprefix("system.")  # the server keeps names with system. to itself
    room = _LONGEST - len(f"{database}.{BUCKETS}{suffix}".encode())
    if len(name.encode()) <= room:
        return name + suffix
    mark = "~" + hashlib.sha256(name.encode()).hexdigest()[:10]
    return name.encode()[: room - len(mark)].decode("utf-8", "ignore") + mark + suffix


def is_beside(name: str) -> bool:
    return name.endswith((STAGED, ASIDE, UNFINISHED))


def wrong_name(database: str) -> str:
    """Why no database of the application can be called so; "" when one can."""
    if database in OF_THE_SERVER:
        return f"{database} belongs to the server. Choose another name."
    if _FORBIDDEN & set(database) or not database.isprintable():
        return 'No database can be called so: without spaces and / \\ . " $ * < > : | ?'
    return "At most 63 bytes." if len(database.encode()) > _LONGEST_DATABASE else ""
