"""What lies in `.opsconsole/` besides operations: ticks of the maintenance, the last proof of persistence. The demo has
its own. Everything here reads files: call it on a thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opsconsole.demo import DemoSources

if TYPE_CHECKING:
    from opsconsole.config import Config
    from opsconsole.maintenance.images import Asked
    from opsconsole.maintenance.listing import Keeps
    from opsconsole.persistence.verdict import Verdict
    from opsconsole.ui.app import ConsoleApp


def persistence(app: ConsoleApp) -> Verdict | None:
    """The last verdict of verify-persistence, None when there is none."""
    if (demo := _demo(app)) is not None:
        return demo.persistence
    if app.operating.site is None:
        return None
    from opsconsole.persistence import kept

    return kept.read(app.operating.site.directory)


def images(app: ConsoleApp) -> Asked | None:
    """What registries last said of the images, None when they were not asked."""
    if _demo(app) is not None or app.operating.site is None:
        return None
    from opsconsole.maintenance import images

    return images.read(app.operating.site.directory)


def ledger(app: ConsoleApp) -> Keeps | None:
    """Where ticks are kept; None where there is no stack."""
    if (demo := _demo(app)) is not None:
        return demo.ledger
    if app.operating.site is None:
        return None
    from opsconsole.maintenance.ticks import Ledger

    return Ledger(app.operating.site.directory)


def settings(app: ConsoleApp) -> Config:
    """Of the stack, as they are now. Raises ConfigError."""
    from opsconsole.config import Config

    site = app.operating.site
    return site.config() if site is not None and _demo(app) is None else Config()


def _demo(app: ConsoleApp) -> DemoSources | None:
    sources = app.monitor.sources if app.monitor is not None else None
    return sources if isinstance(sources, DemoSources) else None
