"""Real repositories with a remote beside them, for tests of what an update would bring."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

IDENTITY = ("-c", "user.name=Operator", "-c", "user.email=operator@example.invalid")


def git(directory: Path, *words: str) -> str:
    """Run git there; what it printed."""
    done = subprocess.run(
        ["git", *IDENTITY, *words], cwd=directory, check=True, capture_output=True, text=True, timeout=30
    )
    return done.stdout.strip()


class Trees:
    """A stack's tree that follows `origin`, and a colleague's clone that pushes to it."""

    def __init__(self, place: Path, files: Mapping[str, str] | None = None) -> None:
        self.origin = place / "origin.git"
        self.colleague = place / "colleague"
        self.tree = place / "shop"
        place.mkdir(parents=True, exist_ok=True)
        git(place, "init", "--quiet", "--bare", "--initial-branch=main", str(self.origin))
        git(place, "clone", "--quiet", str(self.origin), str(self.colleague))
        git(self.colleague, "switch", "--quiet", "--create", "main")
        self.push(files or {"compose.yaml": "services: {}\n"}, "first")
        git(place, "clone", "--quiet", str(self.origin), str(self.tree))

    @classmethod
    def around(cls, tree: Path) -> Trees:
        """Put a directory that is there under git, with all that is in it."""
        made = cls.__new__(cls)
        made.tree = tree
        made.origin = tree.with_name(f"{tree.name}-origin.git")
        made.colleague = tree.with_name(f"{tree.name}-colleague")
        git(tree, "init", "--quiet", "--initial-branch=main")
        git(tree, "add", "--all")
        commit(tree, {}, "first")
        git(tree.parent, "init", "--quiet", "--bare", "--initial-branch=main", str(made.origin))
        git(tree, "remote", "add", "origin", str(made.origin))
        git(tree, "push", "--quiet", "--set-upstream", "origin", "main")
        git(tree.parent, "clone", "--quiet", str(made.origin), str(made.colleague))
        return made

    def push(self, files: Mapping[str, str | None], message: str = "a change") -> str:
        """Commit and push as the colleague; None deletes. The new commit's id."""
        return commit(self.colleague, files, message, push=True)


def commit(tree: Path, files: Mapping[str, str | None], message: str, *, push: bool = False) -> str:
    for name, text in files.items():
        place = tree / name
        if text is None:
            git(tree, "rm", "--quiet", name)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
            git(tree, "add", "--force", name)
    git(tree, "commit", "--quiet", "--allow-empty", "--message", message)
    if push:
        git(tree, "push", "--quiet", "origin", "HEAD")
    return git(tree, "rev-parse", "HEAD")
