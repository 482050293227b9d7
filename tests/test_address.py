"""URIs that a container uses, said so that this host reaches the same server."""

from __future__ import annotations

import pymongo
import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.connection import parse_url
from rich.pretty import pretty_repr

from opsconsole.model import Container, NetworkAddress, Port
from opsconsole.stack.address import Neighbourhood, translate
from opsconsole.stack.rendered import ServiceConfig
from opsconsole.stack.uri import Uri, parse_uri

EASY = st.text(alphabet="abcXYZ019", min_size=1, max_size=8)
ANY = st.text(alphabet=st.characters(blacklist_categories=("Cs", "Cc")), max_size=12)


def container(service: str, *, port: int = 27017, host_port: int | None = None, **more: object) -> Container:
    facts: dict[str, object] = {
        "id": f"id-{service}",
        "name": f"shop-{service}-1",
        "service": service,
        "state": "running",
        "ports": (Port(container_port=port, host_address="127.0.0.1" if host_port else "", host_port=host_port),),
        "networks": (NetworkAddress(network="shop_default", address="172.20.0.5"),),
    }
    return Container(**{**facts, **more})  # type: ignore[arg-type]


def shop(*containers: Container, **services: ServiceConfig) -> Neighbourhood:
    known = {one.service: ServiceConfig(name=one.service) for one in containers}
    return Neighbourhood({**known, **services}, containers)


def reached(text: str, neighbourhood: Neighbourhood, asker: str = "") -> list[str]:
    uri = parse_uri(text)
    assert uri is not None
    return [one.uri.text() for one in translate(uri, neighbourhood, asker)]


# --- taking apart and putting together -------------------------------------------------------------


@given(user=EASY, password=ANY, database=EASY, port=st.integers(1, 65535))
def test_any_password_survives_the_way_to_the_mongodb_driver(
    user: str, password: str, database: str, port: int
) -> None:
    uri = Uri(scheme="mongodb", user=user, password=password or "x", hosts=(("h", port),), path=database)
    read = pymongo.uri_parser.parse_uri(uri.text())
    assert (read["username"], read["password"], read["database"]) == (user, password or "x", database)
    assert read["nodelist"] == [("h", port)]
    assert parse_uri(uri.text()) == uri


@given(password=ANY)
def test_any_password_survives_the_way_to_the_redis_client(password: str) -> None:
    uri = Uri(scheme="redis", password=password or "x", hosts=(("h", 6379),), path="3")
    read = parse_url(uri.text())
    assert (read["password"], read["db"], read["host"]) == (password or "x", 3, "h")


@pytest.mark.parametrize("password", ["p@ss", "a:b", "p%40", "50%", "a/b", "ü€", "p@ss/w:rd?"])
def test_a_password_that_was_not_escaped_is_understood(password: str) -> None:
    uri = parse_uri(f"mongodb://admin:{password}@db:27017/shop?authSource=admin")
    assert uri is not None
    assert uri.password == ("p@" if password == "p%40" else password)
    assert (uri.hosts, uri.path, uri.options) == ((("db", 27017),), "shop", (("authSource", "admin"),))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "postgres://a/b",
        "mongodb://",
        "redis://",
        "mongodb://h:port/x",
        "not a uri",
        "mongodb://a b/c",
        "redis://h:99999",
    ],
)
def test_what_is_no_database_uri_is_none(text: str) -> None:
    assert parse_uri(text) is None


@given(ANY)
def test_no_text_breaks_the_parser(text: str) -> None:
    for scheme in ("mongodb", "redis", "unix"):
        if (uri := parse_uri(f"{scheme}://{text}")) is not None:
            uri.text()


def test_an_ipv6_address_keeps_its_brackets() -> None:
    uri = parse_uri("mongodb://[fd00::1]:27017,[::1]/x")
    assert uri is not None
    assert uri.hosts == (("fd00::1", 27017), ("::1", 0))
    assert uri.text() == "mongodb://[fd00::1]:27017,[::1]/x"


def test_a_password_is_in_no_text_form() -> None:
    uri = parse_uri("mongodb://admin:hunter2@db/x")
    assert "hunter2" not in f"{uri} {uri!r} {[uri]} {pretty_repr(uri)}"


# --- translating -----------------------------------------------------------------------------------


def test_a_service_name_becomes_its_published_port() -> None:
    stack = shop(container("mongodb", host_port=27117))
    assert reached("mongodb://u:p@mongodb:27017/shop?authSource=admin", stack, "backend") == [
        "mongodb://u:p@127.0.0.1:27117/shop?authSource=admin&directConnection=true"
    ]


@pytest.mark.parametrize("name", ["mongodb", "MongoDB", "shop-mongodb-1", "mps-mongodb-dev", "db-host", "data"])
def test_every_name_of_a_container_means_it(name: str) -> None:
    service = ServiceConfig(name="mongodb", container_name="mps-mongodb-dev", hostname="db-host", aliases=("data",))
    stack = shop(container("mongodb", host_port=27117), mongodb=service)
    assert reached(f"mongodb://{name}", stack, "backend") == ["mongodb://127.0.0.1:27117/?directConnection=true"]


def test_without_a_published_port_it_is_the_containers_own_address() -> None:
    assert reached("redis://:pw@redis:6379/1", shop(container("redis", port=6379)), "backend") == [
        "redis://:pw@172.20.0.5:6379/1"
    ]


def test_a_port_published_to_one_address_is_reached_there() -> None:
    port = Port(container_port=6379, host_address="10.0.0.7", host_port=6399)
    assert reached("redis://redis", shop(container("redis", ports=(port,)))) == ["redis://10.0.0.7:6399"]


def test_a_port_published_everywhere_is_reached_on_this_host() -> None:
    ports = (
        Port(container_port=6379, host_address="::", host_port=6399),
        Port(container_port=6379, host_address="0.0.0.0", host_port=6399),
    )
    assert reached("redis://redis", shop(container("redis", ports=ports))) == ["redis://127.0.0.1:6399"]


@pytest.mark.parametrize("name", ["host.docker.internal", "gateway.docker.internal"])
def test_the_name_of_the_host_is_this_host(name: str) -> None:
    assert reached(f"mongodb://{name}:27017/thynk", shop(), "backend") == [
        "mongodb://127.0.0.1:27017/thynk?directConnection=true"
    ]


def test_extra_hosts_are_followed() -> None:
    backend = ServiceConfig(name="backend", extra_hosts={"db": "host-gateway", "far": "10.1.2.3"})
    stack = shop(backend=backend)
    assert reached("redis://db", stack, "backend") == ["redis://127.0.0.1:6379"]
    assert reached("redis://far:7000", stack, "backend") == ["redis://10.1.2.3:7000"]
    assert reached("redis://far:7000", stack) == ["redis://far:7000"]


def test_localhost_is_this_host_in_the_env_file_and_the_container_in_a_container() -> None:
    stack = shop(container("all-in-one", host_port=27999))
    assert reached("mongodb://localhost/x", stack) == ["mongodb://127.0.0.1:27017/x?directConnection=true"]
    assert reached("mongodb://localhost/x", stack, "all-in-one") == [
        "mongodb://127.0.0.1:27999/x?directConnection=true"
    ]


def test_localhost_of_a_service_on_the_hosts_network_is_this_host() -> None:
    stack = shop(backend=ServiceConfig(name="backend", network_mode="host"))
    assert reached("redis://localhost:6380", stack, "backend") == ["redis://127.0.0.1:6380"]


def test_localhost_of_a_service_in_anothers_network_is_that_other() -> None:
    backend = ServiceConfig(name="backend", network_mode="service:redis")
    stack = shop(container("redis", port=6379, host_port=6400), backend=backend)
    assert reached("redis://localhost", stack, "backend") == ["redis://127.0.0.1:6400"]


def test_a_port_of_this_host_that_a_service_publishes_is_that_service() -> None:
    stack = shop(container("mongodb", host_port=27117))
    uri = parse_uri("mongodb://localhost:27117/x")
    assert uri is not None
    assert translate(uri, stack)[0].place.service == "mongodb"


def test_a_seed_list_of_containers_becomes_direct_connections() -> None:
    stack = shop(container("m1", host_port=27101), container("m2", host_port=27102))
    assert reached("mongodb://u:p@m1:27017,m2:27017/shop?replicaSet=rs0&w=majority", stack, "backend") == [
        "mongodb://u:p@127.0.0.1:27101/shop?w=majority&directConnection=true",
        "mongodb://u:p@127.0.0.1:27102/shop?w=majority&directConnection=true",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "mongodb+srv://u:p@cluster0.example.net/shop?retryWrites=true",
        "mongodb://a.example.net:27017,b.example.net:27018/shop?replicaSet=rs0",
        "rediss://default:pw@redis.example.net:6380/0",
        "mongodb://%2Ftmp%2Fmongodb-27017.sock/shop",
        "unix:///var/run/redis.sock?db=2",
    ],
)
def test_servers_elsewhere_and_sockets_stay_as_they_are(text: str) -> None:
    assert reached(text, shop(container("mongodb")), "backend") == [text]


def test_a_service_that_does_not_run_has_no_address_and_says_so() -> None:
    stack = shop(container("mongodb", state="exited", networks=(), ports=()))
    place = stack.place("mongodb", 27017, "backend")
    assert (place.host, place.service) == ("", "mongodb")
    assert place.problem == "no container of service mongodb is running and it publishes no port"


def test_a_running_service_without_a_network_says_how_to_reach_it() -> None:
    place = shop(container("mongodb", networks=(), ports=())).place("mongodb", 27017)
    assert place.problem == "service mongodb has no address that this host reaches"
    assert "127.0.0.1:27017:27017" in place.hint
