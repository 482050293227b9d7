"""A console on a stack with two backups, whose plans are only written down: for the tests of what it does with them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from textual.pilot import Pilot

from opsconsole.backups.catalog import Catalog
from opsconsole.backups.progress import Told
from opsconsole.backups.retention import Policy
from opsconsole.model import DatabaseTarget, Snapshot, SourceError
from opsconsole.operations import beginning, requests
from opsconsole.operations.beginning import Begun
from opsconsole.operations.orders import RestoreOrder
from opsconsole.operations.plan import Act, DataEffect, Effect, Kind, Plan, Step
from opsconsole.operations.requests import Request
from opsconsole.operations.site import Site
from opsconsole.ui.app import ConsoleApp
from tests import backup_samples
from tests import ui_sample as sample
from tests.ui_sample import NOW, Feed, text_of, until

OWN, OLDER = "20260301_020000", "mps_backup_20260228_020000.tar.gz"
RESTORE = Plan(
    kind=Kind.RESTORE,
    stack="shop",
    directory="/srv/shop",
    steps=(Step(id="check", title=f"Read every byte of {OWN}", act=Act.CHECK_BACKUP),),
    data=(DataEffect(name="mongodb", what="MongoDB", effect=Effect.REPLACED, database="mongodb"),),
    restore=RestoreOrder(backup=OWN, parts=("mongo",)),
    confirm="shop",
)


class Asked:
    """What plans were asked for, and which were begun; nothing is started."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.requests: list[Request] = []
        self.plans: list[Plan] = []
        patch.setattr(requests, "make_plan", self._make)
        patch.setattr(beginning, "begin", self._begin)

    def _make(self, site: Site, request: Request, told: Told) -> Plan:
        self.requests.append(request)
        return RESTORE

    def _begin(self, site: Site, plan: Plan) -> Begun:
        self.plans.append(plan)
        raise SourceError("not in a test")


def stack_directory(tmp_path: Path) -> Path:
    """Of a stack with a backup of our own and an older one."""
    backup_samples.by_opsconsole(tmp_path / "backups", OWN)
    backup_samples.by_mps(tmp_path / "backups", "20260228_020000")
    return tmp_path


def snapshot_of(directory: Path) -> Snapshot:
    base = sample.well()
    assert base.stack is not None
    target = DatabaseTarget(kind="mongodb", name="mongodb")
    stack = msgspec.structs.replace(
        base.stack, directory=str(directory), backup_directory=str(directory / "backups"), databases=(target,)
    )
    return msgspec.structs.replace(base, stack=stack, backups=catalog().look(stack))


def catalog() -> Catalog:
    return Catalog(clock=lambda: NOW, policy=Policy())


@asynccontextmanager
async def opened(
    directory: Path, size: tuple[int, int] = (120, 40), pane: str = "b", **options: Any
) -> AsyncIterator[tuple[ConsoleApp, Pilot[Any]]]:
    feed = Feed(snapshot_of(directory))
    feed.sources.backups = catalog()
    site = Site(directory=directory)
    app = ConsoleApp(feed, clock=lambda: NOW, site=site, **options)  # type: ignore[arg-type]
    async with app.run_test(size=size) as pilot:
        await until(lambda: app.operating.looked)
        await pilot.press(pane)
        await pilot.pause()
        yield app, pilot
        assert app.faults == []


async def shows(app: ConsoleApp, *texts: str) -> None:
    try:
        await until(lambda: all(text in text_of(app) for text in texts))
    except TimeoutError:
        missing = [text for text in texts if text not in text_of(app)]
        raise AssertionError(f"not on the screen: {missing}\n{text_of(app)}") from None
