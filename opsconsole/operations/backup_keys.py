"""The keys of encrypted backups, as the settings name them."""

from __future__ import annotations

from pathlib import Path

from opsconsole.backups.encryption import NO_KEYS, Keys, Recipients, keys_in, recipients_of
from opsconsole.config import Config


def recipients(config: Config) -> Recipients:
    """Whom backups are encrypted to. Raises SourceError for a key that is none."""
    return recipients_of(config.backups.encrypt_to, "encrypt_to in [backups]")


def private_keys(config: Config) -> Keys:
    """What encrypted backups are read with; none when no file is named. Raises SourceError for one that is no such."""
    if not config.backups.identity_file:
        return NO_KEYS
    return keys_in(Path(config.path).parent / config.backups.identity_file)
