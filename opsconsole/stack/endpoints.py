"""HTTP addresses that say whether the stack is well, as this host reaches them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from opsconsole.config.sections import ProbeSection
from opsconsole.model import Endpoint, Port
from opsconsole.stack.address import Neighbourhood, Place, is_loopback
from opsconsole.stack.plain_file import interpolate
from opsconsole.stack.rendered import Rendered, ServiceConfig

_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[^\]]+\]|[^\s/:'\"`()|;&<>?]+)(?::(?P<port>\d{1,5}))?(?P<path>/[^\s'\"`()|;<>]*)?"
)

# Published TCP ports of programs that speak something else.
_NOT_HTTP = frozenset(
    {21, 22, 23, 25, 53, 110, 143, 389, 465, 587, 636, 993, 995, 1433, 1521, 1883, 2049, 2181, 2222, 3306, 4222, 5044}
    | {5432, 5433, 5671, 5672, 6379, 6380, 6432, 8883, 9042, 9092, 9229, 9300, 11211, 26379, 27017, 27018, 27019}
    | {33060, 61616}
)
_TLS_PORTS = frozenset({443, 8443, 9443})


def endpoints(
    rendered: Rendered, active: Iterable[str], neighbourhood: Neighbourhood, probes: Sequence[ProbeSection] = ()
) -> tuple[Endpoint, ...]:
    """The configured probes; without any, one address for each active service that seems to answer HTTP.

    A health check that asks over HTTP gives the address in full. Else the published port gives the base
    address, and whoever asks it finds out which path answers.
    """
    if probes:
        return tuple(_configured(probe) for probe in probes)
    wanted = set(active)
    found = (
        _of_service(service, neighbourhood)
        for name, service in rendered.services.items()
        if name in wanted and not service.role
    )
    return tuple(endpoint for endpoint in found if endpoint is not None)


def _configured(probe: ProbeSection) -> Endpoint:
    return Endpoint(
        name=probe.name or re.sub(r"^https?://", "", probe.url).rstrip("/"),
        url=probe.url,
        origin="config",
        expect_status=probe.expect_status,
        timeout_seconds=probe.timeout_seconds,
    )


def _of_service(service: ServiceConfig, neighbourhood: Neighbourhood) -> Endpoint | None:
    for scheme, port, path in health_urls(service):
        place = neighbourhood.service_place(service.name, port)
        if place.host:
            url = _url(scheme, place, path)
            return Endpoint(name=service.name, url=url, service=service.name, origin="healthcheck")
    for target in sorted(published(service.ports), key=lambda port: port not in (80, 443, 8080, 3000)):
        place = neighbourhood.service_place(service.name, target)
        if place.host:
            scheme = "https" if target in _TLS_PORTS else "http"
            return Endpoint(
                name=service.name, url=_url(scheme, place, "/"), service=service.name, origin="published port"
            )
    return None


def health_urls(service: ServiceConfig) -> list[tuple[str, int, str]]:
    """(scheme, container port, path) of each address of its own that a service's health check asks."""
    text = interpolate(" ".join(service.health_test[1:]), service.environment, [])
    found = []
    for match in _URL.finditer(text):
        host = match["host"].strip("[]")
        if is_loopback(host) or host.lower() in (service.name.lower(), service.hostname.lower()):
            scheme = match["scheme"]
            port = int(match["port"] or (443 if scheme == "https" else 80))
            found.append((scheme, port, match["path"] or "/"))
    return found


def published(ports: Iterable[Port]) -> list[int]:
    """Container ports that are published over TCP and may speak HTTP."""
    found = (port.container_port for port in ports if port.protocol == "tcp" and port.host_address)
    return [port for port in dict.fromkeys(found) if port not in _NOT_HTTP]


def _url(scheme: str, place: Place, path: str) -> str:
    host = f"[{place.host}]" if ":" in place.host else place.host
    usual = 443 if scheme == "https" else 80
    return f"{scheme}://{host}{'' if place.port == usual else f':{place.port}'}{path}"
