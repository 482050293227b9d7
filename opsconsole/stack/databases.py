"""Which database servers the stack uses and how this host logs in to them.

What is known comes from four places: `opsconsole.toml`, the services that run a database, the env file, and
the environment of the other services. Several of them usually mean the same server; they become one target
with the best credentials first and the others kept for the case that those are refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from opsconsole.config import Config
from opsconsole.model import DatabaseTarget
from opsconsole.roles import DEFAULT_PORTS, MONGODB, REDIS
from opsconsole.sources.connection import Connection
from opsconsole.stack import credentials
from opsconsole.stack.address import Neighbourhood, Place, translate
from opsconsole.stack.rendered import Rendered, ServiceConfig
from opsconsole.stack.uri import Uri, parse_uri
from opsconsole.text import mask_text

CONFIGURED, ADMINISTRATOR, APPLICATION, NOBODY = range(4)
"""How good credentials are, best first: chosen by the operator, the server's own administrator, an application's
user, none at all."""


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """One hint at a server."""

    uri: Uri
    place: Place
    rank: int
    origin: str
    database: str = ""

    def __repr__(self) -> str:
        return f"Candidate({self.uri.kind} {self.origin})"


def connections(
    rendered: Rendered,
    active: Iterable[str],
    variables: Mapping[str, str],
    config: Config,
    neighbourhood: Neighbourhood,
    *,
    env_file: str = "",
    surroundings: Mapping[str, str] | None = None,
    running: Mapping[str, Mapping[str, str]] | None = None,
) -> tuple[Connection, ...]:
    """Every server once: those of the stack's services first, in the order of the compose file.

    `active` are the services in use, `variables` the values of the env file, `surroundings` the environment
    of this process, in which `uri_env` is looked up first, `running` the environment that the containers of
    database services were started with, by service: a password that has been changed in a file since is not
    the one that the server knows.
    """
    found: list[Candidate] = []
    for kind, enabled, configured in _configured(config, {**variables, **(surroundings or {})}):
        if not enabled:
            continue
        if configured is not None:
            text, origin = configured
            found += _from_text(text, kind, CONFIGURED, origin, neighbourhood)
            continue
        hints = _hints(rendered, set(active), variables, neighbourhood, Path(env_file).name, running or {})
        found += [candidate for candidate in hints if candidate.uri.kind == kind]
    return _merged(found)


def _configured(config: Config, known: Mapping[str, str]) -> Iterator[tuple[str, bool, tuple[str, str] | None]]:
    """Kind, whether it is wanted, and (address, origin) when `opsconsole.toml` names one."""
    for kind, enabled, address, variable, key in (
        (MONGODB, config.mongodb.enabled, config.mongodb.uri, config.mongodb.uri_env, "mongodb.uri"),
        (REDIS, config.redis.enabled, config.redis.url, config.redis.url_env, "redis.url"),
    ):
        if variable and known.get(variable):
            yield kind, enabled, (known[variable], f"{variable}, named in opsconsole.toml")
        elif address:
            yield kind, enabled, (address, f"{key} in opsconsole.toml")
        else:
            yield kind, enabled, None


def _hints(
    rendered: Rendered,
    active: set[str],
    variables: Mapping[str, str],
    neighbourhood: Neighbourhood,
    env_name: str,
    running: Mapping[str, Mapping[str, str]],
) -> list[Candidate]:
    found: list[Candidate] = []
    services = [service for name, service in rendered.services.items() if name in active]
    for service in services:
        if service.role:
            found.append(_of_service(service, rendered, neighbourhood))
            if environment := running.get(service.name):
                started = msgspec.structs.replace(service, environment=dict(environment))
                found.append(_of_service(started, rendered, neighbourhood))
    found += _from_variables(variables, neighbourhood, lambda name: f"{name} in {env_name}")
    for service in services:
        origin = _origin_of(service.name)
        for candidate in _from_variables(service.environment, neighbourhood, origin, service.name):
            # An application's own localhost is a copy of the host's env file, or nothing at all.
            if candidate.place.service != service.name or service.role:
                found.append(candidate)
    return found


def _origin_of(service: str) -> Callable[[str], str]:
    return lambda name: f"{name} of service {service}"


# --- from variables --------------------------------------------------------------------------------

_FAMILY = re.compile(r"^(?P<prefix>\w*?)(?P<kind>MONGO(?:DB)?|REDIS)_HOST(?:NAME)?$")
_BARE_ADDRESS = re.compile(r"^[\w.-]+:\d{1,5}$")
_ADDRESS_NAME = re.compile(r"REDIS_(?:URL|URI|ADDRESS|ADDR)$")


def _from_variables(
    variables: Mapping[str, str], neighbourhood: Neighbourhood, origin: Callable[[str], str], asker: str = ""
) -> Iterator[Candidate]:
    """Every variable whose value is a database URI, and families such as REDIS_HOST, REDIS_PORT, REDIS_PASSWORD."""
    for name, value in variables.items():
        text = value.strip().strip("'\"")
        if _ADDRESS_NAME.search(name) and _BARE_ADDRESS.match(text):
            text = f"redis://{text}"
        if uri := parse_uri(text):
            yield from _candidates(uri, origin(name), neighbourhood, asker)
        elif (family := _FAMILY.match(name)) and text and not re.search(r"[\s/@,]", text):
            yield from _candidates(_family_uri(family, text, variables), origin(name), neighbourhood, asker)


def _family_uri(family: re.Match[str], host: str, variables: Mapping[str, str]) -> Uri:
    """The URI that `REDIS_HOST` and its siblings describe."""
    stem = f"{family['prefix']}{family['kind']}_"

    def sibling(*names: str) -> str:
        return next((variables[stem + name] for name in names if variables.get(stem + name)), "")

    name, _, own_port = host.partition(":")
    port = sibling("PORT") or own_port
    redis = family["kind"] == "REDIS"
    password = sibling("PASSWORD", "PASS", "PWD")
    user = sibling("USERNAME", "USER")
    database = sibling("DB", "DATABASE") if redis else sibling("DATABASE", "DB", "DB_NAME", "DBNAME", "NAME")
    source = sibling("AUTH_SOURCE", "AUTHSOURCE")
    return Uri(
        scheme="redis" if redis else "mongodb",
        user=user if password else "",
        password=password or None,
        hosts=((name, int(port) if port.isdigit() and 0 < int(port) < 65536 else 0),),
        path=database,
        options=(("authSource", source),) if source and not redis else (),
    )


def _from_text(text: str, kind: str, rank: int, origin: str, neighbourhood: Neighbourhood) -> list[Candidate]:
    uri = parse_uri(text)
    if uri is None or uri.kind != kind:
        scheme = "mongodb" if kind == MONGODB else "redis"
        problem = f"{origin} is not a {scheme}:// address"
        place = Place(problem=problem, hint="correct it, or leave the key out to use what is found")
        return [Candidate(uri=Uri(scheme=scheme), place=place, rank=rank, origin=origin)]
    found = _candidates(uri, origin, neighbourhood, "")
    return [msgspec.structs.replace(candidate, rank=rank) for candidate in found]


def _candidates(uri: Uri, origin: str, neighbourhood: Neighbourhood, asker: str) -> Iterator[Candidate]:
    rank = APPLICATION if uri.has_credentials else NOBODY
    for reached in translate(uri, neighbourhood, asker):
        yield Candidate(uri=reached.uri, place=reached.place, rank=rank, origin=origin, database=uri.database)


# --- from a service that runs a database -----------------------------------------------------------

_APPLICATION_DATABASES = ("MONGO_INITDB_DATABASE", "MONGODB_INITDB_DATABASE", "MONGODB_DATABASE")


def _of_service(service: ServiceConfig, rendered: Rendered, neighbourhood: Neighbourhood) -> Candidate:
    line = credentials.server_words(service)
    port = credentials.option(line, "--port")
    place = neighbourhood.service_place(
        service.name, int(port) if port.isdigit() and 0 < int(port) < 65536 else DEFAULT_PORTS[service.role]
    )
    hosts = ((place.host, place.port),)
    database = ""
    if service.role == MONGODB:
        user, password = credentials.administrator(service, rendered)
        database = next(
            (service.environment[name] for name in _APPLICATION_DATABASES if service.environment.get(name)), ""
        )
        options = (
            (("authSource", "admin"), ("directConnection", "true")) if password else (("directConnection", "true"),)
        )
        uri = Uri(scheme="mongodb", user=user, password=password or None, hosts=hosts, options=options)
    else:
        password = credentials.redis_password(service, rendered)
        uri = Uri(scheme="redis", password=password or None, hosts=hosts)
    rank = ADMINISTRATOR if password else NOBODY
    return Candidate(uri=uri, place=place, rank=rank, origin=f"service {service.name}", database=database)


# --- one target for each server --------------------------------------------------------------------


def _merged(candidates: list[Candidate]) -> tuple[Connection, ...]:
    servers: dict[tuple[str, str, int], list[Candidate]] = {}
    for candidate in candidates:
        place = candidate.place
        key = (place.service or place.host.lower(), 0 if place.service and not place.host else place.port)
        servers.setdefault((candidate.uri.kind, *key), []).append(candidate)
    taken: set[tuple[str, str]] = set()
    return tuple(_connection(found, taken) for found in servers.values())


def _connection(found: list[Candidate], taken: set[tuple[str, str]]) -> Connection:
    # Among equals the application's own address wins: it carries the options (TLS, compression) that work.
    ordered = sorted(found, key=lambda one: (one.rank, one.origin.startswith("service ")))
    best = ordered[0]
    place, kind = best.place, best.uri.kind
    texts = list(dict.fromkeys(one.uri.text() for one in ordered))
    database = next((one.database for one in ordered if one.database), "")
    target = DatabaseTarget(
        kind=kind,
        name=_name(kind, place, taken),
        service=place.service,
        database=database,
        address="" if place.problem else mask_text(best.uri.text()),
        origin=found[0].origin,
    )
    if place.problem:
        return Connection(target=target, problem=place.problem, hint=place.hint)
    return Connection(target=target, uri=texts[0], others=tuple(texts[1:]))


def _name(kind: str, place: Place, taken: set[tuple[str, str]]) -> str:
    """A name of its own: histories and panes tell servers apart by it."""
    wanted = place.service or ("host" if place.local or not place.host else place.host)
    name = wanted
    if (kind, name) in taken and place.port:
        name = f"{wanted}:{place.port}"
    number = 2
    while (kind, name) in taken:
        name, number = f"{wanted} ({number})", number + 1
    taken.add((kind, name))
    return name
