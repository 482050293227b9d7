"""Env files: which one a stack uses and what it says, whatever an editor or a script has done to it."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from opsconsole.text import printable

CANDIDATES = (".env.production.local", ".env.production", ".env")
"""In the order in which they are taken when nothing says which one it is."""

LONGEST = 1 << 20
"""Bytes that are read at most: an env file is a page of text, and `.env` can be anything."""

_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_.-]*$")


class EnvFile(msgspec.Struct, frozen=True, kw_only=True):
    """The values of one env file. Values are secrets until proven otherwise: the text form shows names only."""

    path: str = ""
    values: dict[str, str] = {}
    problems: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"EnvFile({self.path}: {', '.join(self.values)})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        """What a pretty-printed traceback shows."""
        return [("path", self.path), ("names", list(self.values))]


def find(directory: Path) -> str:
    """Path of the first candidate that exists as a file, "" if none does."""
    return next((str(directory / name) for name in CANDIDATES if os.path.isfile(directory / name)), "")


def read(path: Path | str, surroundings: Mapping[str, str] | None = None) -> EnvFile:
    """Read a file. A line that makes no sense is one problem; all other lines count. Never raises.

    `${NAME}` in a value is filled from the lines above it, then from `surroundings` (the environment).
    """
    shown = printable(str(path))
    try:
        with open(path, "rb") as file:
            raw = file.read(LONGEST + 1)
    except FileNotFoundError:
        return EnvFile(path=str(path), problems=(f"env file {shown} does not exist",))
    except OSError as error:
        return EnvFile(path=str(path), problems=(f"env file {shown} cannot be read: {error.strerror}",))
    problems = []
    if len(raw) > LONGEST:
        problems.append(f"env file {shown} is larger than {LONGEST >> 20} MB: what comes after that is not used")
        raw = raw[:LONGEST]
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("utf-8-sig", "replace")
        problems.append(f"env file {shown} is not UTF-8 text: some values may be read wrongly")
    values, bad_lines = parse(text, os.environ if surroundings is None else surroundings)
    if bad_lines:
        some = ", ".join(str(line) for line in bad_lines[:5]) + (" ..." if len(bad_lines) > 5 else "")
        word = "line" if len(bad_lines) == 1 else "lines"
        problems.append(f"env file {shown}: {word} {some} cannot be understood (expected NAME=value) and not used")
    return EnvFile(path=str(path), values=values, problems=tuple(problems))


def parse(text: str, surroundings: Mapping[str, str]) -> tuple[dict[str, str], tuple[int, ...]]:
    """Values by name, and the numbers of the lines that make no sense."""
    values: dict[str, str] = {}
    bad: list[int] = []
    for line, original, name, value in _bindings(text.replace("\r\n", "\n").replace("\0", "")):
        if name is None or not _NAME.match(name):
            bad.append(line)
        elif value is not None:
            literal = original.partition("=")[2].lstrip().startswith("'")
            values[name] = value if literal else _filled(value, {**surroundings, **values})
        elif name in surroundings:
            values[name] = surroundings[name]  # `NAME` alone takes the value of the environment, as Compose has it
    return values, tuple(bad)


def _bindings(text: str) -> Iterator[tuple[int, str, str | None, str | None]]:
    """Line number, text, name (None: makes no sense) and value of each entry.

    A quote that is never closed would swallow everything up to the next quote somewhere below: then only its
    own line is given up and reading goes on behind it.
    """
    from dotenv.parser import parse_stream

    first_line = 1
    while text:
        rest = ""
        for binding in parse_stream(io.StringIO(text)):
            original = binding.original.string
            stripped = original.lstrip()
            line = first_line + binding.original.line - 1 + original[: len(original) - len(stripped)].count("\n")
            if not binding.error and binding.key is None:
                continue  # a comment, or nothing
            yield line, stripped, None if binding.error else binding.key, binding.value
            if binding.error and "\n" in stripped.rstrip("\n"):
                rest = "\n".join(text.split("\n")[line - first_line + 1 :])
                first_line = line + 1
                break
        text = rest


def _filled(value: str, known: Mapping[str, str]) -> str:
    """`${NAME}` and `${NAME:-default}` in a value replaced."""
    from dotenv.variables import parse_variables

    if "${" not in value:
        return value
    return "".join(atom.resolve(known) for atom in parse_variables(value))
