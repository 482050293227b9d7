"""A command line that is wrong is told in one line, as everything else is, and ends with exit code 2."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from opsconsole.text import printable


class CommandLine(argparse.ArgumentParser):
    """Its commands are made of the same class, and each names its own help."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"opsconsole: {printable(message)} -> See `{self.prog} --help`.\n")

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> tuple[Any, list[str]]:  # type: ignore[override]
        """What is left over of a line is a mistake, told by the command that it was given to."""
        found, rest = super().parse_known_args(args, namespace)
        if rest:
            self.error(f"unknown here: {' '.join(rest)}")
        return found, rest
