"""The base of every struct."""

from __future__ import annotations

import msgspec


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Base of every struct here: immutable, keyword-only, encodable as JSON."""
