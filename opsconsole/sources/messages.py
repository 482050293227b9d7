"""Sends one message to somebody else: as JSON to an address, or over Apprise. Neither raises; the answer says why not.

An address may hold a key in its path or its query: what is said of it is its host and nothing else.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from opsconsole import __version__
from opsconsole.sources.network import explain
from opsconsole.text import printable

APPRISE_MISSING = "apprise is not installed: pip install 'opsconsole[apprise]'"
_SUCCESS = range(200, 300)


def post_json(url: str, facts: Mapping[str, object], seconds: float) -> str:
    """POST the facts; follows no redirect. "" when they were taken, else one line why not."""
    import httpx

    place = ""
    try:
        place = place_of(url)
        with (
            httpx.Client(timeout=seconds, follow_redirects=False) as client,
            # Streamed: an answer without an end is not read.
            client.stream("POST", url, json=dict(facts), headers=_HEADERS) as answer,
        ):
            if answer.status_code in _SUCCESS:
                return ""
            return f"{place} answers {answer.status_code} {printable(answer.reason_phrase)}".rstrip()
    except (httpx.InvalidURL, ValueError):
        return "the address of the webhook cannot be used: host or port is malformed"
    except (httpx.HTTPError, OSError) as error:
        return explain(error, "the webhook", place, "").problem


def send_by_apprise(addresses: Sequence[str], title: str, text: str) -> str:
    """One message to all of them. "" when every one was told, else one line why not."""
    if not has_apprise():
        return APPRISE_MISSING
    import apprise

    # Without a handler Python would print what it logs, and that may hold a key.
    logging.getLogger("apprise").addHandler(logging.NullHandler())
    failed = []
    for address in addresses:
        scheme = printable(address.partition("://")[0]) if "://" in address else "an address without ://"
        sender = apprise.Apprise()
        if not sender.add(address):
            failed.append(f"{scheme} (nothing that Apprise knows)")
        elif not sender.notify(body=text, title=title):
            failed.append(scheme)
    return f"apprise did not reach {', '.join(failed)}" if failed else ""


def has_apprise() -> bool:
    """Whether the extra is installed; asking imports nothing."""
    return importlib.util.find_spec("apprise") is not None


def place_of(url: str) -> str:
    """Host and port of an address, without user, path and query. Raises ValueError when it is none."""
    return printable(urlsplit(url).netloc.rpartition("@")[2])


_HEADERS = {"User-Agent": f"opsconsole/{__version__}"}
