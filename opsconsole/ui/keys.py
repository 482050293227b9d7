"""Every key of the console, declared once: bindings, footer, help and palette are all made from these.

A pane declares its own actions as `Pane.actions`; what holds everywhere and in every list stands here.
The rules (why a letter is what it is): no single key destroys anything; a letter is never harmless in
one pane and destructive in another; digits belong to the log ranges and to the deploy menu.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from textual.binding import Binding


@dataclass(frozen=True, slots=True)
class Action:
    """One thing the operator can do.

    `run` is a Textual action: its method `action_<run>` stands on the widget that declares it.
    `keys` are Textual key names; an action without any is reached through the palette.
    `footer` ranks it among the keys shown at the bottom (1 is shown first, 0 never); whether it can be
    done now is asked from the widget's `check_action`.
    """

    run: str
    keys: tuple[str, ...]
    label: str  # one or two words, for the footer
    help: str  # one sentence, for help and palette
    footer: int = 0
    changes: bool = False  # changes the stack: hidden and refused with --read-only
    opens: bool = False  # with `changes`: the key only opens a plan or a choice, and may be harmless elsewhere
    shown: str = ""  # how the keys are written, when not as `key_name` writes them
    palette: bool = True  # moving a cursor is no command

    @property
    def keys_shown(self) -> str:
        return self.shown or " ".join(key_name(key) for key in self.keys)

    @property
    def types(self) -> bool:
        """Whether its key is a character where text is typed."""
        return bool(self.keys) and (len(key_name(self.keys[0])) == 1 or self.keys[0] == "space")


_KEY_NAMES = {
    "slash": "/",
    "backslash": "\\",
    "question_mark": "?",
    "colon": ":",
    "exclamation_mark": "!",
    "less_than_sign": "<",
    "greater_than_sign": ">",
    "space": "Space",
    "enter": "Enter",
    "escape": "Esc",
    "tab": "Tab",
    "shift+tab": "Shift+Tab",
    "pageup": "PgUp",
    "pagedown": "PgDn",
    "home": "Home",
    "end": "End",
    "up": "Up",
    "down": "Down",
    "left": "Left",
    "right": "Right",
    "plus": "+",
    "minus": "-",
    "equals_sign": "=",
}


KEY_WORDS = frozenset(name for name in _KEY_NAMES.values() if len(name) > 1)
"""How the keys that have no character are written."""


def key_name(key: str) -> str:
    """A Textual key name as it stands on the keyboard: `ctrl+p` -> `Ctrl+P`, `question_mark` -> `?`."""
    if key in _KEY_NAMES:
        return _KEY_NAMES[key]
    if key.startswith("ctrl+"):
        return f"Ctrl+{key.removeprefix('ctrl+').upper()}"
    return key.upper() if key.startswith("f") and key[1:].isdigit() else key


def bindings(actions: Iterable[Action], *, priority: bool = False) -> list[Binding]:
    """The Textual bindings of some actions.

    With `priority` they are taken before the focused widget sees the key, and so in the order typed.
    """
    return [
        Binding(key, action.run, action.label, show=False, tooltip=action.help, priority=priority)
        for action in actions
        for key in action.keys
    ]


def _go(pane_id: str, letter: str) -> Action:
    return Action(f"go('{pane_id}')", (letter,), pane_id.capitalize(), f"Go to {pane_id}.")


EVERYWHERE = (
    _go("overview", "o"),
    _go("containers", "c"),
    _go("volumes", "v"),
    _go("logs", "l"),
    _go("metrics", "m"),
    _go("databases", "D"),
    _go("backups", "b"),
    _go("deploy", "d"),
    _go("history", "h"),
    _go("health", "H"),
    Action("next_pane", ("tab",), "next pane", "Go to the next pane.", footer=70, palette=False),
    Action("previous_pane", ("shift+tab",), "Previous pane", "Go to the previous pane.", palette=False),
    Action("help", ("question_mark", "f1"), "help", "Show every key.", footer=80),
    Action("commands", ("ctrl+p", "colon"), "actions", "Find any action by its name.", footer=81),
    Action("zoom", ("z",), "full size", "Give the pane the whole screen; again gives the header back.", footer=72),
    Action(
        "incident", ("exclamation_mark",), "Incident", "See what is red, what changed and what the runbook answers."
    ),
    Action("watch_operation", ("W",), "Watch", "Watch the operation that runs; see to one that is half done."),
    Action(
        "emergency_stop",
        ("X",),
        "Emergency stop",
        "Stop everything of the stack at once, after a question that says what it costs.",
        changes=True,
    ),
    Action("maintenance", (), "Maintenance", "Tasks of the runbook: what is proven, what is due; tick them."),
    Action("messages", ("f2",), "Messages", "Show what was done and what failed since the start."),
    Action("theme", ("T",), "Theme", "Choose dark, light, high contrast or 16 colours."),
    Action("mouse", ("M",), "Mouse", "Give the mouse to the terminal, to select text with it; again takes it back."),
    Action("suspend", ("ctrl+z",), "Put aside", "Leave for the command line; fg there brings the console back."),
    Action("redraw", ("f5", "ctrl+l"), "ask now", "Ask every source now and paint the screen anew.", footer=74),
    Action("back", ("escape",), "Back", "Close what is open, drop the filter, or unmark.", palette=False),
    Action("leave", ("q", "ctrl+c"), "quit", "Leave the console; the stack goes on running.", footer=90),
)

HELP_ON_TOP = Action("app.help", ("question_mark", "f1"), "help", "Show every key.", footer=80, palette=False)
"""On screens that lie over the panes and have keys of their own."""

WHILE_TYPING = (
    Action("submit", ("enter",), "keep", "Keep what was typed.", footer=1, palette=False),
    Action("drop", ("escape",), "drop", "Go back to what was there before.", footer=2, palette=False),
)

IN_LISTS = (
    Action("cursor(-1)", ("up", "k"), "Up", "Move up.", palette=False),
    Action("cursor(1)", ("down", "j"), "Down", "Move down.", palette=False),
    Action("page(-1)", ("pageup", "ctrl+u"), "Page up", "Move up by a screen.", palette=False),
    Action("page(1)", ("pagedown", "ctrl+d"), "Page down", "Move down by a screen.", palette=False),
    Action("top", ("home", "g"), "Top", "Go to the first row.", palette=False),
    Action("bottom", ("end", "G"), "Bottom", "Go to the last row.", palette=False),
    Action("choose", ("enter",), "open", "Open the row under the cursor.", palette=False),
    Action("filter", ("slash",), "filter", "Show only the rows that hold a text; Esc shows all again.", footer=40),
    Action("mark", ("space",), "mark", "Mark the row, where an action can apply to several at once.", footer=45),
    Action("sort_next", ("greater_than_sign",), "sort", "Sort by the next column.", footer=50, shown="< >"),
    Action("sort_previous", ("less_than_sign",), "Sort back", "Sort by the column before."),
    Action("sort_reverse", ("O",), "Reverse", "Turn the order around."),
)
