"""What it takes to make a standalone MongoDB a replica set of one node, so that seconds can be restored.

The guide is text, with the exact lines for the server at hand: for a server on the host, and where the compose file
cannot be changed by us with certainty. Pure.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from opsconsole.model import Record
from opsconsole.text import printable

NAME = "rs0"
KEY_FILE = "mongo-keyfile"
_IN_CONTAINER = f"/etc/{KEY_FILE}"
_USER_OF_IMAGE = "999:999"  # mongodb in the official image
_SHELLS = ("sh", "bash", "ash")
_ENTRYPOINTS = ("docker-entrypoint.sh", "entrypoint.sh")


class Address(Record, frozen=True):
    """How somebody reaches the server today, without user and password."""

    where: str  # "MONGODB_URI in .env", for the operator to find it
    host: str
    port: int = 27017
    options: tuple[tuple[str, str], ...] = ()
    inside: bool = True  # said by a container; else by this host


class Standalone(Record, frozen=True):
    """A server that is no replica set yet."""

    service: str = ""  # of the stack; "" for a mongod on the host
    host: str = ""  # the name by which the containers of the stack reach the service; "" is that of the service
    command: tuple[str, ...] = ()  # as its container is started; () for what the image does by itself
    port: int = 27017  # where it listens itself
    auth: bool = False
    tls: bool = False
    compose: str = "docker compose"
    compose_file: str = "compose.yaml"
    addresses: tuple[Address, ...] = ()


class GuideStep(Record, frozen=True):
    """One thing to do, and the lines to type or to write; comments where they begin with #."""

    what: str
    lines: tuple[str, ...] = ()


def guide(server: Standalone) -> tuple[GuideStep, ...]:
    """The steps, in their order. Data stays where it is; the server is away for as long as it takes to start."""
    steps = [
        GuideStep(
            what="Take a full backup. Nothing below touches the data, and you will be glad of it if a line goes wrong.",
            lines=("opsconsole backup create",),
        )
    ]
    steps += _in_compose(server) if server.service else _on_host(server)
    steps.append(_initiate(server))
    steps += _addresses(server)
    steps.append(
        GuideStep(
            what="Take a full backup: ranges begin with it. From then on incremental backups save every change. "
            "The oplog takes 5 % of the disk (at least 990 MB): it has to hold more than what is written between two.",
            lines=("opsconsole backup create", "opsconsole backup create --incremental"),
        )
    )
    steps.append(
        GuideStep(
            what="The way back: take the lines out again and restart. It is a standalone one then, with the same data."
        )
    )
    return tuple(steps)


def member(server: Standalone) -> str:
    """The name by which the set knows its only member: drivers connect to it whatever the address says.

    In a stack every container reaches a service by its name. A server on the host goes by the name that containers
    use, where they do.
    """
    if server.service:
        return f"{server.host or server.service}:{server.port}"
    inside = [one for one in server.addresses if one.inside]
    return f"{inside[0].host if inside else '127.0.0.1'}:{server.port}"


def why_by_hand(entrypoint: Sequence[str], command: Sequence[str], tls: str, name: str) -> str:
    """Why options at the end of a container's command may not be what makes its server a member; "" when they are.

    `tls` is the mode of its TLS, `name` the host by which the set would know it.
    """
    if tls:
        return f"it speaks TLS ({tls}), and whether its certificate has the name {name} is not looked at"
    words = (*entrypoint, *command)
    # The official image and those that follow it put mongod in front of a command that begins with an option.
    adds = bool(command) and command[0].startswith("-") and words[0].rpartition("/")[2] in _ENTRYPOINTS
    if not adds and not any(word.rpartition("/")[2] == "mongod" for word in words):
        said = " ".join(words[:2]) or "what its image says"
        return f"it is started by {said}, and whether that hands options on to mongod is not known"
    return ""


def text(steps: Sequence[GuideStep]) -> str:
    """The guide as it is printed."""
    lines: list[str] = []
    for number, step in enumerate(steps, 1):
        lines += [f"{number}. {step.what}", *(f"       {line}" for line in step.lines), ""]
    return "\n".join(printable(line) for line in lines)


# --- steps -----------------------------------------------------------------------------------------


def _in_compose(server: Standalone) -> list[GuideStep]:
    steps = []
    if server.auth:
        steps.append(
            GuideStep(
                what="Members of a set with passwords prove themselves with a key. Make one beside the compose file; "
                f"it is a secret: keep it out of git. ({_USER_OF_IMAGE} is the server's user in the official image.)",
                lines=(
                    f"(umask 077; openssl rand -base64 756 > {KEY_FILE})",
                    f"chmod 400 {KEY_FILE} && sudo chown {_USER_OF_IMAGE} {KEY_FILE}",
                    f"echo {KEY_FILE} >> .gitignore",
                ),
            )
        )
    steps.append(
        GuideStep(what=f"In {server.compose_file}, at the service {server.service}:", lines=_compose_lines(server))
    )
    steps.append(
        GuideStep(
            what="Start it anew. Until the next step is done applications cannot write.",
            lines=(f"{server.compose} up -d --no-deps {server.service}",),
        )
    )
    return steps


def _compose_lines(server: Standalone) -> tuple[str, ...]:
    wanted = ["--replSet", NAME, *(["--keyFile", _IN_CONTAINER] if server.auth else [])]
    command = server.command or ("mongod",)
    volume = ["volumes:  # one more", f"  - ./{KEY_FILE}:{_IN_CONTAINER}:ro"] if server.auth else []
    if command[0].rpartition("/")[2] in _SHELLS:
        return (f"# in its command, behind mongod: {' '.join(wanted)}", *volume)
    if command[0].startswith("-"):
        command = ("mongod", *command)
    words = [*_without(command, ("--replSet", "--keyFile")), *wanted]
    if not any(word.split("=")[0] in ("--bind_ip", "--bind_ip_all") for word in words):
        words.append("--bind_ip_all")
    return (f"command: [{', '.join(_quoted(word) for word in words)}]", *volume)


def _on_host(server: Standalone) -> list[GuideStep]:
    steps = []
    config = ["replication:", f"  replSetName: {NAME}"]
    if server.auth:
        key = f"/etc/{KEY_FILE}"
        steps.append(
            GuideStep(
                what="Members of a set with passwords prove themselves with a key. Make one.",
                lines=(
                    f"sudo sh -c 'umask 077; openssl rand -base64 756 > {key}'",
                    f"sudo chown mongodb:mongodb {key}   # mongod:mongod on Red Hat",
                ),
            )
        )
        config += ["security:  # where that section is there already, only the second line", f"  keyFile: {key}"]
    host = member(server).rpartition(":")[0]
    if host not in ("127.0.0.1", "localhost"):
        steps.append(
            GuideStep(
                what=f"Containers reach it as {host}; this host has to know that name too.",
                lines=(f"echo '127.0.0.1 {host}' | sudo tee -a /etc/hosts",),
            )
        )
    steps.append(GuideStep(what="In /etc/mongod.conf:", lines=tuple(config)))
    steps.append(
        GuideStep(
            what="Start it anew. Until the next step is done applications cannot write.",
            lines=("sudo systemctl restart mongod",),
        )
    )
    return steps


def _initiate(server: Standalone) -> GuideStep:
    config = f'rs.initiate({{_id: "{NAME}", members: [{{_id: 0, host: "{member(server)}"}}]}})'
    inside = f"{server.compose} exec {server.service} " if server.service else ""
    login = " -u root -p --authenticationDatabase admin" if server.auth else ""
    asks = " It asks for the password; put your administrator's name for root." if server.auth else ""
    tls = " --tls --tlsCAFile CA.pem" if server.tls else ""
    if server.tls:
        asks += (
            f" It speaks TLS: its certificate has to have the name {member(server).rpartition(':')[0]} "
            "(subjectAltName), or it does not find itself."
        )
    return GuideStep(
        what=f"Make it the only member of its set.{asks}",
        lines=(f"{inside}mongosh --quiet --port {server.port}{tls}{login} --eval {shlex.quote(config)}",),
    )


def address_lines(server: Standalone) -> tuple[str, ...]:
    """What becomes of the addresses: a driver that finds a set goes on with the member's own name."""
    host = member(server).rpartition(":")[0].lower()
    lines = []
    for one in server.addresses:
        options = {name.lower(): value for name, value in one.options}
        if options.get("directconnection", "").lower() == "true" or options.get("replicaset") == NAME:
            continue
        if one.host.lower() == host:
            lines.append(f"{one.where}: works as it is; with replicaSet={NAME} it also waits out a restart")
        else:
            why = f"{one.host} is not the name of the member"
            lines.append(f"{one.where}: add directConnection=true ({why}, which may not be known there)")
        if other := options.get("replicaset"):
            lines.append(f"{one.where}: replicaSet={other} has to become replicaSet={NAME}")
    return tuple(lines)


def _addresses(server: Standalone) -> list[GuideStep]:
    lines = tuple(f"# {line}" for line in address_lines(server))
    if not lines:
        return []
    return [
        GuideStep(
            what="Addresses: most drivers look for the set's member by its own name, whatever address they were given. "
            "Options follow a ? in the address, further ones an &.",
            lines=lines,
        )
    ]


def _without(words: Sequence[str], options: Sequence[str]) -> list[str]:
    """The words but for these options and their values."""
    kept: list[str] = []
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word in options:
            skip = True
        elif word.split("=")[0] not in options:
            kept.append(word)
    return kept


def _quoted(word: str) -> str:
    """For a list in YAML; Compose reads `$$` as a dollar."""
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$") + '"'
