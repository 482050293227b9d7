"""Which addresses say whether the stack is well, as this host reaches them."""

from __future__ import annotations

from typing import Any

import pytest

from opsconsole.config.sections import ProbeSection
from opsconsole.model import Container, Endpoint, NetworkAddress
from opsconsole.stack import compose_parse
from opsconsole.stack.address import Neighbourhood
from opsconsole.stack.endpoints import endpoints


def found(containers: tuple[Container, ...] = (), **services: dict[str, Any]) -> list[Endpoint]:
    read = compose_parse.parse({"services": services}, project="shop", directory="/srv/shop")
    return list(endpoints(read, read.services, Neighbourhood(read.services, containers)))


@pytest.mark.parametrize(
    "test",
    [
        ["CMD", "curl", "-f", "http://localhost:3000/api/health"],
        ["CMD-SHELL", "curl -fsS http://localhost:3000/api/health || exit 1"],
        "wget -q -O /dev/null 'http://127.0.0.1:3000/api/health'",
        ["CMD", "wget", "--spider", "http://[::1]:3000/api/health"],
        ["CMD-SHELL", 'curl -f "http://0.0.0.0:${PORT:-3000}/api/health"'],
        ["CMD-SHELL", "curl -f http://web:$PORT/api/health"],
        ["CMD", "node", "-e", "fetch('http://localhost:3000/api/health').then(r => process.exit(!r.ok))"],
    ],
)
def test_a_health_check_over_http_gives_the_address(test: object) -> None:
    web = {"ports": ["127.0.0.1:8080:3000"], "healthcheck": {"test": test}, "environment": {"PORT": "3000"}}
    assert found(web=web) == [
        Endpoint(name="web", url="http://127.0.0.1:8080/api/health", service="web", origin="healthcheck")
    ]


def test_a_health_check_on_a_port_that_is_not_published_needs_the_running_container() -> None:
    web = {"healthcheck": {"test": "curl -f http://localhost/health"}}
    running = Container(
        id="1", name="c", service="web", state="running", networks=(NetworkAddress(network="n", address="172.20.0.9"),)
    )
    assert found(web=web) == []
    assert [one.url for one in found((running,), web=web)] == ["http://172.20.0.9/health"]


def test_without_one_the_published_port_gives_the_base_address() -> None:
    assert [(one.url, one.origin) for one in found(web={"ports": ["9229:9229", "5000:80"]})] == [
        ("http://127.0.0.1:5000/", "published port")
    ]
    assert [one.url for one in found(web={"ports": ["443:443"]})] == ["https://127.0.0.1/"]


@pytest.mark.parametrize(
    "service",
    [
        {"image": "mongo:6", "ports": ["27017:27017"]},
        {"image": "redis:7", "ports": ["8080:6379"]},
        {"image": "postgres:16", "ports": ["5432:5432"]},
        {"image": "app", "ports": ["53:53/udp"]},
        {"image": "app", "expose": ["3000"]},
        {"image": "app", "healthcheck": {"test": "curl http://example.net/health"}},
        {"image": "app", "healthcheck": {"test": ["NONE"]}},
    ],
)
def test_what_speaks_no_http_to_us_is_not_asked(service: dict[str, Any]) -> None:
    assert found(one=service) == []


def test_configured_probes_replace_what_is_found() -> None:
    probe = ProbeSection(url="https://shop.example.net/health/", expect_status=204, timeout_seconds=1)
    read = compose_parse.parse({"services": {"web": {"ports": ["80:80"]}}}, project="shop", directory="/")
    (one,) = endpoints(read, read.services, Neighbourhood(read.services, ()), (probe,))
    assert (one.name, one.expect_status, one.timeout_seconds) == ("shop.example.net/health", 204, 1)
