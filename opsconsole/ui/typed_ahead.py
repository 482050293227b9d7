"""Keys act in the order typed, each on what the one before it has opened.

Over a slow line a terminal sends several keys at once. The framework hands each one to whatever has the
focus at that moment, before the first has done anything: `/mon` opened the filter after `m` had gone to
the metrics and `o` to the overview. Here a key acts at once, and the next one waits until what it opened
has the focus. Behind Enter or Esc in a field it waits until the field is left: it would go into the field and be
lost.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import Generic, TypeVar

from textual import events
from textual.app import App
from textual.widgets import Input

Result = TypeVar("Result")
_PAUSE, _MOST_PAUSES = 0.01, 50
"""Seconds between two looks whether a dialog has its focus, and how often: one without any must not stop the keys."""
_LEAVE_FIELD = ("enter", "escape")


class TypedAhead(App[Result], Generic[Result]):
    def __init__(self, *, ansi_color: bool | None = None) -> None:
        super().__init__(ansi_color=ansi_color)
        self._typed: deque[events.Key] = deque()
        self._settling = False

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Key) and not event.is_forwarded:
            self._typed.append(event)
            await self._take_keys()
        else:
            await super().on_event(event)

    async def _take_keys(self) -> None:
        while self._typed and not self._settling:
            event = self._typed.popleft()
            # Text goes the framework's way: the field has it in order anyway.
            if isinstance(self.focused, Input):
                field = self.focused
                await super().on_event(event)
                if event.key in _LEAVE_FIELD:
                    self._settling = True
                    self.call_later(self._leave, field, _MOST_PAUSES)
            elif not await self._acted(event.key):
                await super().on_event(event)

    async def _acted(self, key: str) -> bool:
        """Run what the key is bound to. False when it is bound to nothing here."""
        self._settling = True  # an action that waits lets other keys arrive
        try:
            acted = await self._check_bindings(key, priority=True) or await self._check_bindings(key)
        finally:
            self._settling = False
        if acted:
            self._settling = True
            # `focus()` takes effect by a message to the app: this one comes after it.
            self.call_later(self._settle, _MOST_PAUSES)
        return acted

    async def _leave(self, field: Input, pauses: int) -> None:
        """What the field says goes through the widgets around it before one of them takes the focus."""
        if pauses and self.is_running and self.focused is field:
            self.set_timer(_PAUSE, partial(self._leave, field, pauses - 1))
            return
        await self._settle(pauses)

    async def _settle(self, pauses: int) -> None:
        if pauses and self.is_running and self.screen.is_modal and self.screen.focused is None:
            self.set_timer(_PAUSE, partial(self._settle, pauses - 1))
            return
        self._settling = False
        await self._take_keys()
