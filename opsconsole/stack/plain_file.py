"""A modest reading of compose files without Compose, so that names, images and volumes are known all the same.

Follows the merge of overrides, interpolation, `env_file` and `extends` within a file; not `include` and not
`extends` into other files. Whatever it says is marked as read from the file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from opsconsole.model import SourceError
from opsconsole.stack import compose_parse, envfile, yaml_text
from opsconsole.stack.rendered import Rendered
from opsconsole.text import printable

LONGEST = 4 << 20
"""Bytes of a compose file that are read at most."""


def read(files: Sequence[str], *, project: str, directory: str, variables: Mapping[str, str]) -> Rendered:
    """The services of the files as far as they can be told. Raises SourceError when a file is no YAML mapping."""
    merged: dict[str, Any] = {}
    for file in files:
        merged = _merge(merged, load(file))
    missing: list[str] = []
    filled = _filled(merged, variables, missing)
    services = filled.get("services")
    if not isinstance(services, dict):
        services = {}
    for name, body in list(services.items()):
        services[name] = _extended(body, services)
    problems = _with_env_files(services, directory, variables)
    result = compose_parse.parse({**filled, "services": services}, project=project, directory=directory)
    return msgspec.structs.replace(
        result, by="file", missing_variables=tuple(dict.fromkeys(missing)), problems=tuple(problems)
    )


def load(file: str) -> dict[str, Any]:
    """One compose file as it is written. Raises SourceError with one line that names file and place."""
    shown = printable(file)
    try:
        text = Path(file).read_bytes()[:LONGEST].decode("utf-8-sig", "replace")
    except OSError as error:
        raise SourceError(f"compose file {shown} cannot be read: {error.strerror}") from None
    try:
        return yaml_text.load(text)
    except yaml_text.YamlError as error:
        raise SourceError(f"compose file {shown}: {error}") from None


def missing_variables(files: Sequence[str], variables: Mapping[str, str]) -> tuple[str, ...]:
    """Variables that the files use and nothing sets, or sets to nothing where they say that it must not be."""
    missing: list[str] = []
    for file in files:
        _filled(load(file), variables, missing)
    return tuple(dict.fromkeys(missing))


def written_binds(files: Sequence[str], variables: Mapping[str, str]) -> tuple[str, ...]:
    """Sources of bind mounts as they are written, variables filled in: relative paths are still relative."""
    found = read(files, project="", directory="/", variables=variables)
    return tuple(source for service in found.services.values() for source in service.written_binds)


# --- merging ---------------------------------------------------------------------------------------

_REPLACED = frozenset({"command", "entrypoint", "test"})
"""Lists that a later file replaces; all other lists are joined."""


def _merge(base: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        before = merged.get(key)
        if key == "environment" and before is not None:
            merged[key] = {**_environment(before), **_environment(value)}
        elif isinstance(before, dict) and isinstance(value, Mapping):
            merged[key] = _merge(before, value)
        elif isinstance(before, list) and isinstance(value, list) and key not in _REPLACED:
            merged[key] = [*before, *(item for item in value if item not in before)]
        else:
            merged[key] = value
    return merged


def _environment(raw: object) -> dict[str, Any]:
    if isinstance(raw, Mapping):
        return dict(raw)
    lines = raw if isinstance(raw, list) else []
    split = (str(line).partition("=") for line in lines)
    return {name: value if separator else None for name, separator, value in split}


def _extended(body: Any, services: Mapping[str, Any], depth: int = 0) -> Any:
    if not isinstance(body, dict) or depth > 10:
        return body
    extends = body.get("extends")
    base = extends.get("service") if isinstance(extends, Mapping) and not extends.get("file") else extends
    if not isinstance(base, str) or not isinstance(services.get(base), dict):
        return body
    own = {key: value for key, value in body.items() if key != "extends"}
    return _merge(_extended(services[base], services, depth + 1), own)


def _with_env_files(services: dict[str, Any], directory: str, variables: Mapping[str, str]) -> list[str]:
    """Put the values of each service's env files under its environment. Returns what could not be read."""
    problems: list[str] = []
    for body in services.values():
        if not isinstance(body, dict) or not body.get("env_file"):
            continue
        entries = body["env_file"] if isinstance(body["env_file"], list) else [body["env_file"]]
        values: dict[str, Any] = {}
        for entry in entries:
            path = str(entry.get("path", "")) if isinstance(entry, Mapping) else str(entry)
            required = not (isinstance(entry, Mapping) and str(entry.get("required", "true")).lower() == "false")
            file = Path(directory, path)
            if not os.path.exists(file) and not required:
                continue
            found = envfile.read(file, variables)
            values.update(found.values)
            problems += [problem for problem in found.problems if problem not in problems]
        own = {
            name: value if value is not None else variables.get(name)
            for name, value in _environment(body.get("environment")).items()
        }
        body["environment"] = {**values, **own}
    return problems


# --- interpolation ---------------------------------------------------------------------------------

_DOLLAR = re.compile(r"\$(?:(?P<escaped>\$)|(?P<name>[A-Za-z_]\w*)|(?P<brace>\{))")
_INSIDE = re.compile(r"(?P<name>[A-Za-z_]\w*)(?P<operator>:?[-?+])?(?P<word>.*)", re.DOTALL)


def _filled(value: Any, variables: Mapping[str, str], missing: list[str]) -> Any:
    if isinstance(value, str):
        return interpolate(value, variables, missing)
    if isinstance(value, list):
        return [_filled(item, variables, missing) for item in value]
    if isinstance(value, dict):
        return {key: _filled(item, variables, missing) for key, item in value.items()}
    return value


def interpolate(text: str, variables: Mapping[str, str], missing: list[str]) -> str:
    """`$NAME`, `${NAME}`, `${NAME:-default}`, `${NAME:?needed}`, `${NAME:+instead}`, `$$`. Unset ones become empty."""
    parts: list[str] = []
    position = 0
    while found := _DOLLAR.search(text, position):
        parts.append(text[position : found.start()])
        position = found.end()
        if found["escaped"]:
            parts.append("$")
        elif found["name"]:
            parts.append(_value(found["name"], variables, missing))
        else:
            end = _closing(text, position)
            parts.append(_braced(text[position:end], variables, missing))
            position = end + 1
    return "".join((*parts, text[position:]))


def _closing(text: str, position: int) -> int:
    """Where the brace that was opened before `position` is closed; the end of the text if it never is."""
    depth = 1
    for index in range(position, len(text)):
        if text[index] == "{" and text[index - 1] == "$":
            depth += 1
        elif text[index] == "}":
            depth -= 1
            if depth == 0:
                return index
    return len(text)


def _braced(inside: str, variables: Mapping[str, str], missing: list[str]) -> str:
    found = _INSIDE.fullmatch(inside)
    if found is None:
        return ""
    name, operator, word = found["name"], found["operator"] or "", found["word"]
    is_set = bool(variables.get(name)) if operator.startswith(":") else name in variables
    if operator.endswith("-"):
        return variables[name] if is_set else interpolate(word, variables, missing)
    if operator.endswith("+"):
        return interpolate(word, variables, missing) if is_set else ""
    if operator == ":?" and not is_set and name in variables:
        missing.append(name)  # there and empty, where it must not be
    return _value(name, variables, missing)


def _value(name: str, variables: Mapping[str, str], missing: list[str]) -> str:
    if name not in variables:
        missing.append(name)
    return variables.get(name, "")
