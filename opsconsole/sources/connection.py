"""How a database is really reached: the one struct that holds a password, and shows it to nobody."""

from __future__ import annotations

import msgspec

from opsconsole.model import DatabaseTarget


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """A database of the stack with its credentials, for the client that connects and for nothing else.

    Not a Record on purpose: it never goes into a Snapshot. Its text form hides everything but the target.
    """

    target: DatabaseTarget
    uri: str = (
        ""  # mongodb://, mongodb+srv://, redis://, rediss:// or unix:// as this host reaches it; "" with a problem
    )
    others: tuple[str, ...] = ()  # further addresses or credentials of the same server, to try when `uri` is refused
    problem: str = ""  # why this host has no way to it, one line
    hint: str = ""  # what to do about that

    def __repr__(self) -> str:
        return f"Connection({self.target.kind} {self.target.name} {self.target.address})"

    __str__ = __repr__

    def __rich_repr__(self) -> list[tuple[str, object]]:
        """What a pretty-printed traceback shows."""
        return [("target", self.target)]
