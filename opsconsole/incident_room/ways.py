"""From a way of the decision matrix to what is asked for: the request whose plan is shown."""

from __future__ import annotations

from opsconsole.backups.naming import LATEST
from opsconsole.incident.recommendation import Way
from opsconsole.operations.orders import RestoreOrder
from opsconsole.operations.requests import Request


def request_of(way: Way) -> Request:
    """Only for a way that has a plan (`way.what`)."""
    if way.what == "restore":
        order = RestoreOrder(backup=way.backup or LATEST, collections=way.collections, parts=way.parts)
        return Request(what="restore", restore=order)
    return Request(what=way.what, services=way.services, to=way.to)
