"""`opsconsole.toml`: what the operator decided, laid over what was found.

Nothing has to be written: every key has a value that is found or a default that is good. A file that is
there is read strictly, because a misspelt threshold is a threshold that does not exist.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from opsconsole.config.mistakes import contradiction, explain, unusable
from opsconsole.config.sections import Settings
from opsconsole.model import SourceError
from opsconsole.text import mask_text, printable

FILE_NAME = "opsconsole.toml"


class ConfigError(SourceError):
    """The file cannot be used. `problem` is one line that names the file, the key and what was expected."""


class Config(Settings, frozen=True):
    """The settings and the file they came from ("" when there is none)."""

    path: str = ""


def load(path: Path | str) -> Config:
    """Read the file. Raises ConfigError with one line for a file that cannot be read, parsed or used."""
    import tomllib

    file = Path(path)
    shown = printable(str(path))
    try:
        raw = tomllib.loads(file.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{shown}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{shown}: is not UTF-8 text (byte {error.start})", "save the file as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{shown}: not valid TOML: {mask_text(printable(str(error)))}") from None
    try:
        settings = msgspec.convert(raw, Settings)
    except msgspec.ValidationError as error:
        problem, hint = explain(str(error), raw)
        raise ConfigError(f"{shown}: {problem}", hint) from None
    if found := unusable("", raw) or contradiction(settings):
        raise ConfigError(f"{shown}: {found}")
    fields = {name: getattr(settings, name) for name in Settings.__struct_fields__}
    return Config(**fields, path=str(file.absolute()))


def load_from(directory: Path | str) -> Config:
    """The settings of a stack's directory; all defaults when it has no `opsconsole.toml`."""
    file = Path(directory) / FILE_NAME
    if os.path.lexists(file) and not os.path.isfile(file):
        what = "a directory" if os.path.isdir(file) else "no ordinary file" if os.path.exists(file) else "a dead link"
        raise ConfigError(f"{printable(str(file))}: is {what}", "move it away; opsconsole init writes a new one")
    return load(file) if os.path.exists(file) else Config()
