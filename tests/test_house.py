"""The rules of the house: imports go down a floor, and clients stay in their rooms."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import opsconsole
from opsconsole import model

ROOT = Path(opsconsole.__file__).parent

FLOORS = {
    "model": 1, "text": 1, "history": 1, "roles": 1, "steps": 1, "durable": 1,
    "log_levels": 1, "log_names": 1, "log_saving": 1, "log_filter": 2, "log_store": 2, "log_index": 2,
    "config": 2, "sources": 2, "programs": 2, "alert_settings": 2, "metrics": 2,
    "stack": 3, "backups": 3,
    "alert_findings": 3, "alert_rules": 3, "alert_services": 3, "alerts": 3, "notifying": 3,
    "alert_happenings": 3, "alert_own_rules": 3, "alert_marks": 3, "alert_telling": 3, "alert_keeper": 3,
    "monitor": 4, "operations": 4, "demo": 4, "applied": 4, "real_sources": 4, "doctor": 4, "schedule": 4,
    "collecting": 4, "alert_keeping": 4, "alert_watch": 4, "alert_events": 4,
    "database_work": 1, "health": 3, "alert_limits": 3, "alert_words": 3,
    "runbook_tasks": 1, "persistence": 4, "maintenance": 4,
    "incident": 3, "incident_room": 4,
    "ui": 5, "commands": 5,
    "run_operation": 6, "cli": 6, "__main__": 7, "__init__": 0,
}  # fmt: skip

ROOMS = {
    "docker": ("sources/",),
    "pymongo": ("sources/", "backups/"),
    "bson": ("sources/", "backups/"),
    "redis": ("sources/", "backups/"),
    "pyrage": ("backups/",),
    "psutil": ("sources/",),
    "httpx": ("sources/",),
    "apprise": ("sources/",),
    "textual": ("ui/",),
}


def modules() -> Iterator[Path]:
    yield from sorted(ROOT.rglob("*.py"))


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything a module imports, in functions and for types too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.lineno, node.module
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def test_every_module_has_a_floor() -> None:
    unknown = {path.relative_to(ROOT).parts[0].removesuffix(".py") for path in modules()} - FLOORS.keys()
    assert not unknown, f"say in FLOORS where these stand: {unknown}"


def test_imports_go_down() -> None:
    wrong = []
    for path in modules():
        here = FLOORS[path.relative_to(ROOT).parts[0].removesuffix(".py")]
        for line, name in imports(path):
            parts = name.split(".")
            if parts[0] == "opsconsole" and len(parts) > 1 and FLOORS.get(parts[1], 0) > here:
                wrong.append(f"{path.relative_to(ROOT)}:{line} imports {name}")
    assert not wrong, "\n".join(wrong)


def test_clients_stay_in_their_rooms() -> None:
    wrong = []
    for path in modules():
        place = path.relative_to(ROOT).as_posix()
        for line, name in imports(path):
            rooms = ROOMS.get(name.split(".")[0])
            if rooms is not None and not place.startswith(rooms):
                wrong.append(f"{place}:{line} imports {name}")
    assert not wrong, "\n".join(wrong)


def test_no_shell_strings_and_no_unfinished_work() -> None:
    wrong = []
    for path in modules():
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if "shell=True" in line or any(word in line for word in ("TODO", "FIXME")):
                wrong.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
    assert not wrong, "\n".join(wrong)


def loaded_by(code: str) -> set[str]:
    """The top-level modules that a fresh interpreter has loaded after running `code`."""
    command = [sys.executable, "-c", f"import sys\n{code}\nprint(*{{name.split('.')[0] for name in sys.modules}})"]
    return set(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.split())


HEAVY = {
    "textual", "rich", "docker", "requests", "pymongo", "redis", "psutil", "httpx", "yaml", "humanize", "apprise",
    "pyrage",
}  # fmt: skip


@pytest.mark.parametrize(
    ("code", "allowed"),
    [
        ("import opsconsole.cli; opsconsole.cli.build_parser().format_help()", set()),
        ("import opsconsole.monitor", set()),
        # The first paint: no client is imported before the screen is there.
        ("import opsconsole.ui.app, opsconsole.ui.panes.overview", {"textual", "rich", "humanize"}),
        (
            "from pathlib import Path\nfrom opsconsole.config import Config\n"
            "from opsconsole.real_sources import real_sources\nreal_sources(Path('.'), Config(), read_only=True)",
            set(),
        ),
    ],
)
def test_nothing_heavy_is_imported_early(code: str, allowed: set[str]) -> None:
    assert not (loaded_by(code) & HEAVY) - allowed


def test_the_ground_floor_has_one_face_and_it_names_all_that_lies_behind() -> None:
    """`opsconsole.model` is what everybody imports; which of its modules a struct stands in is its own affair."""
    assert not (ROOT / "model.py").exists()  # it would be hidden by the package, with all that is written into it
    held = {
        node.name if isinstance(node, ast.ClassDef | ast.FunctionDef) else ast.unparse(node.targets[0])
        for path in (ROOT / "model").glob("*.py")
        if path.name != "__init__.py"
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.Assign)
    }
    assert set(model.__all__) == {name for name in held if not name.startswith("_")}
    outside = {name for path in modules() if path.parent.name != "model" for _, name in imports(path)}
    assert not [name for name in outside if name.startswith("opsconsole.model.") and name.split(".")[2] not in held]
