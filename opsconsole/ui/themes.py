"""The themes: dark, light, high contrast, and 16 colours that are the terminal's own.

A theme names every colour that a `Tone` needs, so text stays readable on each of them; contrast of the
text tones against their background is at least 4.5:1 (7:1 in high contrast).
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from textual.theme import Theme


def _theme(name: str, *, dark: bool, colours: Mapping[str, str]) -> Theme:
    background, surface, panel = colours["background"], colours["surface"], colours["panel"]
    return Theme(
        name=name,
        dark=dark,
        primary=colours["primary"],
        secondary=colours["accent"],
        accent=colours["accent"],
        success=colours["success"],
        warning=colours["warning"],
        error=colours["error"],
        foreground=colours["foreground"],
        background=background,
        surface=surface,
        panel=panel,
        variables={
            "foreground-muted": colours["muted"],
            "border": colours["line"],
            "border-blurred": colours["line"],
            "block-cursor-background": colours["cursor"],
            "block-cursor-foreground": colours["cursor-text"],
            "block-cursor-blurred-background": panel,
            "block-cursor-blurred-foreground": colours["foreground"],
            "block-cursor-text-style": "none",
            "button-focus-text-style": "bold",
            "footer-key-foreground": colours["accent"],
            "input-selection-background": f"{colours['primary']} 40%",
            "scrollbar": colours["line"],
            "scrollbar-hover": colours["muted"],
            "scrollbar-active": colours["primary"],
            "scrollbar-background": background,
            "scrollbar-background-hover": background,
            "scrollbar-background-active": background,
            "scrollbar-corner-color": background,
        },
    )


DARK = _theme(
    "dark",
    dark=True,
    colours={
        "background": "#10151c",
        "surface": "#161d26",
        "panel": "#1f2935",
        "foreground": "#d7dee7",
        "muted": "#8593a5",
        "line": "#364454",
        "primary": "#62aee8",
        "accent": "#5fcac4",
        "success": "#79c67d",
        "warning": "#e3b454",
        "error": "#f47b7b",
        "cursor": "#24506f",
        "cursor-text": "#ffffff",
    },
)
LIGHT = _theme(
    "light",
    dark=False,
    colours={
        "background": "#fcfcfa",
        "surface": "#f1f3f2",
        "panel": "#e3e8ec",
        "foreground": "#1d2630",
        "muted": "#5a6775",
        "line": "#b9c2cb",
        "primary": "#1b68ab",
        "accent": "#0b7370",
        "success": "#24742c",
        "warning": "#8a5800",
        "error": "#b3261e",
        "cursor": "#c9e0f4",
        "cursor-text": "#0b1622",
    },
)
HIGH_CONTRAST = _theme(
    "contrast",
    dark=True,
    colours={
        "background": "#000000",
        "surface": "#000000",
        "panel": "#262626",
        "foreground": "#ffffff",
        "muted": "#d0d0d0",
        "line": "#ffffff",
        "primary": "#5cc8ff",
        "accent": "#00ffff",
        "success": "#3dff7c",
        "warning": "#ffd700",
        "error": "#ff8a8a",
        "cursor": "#ffff00",
        "cursor-text": "#000000",
    },
)

_TERMINAL = {
    "foreground-muted": "ansi_bright_black",
    "block-cursor-background": "ansi_blue",
    "block-cursor-foreground": "ansi_bright_white",
    "block-cursor-blurred-background": "ansi_bright_black",
    "block-cursor-blurred-foreground": "ansi_bright_white",
    "footer-key-foreground": "ansi_cyan",
    "button-focus-text-style": "bold",
    "border": "ansi_bright_black",
    "border-blurred": "ansi_bright_black",
    "scrollbar": "ansi_bright_black",
    "scrollbar-hover": "ansi_white",
    "scrollbar-active": "ansi_blue",
    "scrollbar-background": "ansi_default",
    "scrollbar-background-hover": "ansi_default",
    "scrollbar-background-active": "ansi_default",
    "scrollbar-corner-color": "ansi_default",
    "input-cursor-background": "ansi_white",
    "input-cursor-foreground": "ansi_black",
    "input-selection-background": "ansi_bright_blue",
    "input-selection-foreground": "ansi_black",
    "screen-selection-background": "ansi_bright_blue",
    "screen-selection-foreground": "ansi_black",
}


def _terminal_theme(name: str, *, dark: bool, warning: str, muted: str) -> Theme:
    return Theme(
        name=name,
        ansi=True,
        dark=dark,
        primary="ansi_blue",
        secondary="ansi_cyan",
        accent="ansi_cyan",
        success="ansi_green",
        warning=warning,
        error="ansi_red",
        foreground="ansi_default",
        background="ansi_default",
        surface="ansi_default",
        panel="ansi_default",
        boost="ansi_default",
        variables={
            **_TERMINAL,
            "foreground-muted": muted,
            "ansi-background": "ansi_black" if dark else "ansi_white",
            "ansi-foreground": "ansi_white" if dark else "ansi_black",
        },
    )


SIXTEEN = _terminal_theme("ansi", dark=True, warning="ansi_yellow", muted="ansi_white")
SIXTEEN_LIGHT = _terminal_theme("ansi-light", dark=False, warning="ansi_magenta", muted="ansi_bright_black")

THEMES = (DARK, LIGHT, HIGH_CONTRAST, SIXTEEN, SIXTEEN_LIGHT)
SAID = {
    DARK.name: "dark",
    LIGHT.name: "light",
    HIGH_CONTRAST.name: "high contrast",
    SIXTEEN.name: "the terminal's own 16 colours, for a dark background",
    SIXTEEN_LIGHT.name: "the terminal's own 16 colours, for a light background",
}
"""What each theme is, by the name that `--theme` takes."""


_FEW_COLOURS = (
    "linux", "vt100", "vt220", "ansi", "screen", "xterm", "xterm-color", "xterm-16color", "rxvt", "tmux",
)  # fmt: skip
"""Names of terminals that are given 16 colours. Our own ones would be rounded to them, red on the cursor's grey."""


def first_choice(environment: Mapping[str, str] = os.environ) -> str:
    """The theme to begin with: the terminal's own colours where nothing more can be expected."""
    more = environment.get("COLORTERM", "").lower() in ("truecolor", "24bit")
    if "NO_COLOR" in environment or (environment.get("TERM", "") in _FEW_COLOURS and not more):
        return SIXTEEN.name
    return DARK.name


def cursor_keeps_tones(theme: Theme, no_color: bool) -> bool:
    """Whether the row under the cursor keeps its colours: only where they are readable on the cursor's own."""
    return not (no_color or theme.ansi or theme.name == HIGH_CONTRAST.name)
