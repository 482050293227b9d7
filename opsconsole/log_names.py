"""How the containers of a log are called. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from opsconsole.model import Container


def service_of(container: Container) -> str:
    """The service, or the container's own name when Compose did not make it."""
    return container.service or container.name


def labels_of(containers: Sequence[Container]) -> dict[str, str]:
    """What stands in front of each container's lines, by id: its service, with a number where there are several."""
    pairs = {(service_of(each), each.number) for each in containers}
    numbers = Counter(service for service, _ in pairs)
    return {each.id: f"{name}-{each.number}" if numbers[name := service_of(each)] > 1 else name for each in containers}
