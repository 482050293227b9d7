"""Where the engine is: the address that the `docker` command itself would use on this account."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from opsconsole.model import SourceError
from opsconsole.text import mask_uri, printable

DEFAULT_SOCKET = "/var/run/docker.sock"


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Certificates for an engine behind TLS. Empty paths are files that are not there."""

    authority: str = ""
    certificate: str = ""
    key: str = ""
    verify: bool = True

    def for_sdk(self) -> Any:
        """The same as the Docker SDK takes it. Raises its TLSParameterError when a file is missing."""
        from docker.tls import TLSConfig

        certificate = (self.certificate, self.key) if self.certificate or self.key else None
        return TLSConfig(client_cert=certificate, ca_cert=self.authority or None, verify=self.verify)


@dataclass(frozen=True, slots=True)
class Address:
    """An engine's address and who named it ("DOCKER_HOST", "context prod", "default")."""

    host: str
    origin: str
    tls: TlsFiles | None = None

    @property
    def shown(self) -> str:
        """The address as it may be shown: what anybody wrote into a variable acts on no terminal."""
        return printable(mask_uri(self.host))

    @property
    def socket(self) -> str:
        """Path of the unix socket, "" for an engine elsewhere."""
        return self.host.removeprefix("unix://") if self.host.startswith("unix://") else ""


def resolve(docker_host: str | None = None, environ: Mapping[str, str] | None = None) -> Address:
    """The engine to talk to: `docker_host`, else DOCKER_HOST, the current context, a socket that is there.

    Raises SourceError when a named context cannot be read, or when what is named is no address.
    """
    environ = os.environ if environ is None else environ
    home = environ.get("HOME") or os.path.expanduser("~")
    directory = Path(environ.get("DOCKER_CONFIG") or Path(home, ".docker"))
    if docker_host:
        return _address(docker_host, "configuration", _tls_from_environment(environ, directory))
    if host := environ.get("DOCKER_HOST", "").strip():
        return _address(host, "DOCKER_HOST", _tls_from_environment(environ, directory))
    context = environ.get("DOCKER_CONTEXT") or _current_context(directory)
    if context and context != "default":
        return _from_context(context, directory)
    return Address(f"unix://{_default_socket(environ, home)}", "default")


def _address(written: str, origin: str, tls: TlsFiles | None) -> Address:
    """What was written as docker understands it: `/path` is a socket, `name` and `name:port` speak TCP."""
    host = written.strip()
    if host.startswith("/"):
        host = f"unix://{host}"
    elif "://" not in host:
        host = f"tcp://{host}"
    if host == "unix://":
        host += DEFAULT_SOCKET
    if not _is_usable(host):
        shown = Address(host, origin).shown
        raise SourceError(
            f"{shown} ({origin}) is no engine address here", "Use unix:///path/to/docker.sock or tcp://host:port"
        )
    if not host.startswith(("unix://", "ssh://")) and urlsplit(host).port is None:
        host = f"{host.rstrip('/')}:{2376 if tls else 2375}"
    return Address(host, origin, tls)


def _is_usable(host: str) -> bool:
    try:
        parts = urlsplit(host)
        named = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:  # an open bracket, or a port that is no number
        return False
    if parts.scheme in ("tcp", "http", "https"):
        return named and "@" not in parts.netloc and host.isprintable()
    return parts.scheme in ("unix", "ssh")


def _tls_from_environment(environ: Mapping[str, str], directory: Path) -> TlsFiles | None:
    verify = bool(environ.get("DOCKER_TLS_VERIFY"))
    if not verify and not environ.get("DOCKER_TLS"):
        return None
    certificates = Path(environ.get("DOCKER_CERT_PATH") or directory)
    return TlsFiles(
        authority=str(certificates / "ca.pem"),
        certificate=str(certificates / "cert.pem"),
        key=str(certificates / "key.pem"),
        verify=verify,
    )


def _current_context(directory: Path) -> str:
    """The context chosen with `docker context use`; a config file that cannot be read names none, as for docker."""
    try:
        config = json.loads((directory / "config.json").read_text())
        return str(config.get("currentContext") or "")
    except (OSError, ValueError, AttributeError):
        return ""


def _from_context(name: str, directory: Path) -> Address:
    import hashlib  # 2 ms that only who uses contexts pays

    # docker names a context's directory by the hash of its name, so that any name will do.
    digest = hashlib.sha256(name.encode()).hexdigest()
    meta = directory / "contexts" / "meta" / digest / "meta.json"
    try:
        endpoint = json.loads(meta.read_text())["Endpoints"]["docker"]
        host = str(endpoint["Host"])
    except FileNotFoundError:
        raise SourceError(
            f"The docker context {name!r} does not exist",
            "See `docker context ls`; return to the local engine with `docker context use default`",
        ) from None
    except (OSError, ValueError, KeyError, TypeError):
        raise SourceError(
            f"The docker context {name!r} cannot be read from {meta}",
            "See `docker context inspect`; return to the local engine with `docker context use default`",
        ) from None
    skip_verify = bool(endpoint.get("SkipTLSVerify", False))
    certificates = directory / "contexts" / "tls" / digest / "docker"
    return _address(host, f"context {name}", _tls_of_context(certificates, skip_verify))


def _tls_of_context(certificates: Path, skip_verify: bool) -> TlsFiles | None:
    paths = {name: str(certificates / f"{name}.pem") for name in ("ca", "cert", "key")}
    present = {name: path for name, path in paths.items() if os.path.isfile(path)}
    if not present:
        return None
    return TlsFiles(
        authority=present.get("ca", ""),
        certificate=present.get("cert", ""),
        key=present.get("key", ""),
        verify=not skip_verify,
    )


def _default_socket(environ: Mapping[str, str], home: str) -> str:
    """The first socket we may use, else the first that exists, else docker's default."""
    runtime = environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    candidates = [DEFAULT_SOCKET, f"{runtime}/docker.sock", f"{home}/.docker/desktop/docker.sock"]
    existing = [path for path in candidates if os.path.exists(path)]
    for path in existing:
        if os.access(path, os.R_OK | os.W_OK):
            return path
    return existing[0] if existing else DEFAULT_SOCKET
