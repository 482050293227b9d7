"""How often each source is asked, and which answers it waits for first."""

from __future__ import annotations

import msgspec


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds between two looks at a source: `focused` while a visible pane shows it, else `background`."""

    focused: float
    background: float


DEFAULT_PACES: dict[str, Pace] = {
    "engine": Pace(focused=10, background=10),  # events say what changed; this tells a quiet engine from one that hangs
    "describe": Pace(focused=60, background=60),
    "stack": Pace(focused=5, background=15),  # a look that changed nothing costs a few stat() calls
    "usage": Pace(focused=2, background=10),
    "host": Pace(focused=2, background=10),
    "volumes": Pace(focused=30, background=60),
    "sizes": Pace(focused=300, background=1800),  # walks every volume
    "databases": Pace(focused=3, background=15),
    "probes": Pace(focused=10, background=30),
    "access": Pace(focused=30, background=30),
    "backups": Pace(focused=15, background=60),
    "counts": Pace(focused=15, background=15),  # journals and manifests beside the list of collections
    "schedule": Pace(focused=30, background=300),  # runs `crontab -l`
}

NEEDS: dict[str, tuple[str, ...]] = {
    "stack": ("engine",),
    "usage": ("engine",),
    "volumes": ("engine",),
    "sizes": ("volumes",),
    "databases": ("stack",),
    "probes": ("stack",),
    "access": ("engine",),
    "patterns": ("engine",),
    "backups": ("stack",),
    "counts": ("databases", "backups"),
}

LONGEST_NEED_WAIT = 3.0
"""Seconds a source waits for the ones it builds on. An engine that hangs must not keep files from being read."""
