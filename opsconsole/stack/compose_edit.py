"""Lines put into a compose file so that comments, order and style of everything else stay: text is inserted at places
that the YAML parser names, and nothing is taken out. What cannot be done with certainty is refused. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opsconsole.stack import yaml_text

SHELLS = ("sh", "bash", "ash", "dash")


class CannotEdit(ValueError):
    """Why the file is not edited, one line."""


def has_service(text: str, service: str, key: str = "") -> bool:
    """Whether a file says something of a service, or one thing of it."""
    try:
        body = _at(_root(text), "services", service)
    except CannotEdit:
        return False
    return body is not None and (not key or _at(body, key) is not None)


def with_options(
    text: str, service: str, options: Sequence[str], *, image: Sequence[str] = (), volume: str = ""
) -> str:
    """The file with options at the end of a service's command, and with one more volume. `image`: the command that the
    image has by itself, for a service that names none. Raises CannotEdit."""
    body = _at(_root(text), "services", service)
    if body is None:
        raise CannotEdit(f"it has no service {service} of its own")
    if not _is_block(body):
        raise CannotEdit(f"the service {service} is written in one line, or by a reference")
    inserts = [_command(text, body, options, image)]
    if volume:
        inserts.append(_volume(text, body, volume))
    newline = "\r\n" if "\r\n" in text else "\n"
    changed = text
    for at, piece in sorted(inserts, reverse=True):
        changed = changed[:at] + piece.replace("\n", newline) + changed[at:]
    _check(text, changed, service)
    return changed


# --- what is inserted where ------------------------------------------------------------------------

Insert = tuple[int, str]
"""Offset in the text, and what comes there."""


def _command(text: str, body: Any, options: Sequence[str], image: Sequence[str]) -> Insert:
    node = _at(body, "command")
    if node is None:
        if not image:
            raise CannotEdit("its command is named elsewhere, or by the image")
        _refuse_shell(image[0])
        words = ", ".join(_quoted(word) for word in (*image, *options))
        return _after_image(text, body, f"command: [{words}]")
    _refuse_reference(body, "command", node)
    if _is_scalar(node):
        return _in_text(node, options)
    if not _is_list(node) or not node.value or not all(_is_scalar(item) for item in node.value):
        raise CannotEdit("its command is neither text nor a list of words")
    _refuse_shell(str(node.value[0].value))
    last = node.value[-1]
    if node.flow_style:
        return last.end_mark.index, "".join(f", {_quoted(word)}" for word in options)
    if last.start_mark.line != last.end_mark.line:
        raise CannotEdit("the last word of its command goes over several lines")
    at, pad = _line_after(text, last.end_mark.index), " " * node.start_mark.column
    return at, _lead(text, at) + "".join(f"{pad}- {_quoted(word)}\n" for word in options)


def _in_text(node: Any, options: Sequence[str]) -> Insert:
    """A command in one text: Compose takes it apart as a shell would, and no shell runs."""
    value = str(node.value).strip()
    if not value or node.tag.endswith(":null") or node.tag.startswith("!"):
        raise CannotEdit("its command is empty")
    _refuse_shell(value.split()[0])
    if node.style in ("|", ">") or node.start_mark.line != node.end_mark.line:
        raise CannotEdit("its command goes over several lines")
    at = node.end_mark.index - (1 if node.style in ("'", '"') else 0)
    return at, "".join(f" {word}" for word in options)


def _volume(text: str, body: Any, volume: str) -> Insert:
    node = _at(body, "volumes")
    if node is None:
        pad = _step(body)
        return _after_image(text, body, f"volumes:\n{pad}- {volume}")
    _refuse_reference(body, "volumes", node)
    if not _is_list(node) or not node.value:
        raise CannotEdit("its volumes are no list")
    if node.flow_style:
        return node.value[-1].end_mark.index, f", {_quoted(volume)}"
    # Before the first one, which may go over many lines.
    return _line_of(text, node.start_mark.index), f"{' ' * node.start_mark.column}- {volume}\n"


def _after_image(text: str, body: Any, lines: str) -> Insert:
    """A key of its own: below `image`, or as the first one."""
    first = body.value[0][0]
    pad = " " * first.start_mark.column
    said = "".join(f"{pad}{line}\n" for line in lines.split("\n"))
    image = _at(body, "image")
    if image is not None and _is_scalar(image) and image.start_mark.line == image.end_mark.line:
        at = _line_after(text, image.end_mark.index)
        return at, _lead(text, at) + said
    return _line_of(text, first.start_mark.index), said


# --- the YAML --------------------------------------------------------------------------------------


def _root(text: str) -> Any:
    import yaml

    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError, ValueError):
        raise CannotEdit("it is not YAML that can be read here") from None


def _at(node: Any, *keys: str) -> Any:
    """What a mapping has under these keys, None where it has not."""
    import yaml

    for key in keys:
        if not isinstance(node, yaml.MappingNode):
            return None
        node = next((value for name, value in node.value if name.value == key), None)
    return node


def _is_scalar(node: Any) -> bool:
    import yaml

    return isinstance(node, yaml.ScalarNode)


def _is_list(node: Any) -> bool:
    import yaml

    return isinstance(node, yaml.SequenceNode) and not node.tag.startswith("!")


def _is_block(node: Any) -> bool:
    import yaml

    return isinstance(node, yaml.MappingNode) and not node.flow_style and bool(node.value)


def _refuse_reference(body: Any, key: str, node: Any) -> None:
    """What an alias stands for is written elsewhere, and others may use it."""
    name = next(name for name, _ in body.value if name.value == key)
    if node.start_mark.index < name.end_mark.index:
        raise CannotEdit(f"its {key} is a reference to another place")


def _refuse_shell(program: str) -> None:
    if program.rpartition("/")[2] in SHELLS:
        raise CannotEdit("its command is a script of a shell")


def _check(before: str, after: str, service: str) -> None:
    """Nothing but the service's command and volumes reads otherwise than before."""
    old, new = yaml_text.load(before), yaml_text.load(after)
    for one in (old, new):
        body = one["services"][service]
        body.pop("command", None)
        body.pop("volumes", None)
    if old != new:
        raise CannotEdit("more than its command would change")


# --- text ------------------------------------------------------------------------------------------


def _line_of(text: str, at: int) -> int:
    """Where the line of an offset begins."""
    return text.rfind("\n", 0, at) + 1


def _line_after(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end + 1


def _lead(text: str, at: int) -> str:
    """The last line of a file may lack its end."""
    return "\n" if at and text[at - 1] != "\n" else ""


def _step(body: Any) -> str:
    """By how much a list is set in below its key, as the file does it elsewhere."""
    for name, value in body.value:
        if _is_list(value) and not value.flow_style:
            set_in: int = value.start_mark.column - name.start_mark.column
            return " " * max(0, set_in)
    return "  "


def _quoted(word: str) -> str:
    """For a list in YAML; Compose reads `$$` as a dollar."""
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$") + '"'
