"""The facts that a plan is bound to, and what differs between two looks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

import msgspec

from opsconsole.model import Record


class ContainerFact(Record, frozen=True):
    name: str
    id: str
    service: str = ""
    config_hash: str = ""
    image_id: str = ""


class Facts(Record, frozen=True):
    """What a plan was made from. Two equal Facts have the same fingerprint."""

    compose: dict[str, str] = {}  # service -> hash of its rendered configuration
    files: dict[str, str] = {}  # compose and env files -> SHA-256 of the bytes, "" when it cannot be read
    containers: tuple[ContainerFact, ...] = ()
    commit: str = ""

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()


def differences(old: Facts, new: Facts) -> tuple[str, ...]:
    """What has changed between two looks, one line each; () when a plan made from `old` may run."""
    return (
        *_changed("service", old.compose, new.compose, "its configuration changed"),
        *_changed("file", old.files, new.files, "its content changed"),
        *_containers_changed(old, new),
        *([f"commit: {old.commit or 'none'} -> {new.commit or 'none'}"] if old.commit != new.commit else []),
    )


def _changed(what: str, old: Mapping[str, str], new: Mapping[str, str], words: str) -> Iterator[str]:
    for name in sorted(old.keys() | new.keys()):
        if name not in new:
            yield f"{what} {name}: is no longer there"
        elif name not in old:
            yield f"{what} {name}: is new"
        elif old[name] != new[name]:
            yield f"{what} {name}: {words}"


def _containers_changed(old: Facts, new: Facts) -> Iterator[str]:
    before, after = ({one.name: one for one in facts.containers} for facts in (old, new))
    for name in sorted(before.keys() | after.keys()):
        was, now = before.get(name), after.get(name)
        if was is None or now is None:
            yield f"container {name}: {'is new' if was is None else 'is no longer there'}"
        elif was.image_id != now.image_id:
            yield f"container {name}: another image ({was.image_id[7:19]} -> {now.image_id[7:19]})"
        elif was.config_hash != now.config_hash:
            yield f"container {name}: another configuration"
        elif was.id != now.id:
            yield f"container {name}: was created again"
