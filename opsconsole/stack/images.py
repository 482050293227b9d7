"""What the image names point at now, so that a newer image under the same name is noticed."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping

SPACING_SECONDS = 60.0
TIMEOUT_SECONDS = 5.0


class TaggedImages:
    """Image ids by `name:tag`, asked of the engine once a minute. {} when it does not answer: nothing is claimed."""

    def __init__(self, environment: Mapping[str, str], clock: Callable[[], float] = time.monotonic) -> None:
        self._environment = environment
        self._clock = clock
        self._ids: dict[str, str] = {}
        self._asked_at: float | None = None

    def look(self) -> dict[str, str]:
        """The same dict until something has changed."""
        now = self._clock()
        if self._asked_at is None or now - self._asked_at >= SPACING_SECONDS:
            self._asked_at = now
            ids = _ask(self._environment)
            if ids != self._ids:
                self._ids = ids
        return self._ids


def full_name(image: str) -> str:
    """`mongo` -> `mongo:latest`, without Docker Hub's own prefix. A name with a digest stays: it cannot move."""
    image = image.removeprefix("docker.io/").removeprefix("library/")
    return image if "@" in image or ":" in image.rsplit("/", 1)[-1] or not image else f"{image}:latest"


def _ask(environment: Mapping[str, str]) -> dict[str, str]:
    docker = shutil.which("docker", path=environment.get("PATH"))
    if docker is None:
        return {}
    try:
        answer = subprocess.run(
            [docker, "image", "ls", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}"],
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return {}
    pairs = (line.partition(" ") for line in answer.stdout.splitlines())
    return {full_name(name): image_id for name, _, image_id in pairs if image_id.startswith("sha256:")}
