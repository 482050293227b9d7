"""Copying to the clipboard of the operator's own terminal (OSC 52), through SSH and tmux."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from typing import Any

from textual.app import App

MOST_BYTES = 74_000
"""Terminals drop a longer sequence without a word (xterm and tmux: 100,000 characters of base64)."""


def copy(app: App[Any], text: str, environment: Mapping[str, str] = os.environ) -> int:
    """Put the text on the clipboard; how many bytes it had to be cut by, at its beginning (0: all is there).

    The text must have passed `printable`: it is encoded here, but it will be pasted somewhere.
    """
    data = text.encode("utf-8", "replace")
    cut = max(0, len(data) - MOST_BYTES)
    kept = data[cut:].decode("utf-8", "ignore")
    app.copy_to_clipboard(kept)
    driver = app._driver
    if environment.get("TMUX") and driver is not None:
        # tmux keeps the sequence to itself unless it is wrapped; both are sent, and one of them arrives.
        driver.write(through_tmux(kept))
    return cut


def through_tmux(text: str) -> str:
    """The sequence as tmux passes it on to the terminal around it (`allow-passthrough`)."""
    encoded = base64.b64encode(text.encode("utf-8", "replace")).decode("ascii")
    return f"\x1bPtmux;\x1b\x1b]52;c;{encoded}\x07\x1b\\"
