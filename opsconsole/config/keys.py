"""What can stand in the file, read from its structs: for `init`, and for what is said of a mistake."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from opsconsole import alert_settings
from opsconsole.alert_settings import RuleSettings
from opsconsole.config.sections import Settings


class Setting(msgspec.Struct, frozen=True):
    """One key of the file, as `init` and the documentation show it."""

    table: str
    key: str
    description: str
    default: Any
    required: bool = False


def settings() -> Iterator[Setting]:
    """Every key of the file in the order of the file, with its description and its default."""
    for table, section in tables().items():
        hints = get_type_hints(section, include_extras=True)
        for field in msgspec.structs.fields(section):
            description = next((note.description for note in _metas(hints[field.name]) if note.description), "")
            if (table, field.name) != ("alerts", "rule"):  # a table of its own
                yield Setting(table, field.encode_name, description, field.default, field.required)


def section_types() -> dict[str, type[msgspec.Struct]]:
    """The struct of each table by its name."""
    hints = get_type_hints(Settings, include_extras=True)
    return {name: struct_in(hints[name]) for name in Settings.__struct_fields__}


def tables() -> dict[str, type[msgspec.Struct]]:
    """As `section_types`, with the tables inside tables, by the names that stand in brackets."""
    return {**section_types(), alert_settings.TABLE: RuleSettings}


def _metas(hint: Any) -> tuple[Meta, ...]:
    return tuple(note for note in getattr(hint, "__metadata__", ()) if isinstance(note, Meta))


def literals(hint: Any) -> tuple[Any, ...]:
    if get_origin(hint) is Annotated:
        return literals(get_args(hint)[0])
    if get_origin(hint) is Literal:
        return get_args(hint)
    return tuple(found for part in get_args(hint) for found in literals(part))


def struct_in(hint: Any) -> type[msgspec.Struct]:
    if isinstance(hint, type) and not isinstance(hint, types.GenericAlias) and issubclass(hint, msgspec.Struct):
        return hint
    return next(struct_in(part) for part in get_args(hint) if part is not ...)
