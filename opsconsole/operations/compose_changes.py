"""What differs between two compose configurations, key by key, as an operator reads it. Pure; secrets are masked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from opsconsole.model import Record
from opsconsole.text import MASK, is_secret_name, mask_text, printable

_LONGEST = 160
_ABSENT = object()


class Change(Record, frozen=True):
    """One key. `old` is "" for an added one, `new` for a removed one; secrets in both are masked."""

    where: str  # "service web", "volume data", "project"
    key: str  # "environment.LOG_LEVEL"; "" for the whole thing
    old: str = ""
    new: str = ""
    added: bool = False
    removed: bool = False

    def words(self) -> str:
        what = f"{self.where}: {self.key}" if self.key else self.where
        if self.added:
            return f"+ {what}{' = ' if self.new else ''}{self.new}"
        if self.removed:
            return f"- {what}{' (was ' + self.old + ')' if self.old else ''}"
        return f"~ {what}: {self.old} -> {self.new}"


_KINDS = {"services": "service", "volumes": "volume", "networks": "network", "configs": "config", "secrets": "secret"}


def changes(old: Mapping[str, Any], new: Mapping[str, Any], secrets: tuple[str, ...] = ()) -> tuple[Change, ...]:
    """From one whole configuration (as Compose prints it) to the other."""
    return tuple(_changes(old, new, secrets))


def _changes(old: Mapping[str, Any], new: Mapping[str, Any], secrets: tuple[str, ...]) -> Iterator[Change]:
    for section, kind in _KINDS.items():
        before, after = _mapping(old.get(section)), _mapping(new.get(section))
        for name in sorted(before.keys() | after.keys()):
            where = printable(f"{kind} {name}")
            if name not in before:
                yield Change(where=where, key="", added=True, new=_told(after[name], secrets))
            elif name not in after:
                yield Change(where=where, key="", removed=True)
            else:
                yield from _keys(where, "", before[name], after[name], secrets)
    rest = [key for key in sorted(old.keys() | new.keys()) if key not in _KINDS]
    for key in rest:
        yield from _keys("project", printable(key), old.get(key, _ABSENT), new.get(key, _ABSENT), secrets)


def _keys(where: str, key: str, old: Any, new: Any, secrets: tuple[str, ...]) -> Iterator[Change]:
    if old == new:
        return
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in sorted(map(str, old.keys() | new.keys())):
            below = printable(f"{key}.{name}" if key else name)
            yield from _keys(where, below, old.get(name, _ABSENT), new.get(name, _ABSENT), secrets)
    elif isinstance(old, list) and isinstance(new, list) and not _is_line(key):
        gone = [item for item in old if item not in new]
        come = [item for item in new if item not in old]
        for item in gone:
            yield Change(where=where, key=key, removed=True, old=_shown(key, item, secrets))
        for item in come:
            yield Change(where=where, key=key, added=True, new=_shown(key, item, secrets))
        if not gone and not come:
            yield Change(where=where, key=key, old="the same", new="in another order")
    elif old is _ABSENT or old is None:
        yield Change(where=where, key=key, added=True, new=_shown(key, new, secrets))
    elif new is _ABSENT or new is None:
        yield Change(where=where, key=key, removed=True, old=_shown(key, old, secrets))
    else:
        yield Change(where=where, key=key, old=_shown(key, old, secrets), new=_shown(key, new, secrets))


def _is_line(key: str) -> bool:
    """Lists whose order is what they say."""
    return key.rpartition(".")[2] in ("command", "entrypoint", "test")


def _told(body: Any, secrets: tuple[str, ...]) -> str:
    """A whole new thing in a few words."""
    image = _mapping(body).get("image") or ("built here" if "build" in _mapping(body) else "")
    return _short(mask_text(_plain(image), secrets))


def _shown(key: str, value: Any, secrets: tuple[str, ...]) -> str:
    if is_secret_name(key.rpartition(".")[2]):
        return MASK
    if isinstance(value, (list, Mapping)):
        value = json.dumps(_masked(value), ensure_ascii=False)
    return _short(mask_text(_plain(value), secrets)) or '""'


def _plain(value: Any) -> str:
    """Compose prints every `$` twice, so that it can read it again."""
    return str(value).replace("$$", "$")


def _masked(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            str(name): MASK if is_secret_name(str(name)) and not isinstance(item, (list, Mapping)) else _masked(item)
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [_masked(item) for item in value]
    return value


def _short(text: str) -> str:
    shown = printable(text)
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 3]}..."


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
