"""A thread that may hang without anybody waiting for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


class Lane(Generic[Answer]):
    """Asks one question at a time on a daemon thread and keeps the last answer.

    A question that hangs keeps its lane busy: no second thread piles up behind it, and when it comes back
    its answer is taken as the newest. The question must not raise.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.answer: Answer | None = None
        self.asked_at: float | None = None  # monotonic; None while nothing is being asked
        self._done = threading.Event()
        self._done.set()

    @property
    def busy(self) -> bool:
        """Whether a question is still out."""
        return not self._done.is_set()

    @property
    def waiting_seconds(self) -> float:
        """For how long the question that is out has been out; 0.0 when there is none."""
        asked_at = self.asked_at
        return time.monotonic() - asked_at if asked_at is not None else 0.0

    def ask(self, question: Callable[[], Answer]) -> None:
        """Start asking, unless a question is still out. Returns at once."""
        if self.busy:
            return
        self._done.clear()
        self.asked_at = time.monotonic()
        threading.Thread(target=self._run, args=(question,), name=self.name, daemon=True).start()

    def wait(self, deadline: float) -> bool:
        """Wait until the question is answered, at most until `deadline` (monotonic). Whether it was."""
        return self._done.wait(max(0.0, deadline - time.monotonic()))

    def _run(self, question: Callable[[], Answer]) -> None:
        try:
            self.answer = question()
        finally:
            self.asked_at = None
            self._done.set()
