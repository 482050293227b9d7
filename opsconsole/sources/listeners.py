"""Who listens on a port of this host."""

from __future__ import annotations

import errno
import socket


def holder_of(port: int, address: str = "", protocol: str = "tcp") -> str:
    """Who holds the port: a program's name, "another program" where that cannot be told, "" when it is free.

    Asked by binding it for an instant: that is what the engine will do.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
    with socket.socket(family, kind) as trial:
        if kind == socket.SOCK_STREAM:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # what waits to be forgotten holds nothing
        try:
            trial.bind((address, port))
            if kind == socket.SOCK_STREAM:
                trial.listen(1)
        except OSError as error:
            # Not ours to bind (a low port, an address of another host): the engine knows better.
            return _name(port, kind) if error.errno == errno.EADDRINUSE else ""
    return ""


def _name(port: int, kind: int) -> str:
    import psutil

    try:
        found = psutil.net_connections("inet")
    except (psutil.Error, OSError):
        return "another program"
    for one in found:
        listens = one.status == psutil.CONN_LISTEN or kind == socket.SOCK_DGRAM
        if one.laddr and one.laddr.port == port and one.type == kind and listens and one.pid:
            try:
                return f"{psutil.Process(one.pid).name()} (process {one.pid})"
            except psutil.Error:
                break
    return "another program"
