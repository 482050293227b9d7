"""A shell in a container: the console steps back, docker has the terminal, exit comes back."""

from __future__ import annotations

import signal
import subprocess
from typing import TYPE_CHECKING

from textual.app import SuspendNotSupported

from opsconsole.operations.containers import Target, shell_command, shell_problem
from opsconsole.text import printable
from opsconsole.ui.wording import Tone, short_id

if TYPE_CHECKING:
    from opsconsole.ui.app import ConsoleApp


def open_shell(app: ConsoleApp, endpoint: str, target: Target) -> None:
    """Look first, without blocking the screen, whether there is a shell; then hand the terminal over."""

    def told(problem: str) -> None:
        if problem:
            app.report(problem, Tone.BAD)
        else:
            _hand_over(app, shell_command(endpoint, target.id), target)

    app.in_background(lambda: shell_problem(endpoint, target), told, f"shell in {target.name}")


def _hand_over(app: ConsoleApp, command: list[str], target: Target) -> None:
    try:
        with app.suspend():
            print(f"\nShell in {printable(target.name)} ({short_id(target.id)}). exit comes back to opsconsole.\n")
            # Ctrl+C in the shell is meant for the shell. The operator ends it, so there is no timeout.
            before = signal.signal(signal.SIGINT, signal.SIG_IGN)
            try:
                subprocess.run(command, check=False)
            finally:
                signal.signal(signal.SIGINT, before)
    except SuspendNotSupported:
        app.report("This terminal cannot be handed over to a shell.", Tone.BAD)
        return
    app.refresh(layout=True)
    app.report(f"The shell in {target.name} was left.", Tone.GOOD)
