"""What went wrong between us and the engine, in one line, and what the operator can do about it."""

from __future__ import annotations

import grp
import os
import pwd
import socket
from collections.abc import Iterator

from opsconsole.model import SourceError
from opsconsole.sources.engine_address import Address
from opsconsole.text import mask_text, printable


class ContainerGone(SourceError):
    """The container asked for does not exist (any more)."""

    def __init__(self) -> None:
        super().__init__("That container no longer exists", "It was removed or recreated; choose it again in the list")


class EngineRefused(SourceError):
    """The engine answered, and the answer was no. The connection is sound."""


class ConnectionLost(SourceError):
    """The engine ended the connection: it was stopped, or it dropped one that had been idle."""


def refusal(explanation: str) -> EngineRefused:
    return EngineRefused(f"The engine refused: {_one_line(explanation)}", "The engine's log: `journalctl -u docker`")


def explain(error: BaseException, address: Address, timeout: float) -> SourceError:
    """The SourceError for anything that docker, requests or the operating system raised."""
    causes = list(_causes(error))
    if any(type(cause).__name__ == "BadStatusLine" for cause in causes):
        return _no_engine(address, "it does not speak HTTP")
    for explanation in (_explain_tls, _explain_socket, _explain_network):
        if found := explanation(causes, address):
            return found
    if any(isinstance(cause, TimeoutError) or "Timeout" in type(cause).__name__ for cause in causes):
        return SourceError(
            f"The engine at {address.shown} did not answer within {timeout:g} s",
            "It is overloaded or hangs: look at `journalctl -u docker` and at the load of the host",
        )
    if any(isinstance(cause, ConnectionError) for cause in causes) or _is_broken_answer(causes):
        return ConnectionLost(
            f"The engine at {address.shown} ended the connection",
            "It was stopped or restarted: `systemctl status docker`",
        )
    return _explain_answer(error, causes, address)


def too_old(address: Address, api_version: str, needed: str) -> SourceError:
    """The engine speaks an older API than we can."""
    return SourceError(
        f"The engine at {address.shown} speaks API {api_version}; {needed} (Docker Engine 20.10) or newer is needed",
        "Upgrade Docker on that server",
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and everything behind it; urllib3 and requests hide the cause in `reason` and `args`."""
    waiting: list[object] = [error]
    seen: set[int] = set()
    while waiting:
        cause = waiting.pop(0)
        if not isinstance(cause, BaseException) or id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        waiting += [cause.__cause__, cause.__context__, getattr(cause, "reason", None), *cause.args]


def _explain_tls(causes: list[BaseException], address: Address) -> SourceError | None:
    import ssl  # 4 ms, that no engine behind a socket needs

    where = address.shown
    for cause in causes:
        if isinstance(cause, ssl.SSLError) or type(cause).__name__ == "TLSParameterError":
            return SourceError(
                f"TLS with the engine at {where} failed: {_one_line(cause)}",
                "Check ca.pem, cert.pem and key.pem in DOCKER_CERT_PATH (or of the docker context)",
            )
    if address.tls and any("TLS" in str(cause) and "certificate" in str(cause) for cause in causes):
        return SourceError(
            f"The certificates for the engine at {where} cannot be read: {_one_line(causes[0])}",
            "Check ca.pem, cert.pem and key.pem in DOCKER_CERT_PATH (or of the docker context)",
        )
    if any("HTTP request to an HTTPS server" in str(cause) for cause in causes):
        return SourceError(
            f"The engine at {where} wants TLS", "Set DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH, or use a docker context"
        )
    return None


def _explain_socket(causes: list[BaseException], address: Address) -> SourceError | None:
    if not address.socket:
        return None
    if any(isinstance(cause, PermissionError) for cause in causes):
        return _explain_permission(address.socket)
    if any(isinstance(cause, FileNotFoundError) for cause in causes):
        return SourceError(
            f"There is no engine socket at {address.socket} ({address.origin})",
            "Is Docker installed and running? `sudo systemctl start docker`; for another engine set DOCKER_HOST",
        )
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return SourceError(
            f"No engine listens at {address.socket}", "It is stopped or has crashed: `sudo systemctl start docker`"
        )
    return None


def _explain_permission(path: str) -> SourceError:
    user = _user_name(os.geteuid())
    try:
        facts = os.stat(path)
    except OSError:
        return SourceError(
            f"No permission to reach the engine socket {path}: its directory is closed to {user}",
            "Start opsconsole with sudo",
        )
    group = _group_name(facts.st_gid)
    problem = f"{user} has no permission for the engine socket {path}: it belongs to group {group}"
    if facts.st_gid == 0 or facts.st_mode & 0o060 != 0o060:
        return SourceError(problem, "Only root may use it: start opsconsole with sudo")
    if _is_member(user, facts.st_gid):
        return SourceError(problem, f"{user} joined {group} after this login: log out and in again")
    return SourceError(problem, f"`sudo usermod -aG {group} {user}`, then log out and in again")


def _explain_network(causes: list[BaseException], address: Address) -> SourceError | None:
    if address.host.startswith("ssh://"):
        return SourceError(
            f"An engine behind SSH ({address.shown}) is not supported",
            "Log in to that server and run opsconsole there",
        )
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return SourceError(
            f"The name in the engine's address {address.shown} is not known ({address.origin})",
            "Check the address, or unset DOCKER_HOST to use the local engine",
        )
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return SourceError(
            f"No engine listens at {address.shown} ({address.origin})",
            "Check the address and port, and that the engine runs there",
        )
    if address.socket:
        return None
    for cause in causes:
        if isinstance(cause, OSError) and cause.errno and not isinstance(cause, ConnectionError | TimeoutError):
            return SourceError(
                f"The engine at {address.shown} cannot be reached: {os.strerror(cause.errno)}",
                "Check the network and the address",
            )
    return None


def _is_broken_answer(causes: list[BaseException]) -> bool:
    names = {type(cause).__name__ for cause in causes}
    return bool(names & {"RemoteDisconnected", "ProtocolError", "IncompleteRead", "ChunkedEncodingError"})


def _explain_answer(error: BaseException, causes: list[BaseException], address: Address) -> SourceError:
    if explanation := getattr(error, "explanation", None):
        return refusal(explanation)
    response = next((found for cause in causes if (found := getattr(cause, "response", None)) is not None), None)
    if response is not None and response.status_code >= 500:
        return SourceError(
            f"The engine at {address.shown} answers with an error: {response.status_code} {_one_line(response.text)}",
            "It is ill: look at `journalctl -u docker`, restart it with `sudo systemctl restart docker`",
        )
    return _no_engine(address, _one_line(error))


def _no_engine(address: Address, why: str) -> SourceError:
    return SourceError(
        f"What answers at {address.shown} is not a usable Docker engine: {why}", f"Check the address ({address.origin})"
    )


def _one_line(error: object) -> str:
    return printable(" ".join(mask_text(str(error)).split()))[:300]


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _is_member(user: str, gid: int) -> bool:
    try:
        return user in grp.getgrgid(gid).gr_mem
    except KeyError:
        return False
