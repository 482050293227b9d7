"""Command lines as they may be shown: quoted, on one line, without their secrets."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from itertools import pairwise
from pathlib import PurePosixPath

from opsconsole.text import MASK, mask_text, secrets_in

# Short options that take a password, by program. mysql and its kin write the password right behind the letter.
_PASSWORD_OPTIONS = {
    "redis-cli": "-a",
    "valkey-cli": "-a",
    "redis-benchmark": "-a",
    "mongo": "-p",
    "mongosh": "-p",
    "mongodump": "-p",
    "mongorestore": "-p",
    "mongoexport": "-p",
    "mongoimport": "-p",
    "mysql": "-p",
    "mysqldump": "-p",
    "mariadb": "-p",
    "mariadb-dump": "-p",
    "sshpass": "-p",
}


def shown_command(words: Sequence[str], secrets: tuple[str, ...] = ()) -> str:
    """A command line with passwords masked. `secrets` are known values to hide wherever they stand."""
    option = _PASSWORD_OPTIONS.get(PurePosixPath(words[0]).name, "") if words else ""
    shown = []
    hide_next = False
    for word in words:
        if hide_next and not word.startswith("-"):
            shown.append(MASK)
        elif option and word.startswith(option) and len(word) > 2 and not word.startswith("--"):
            shown.append(option + MASK)
        else:
            shown.append(word)
        hide_next = bool(option) and word == option
    line = " ".join(word if word == MASK or word.endswith(MASK) else shlex.quote(word) for word in shown)
    return mask_text(line, secrets)


def secrets_of_command(words: Sequence[str]) -> tuple[str, ...]:
    """The passwords that a command line spells out, also within the script of a shell."""
    option = _PASSWORD_OPTIONS.get(PurePosixPath(words[0]).name, "") if words else ""
    found = [secret for word in words for secret in secrets_in(word)]
    for word, following in pairwise(words):
        if word == option or secrets_in(f"{word} x"):
            found.append(following)
    return tuple(found)
