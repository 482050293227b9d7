"""Programs of the stack's own that the settings name: a list of words, which no shell reads.

A program with a slash in it and no slash before it (`./hooks/notify`) is looked for from the stack's directory, one
without on PATH.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def problem_of(program: str, directory: Path, table: str) -> tuple[str, str] | None:
    """(what is wrong, what to do) with a program that `table` of the settings names, None when it can be started."""
    if "/" not in program:
        if program and shutil.which(program):
            return None
        beside = program and (directory / program).is_file()
        hint = f"It is in the stack's directory: write ./{program}." if beside else "Write its path, or install it."
        return f"{program or 'an empty word'} is not a program on PATH", hint
    path = directory / program
    if not path.is_file():
        hint = f"Mend [{table}] in opsconsole.toml."
        return f"{path} is not there" if not path.exists() else f"{path} is no file", hint
    if not os.access(path, os.X_OK):
        return f"{path} is not executable", f"chmod +x {path}."
    return None
