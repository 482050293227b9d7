"""YAML as compose files mean it: `22:22` is a port and `yes` a word, whatever YAML 1.1 says."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from typing import Any

from opsconsole.text import mask_text, printable

MOST_NODES = 200_000
"""Values a compose file may have once its aliases are written out: nine levels of nine make ten lines a gigabyte."""


class YamlError(ValueError):
    """The text is not YAML, or not a mapping. Its message is one line with the place."""


def load(text: str, *, by_program: bool = False) -> dict[str, Any]:
    """The mapping in a YAML text; {} for an empty one. Numbers stay text, Compose's `!reset` tags are passed over.

    `by_program`: Compose v1 wrote it, with quotes around every text that could be taken for a number or a yes.
    """
    import yaml

    try:
        raw = _read(text, by_program)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}: " if mark else ""
        raise YamlError(mask_text(printable(f"{place}{error.problem or error.context or 'not valid YAML'}"))) from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise YamlError(mask_text(printable(str(error)))) from None
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise YamlError("expected a mapping with `services:`")
    if _written_out(raw, {}) > MOST_NODES:
        raise YamlError("an alias contains itself, or aliases multiply to more values than any stack has")
    return {str(key): value for key, value in raw.items()}


def _read(text: str, by_program: bool) -> Any:
    """By libyaml where this Python has it, in a tenth of the time; what is wrong is said by the other one, better."""
    import yaml

    if yaml.__with_libyaml__:
        with suppress(yaml.YAMLError):
            return yaml.load(text, Loader=_loader(by_program, yaml.CSafeLoader))
    return yaml.load(text, Loader=_loader(by_program, yaml.SafeLoader))


def _written_out(value: Any, known: dict[int, int]) -> int:
    """How many values this is with every alias written out; more than the most where one contains itself."""
    if not isinstance(value, (dict, list)):
        return 1
    if id(value) not in known:
        known[id(value)] = MOST_NODES + 1  # until it is counted: whoever meets it again is inside it
        inside = value.values() if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_written_out(item, known) for item in inside)
    return known[id(value)]


@cache
def _loader(by_program: bool, base: Any) -> Any:
    import yaml

    class ComposeLoader(base):  # type: ignore[misc]
        """SafeLoader without numbers, times and the words of YAML 1.1 that became booleans."""

    names = ("null", "merge", *(("bool", "int", "float") if by_program else ()))
    kept = {f"tag:yaml.org,2002:{name}" for name in names}
    ComposeLoader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag in kept]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def untagged(loader: Any, suffix: str, node: Any) -> Any:
        if isinstance(node, yaml.MappingNode):
            return loader.construct_mapping(node, deep=True)
        if isinstance(node, yaml.SequenceNode):
            return loader.construct_sequence(node, deep=True)
        return loader.construct_scalar(node)

    ComposeLoader.add_multi_constructor("!", untagged)
    return ComposeLoader
