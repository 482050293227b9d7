"""What Compose answered about files that are still the same: kept as long as this process lives.

One deploy looks at the stack four times, and every look asks Compose two or three questions (0.05 s of a processor
each). The same words, environment, program and files have the same answer, so it is asked once; a file that changed
in between is read again by whoever looks next. A process that runs an operation begins with nothing kept: what it
compares the plan with, Compose has just said.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import threading
from collections import OrderedDict
from collections.abc import Hashable, Sequence

from opsconsole.stack.compose_program import ask

MOST = 32
"""Answers that are kept, each a few times as long as the compose files."""

# A file that says one of these has others behind it, and those are not looked for: such an answer is never kept.
_NAMES_FILES = re.compile(rb"include|extends|env_file|label_file|\bfile\b")

_kept: OrderedDict[Hashable, subprocess.CompletedProcess[str]] = OrderedDict()
_lock = threading.Lock()


def answer(
    words: Sequence[str], env: dict[str, str], cwd: str, files: Sequence[str], stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """As `ask`, or what it said before. `files` are all that the words let Compose read. Raises SourceError."""
    key = _key(words, env, cwd, files, stdin)
    with _lock:
        if key in _kept:
            _kept.move_to_end(key)
            return _kept[key]
    said = ask(words, env, cwd, stdin)
    # Changed while Compose was reading, nobody knows which of the two it read. What failed may be mended elsewhere.
    if key is not None and said.returncode == 0 and key == _key(words, env, cwd, files, stdin):
        with _lock:
            _kept[key] = said
            while len(_kept) > MOST:
                _kept.popitem(last=False)
    return said


def _key(words: Sequence[str], env: dict[str, str], cwd: str, files: Sequence[str], stdin: str) -> Hashable:
    """Everything that the answer depends on; None where that cannot be told: behind the docker command may stand
    another Compose from one moment to the next."""
    if os.path.basename(words[0]) == "docker":
        return None
    digest = hashlib.sha256()
    try:
        program = os.stat(words[0])
        for text in (stdin.encode(), *map(_content, files)):
            if text is not None and _NAMES_FILES.search(text):
                return None
            digest.update(b"-" if text is None else hashlib.sha256(text).digest())
    except OSError:
        return None
    stamp = (program.st_mtime_ns, program.st_size, program.st_ino)
    return (tuple(words), stamp, frozenset(env.items()), cwd, tuple(files), digest.digest())


def _content(path: str) -> bytes | None:
    """None for a file that is not there. Raises OSError."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None
