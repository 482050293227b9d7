"""An hour of history from before the demo began, so that every curve is full at once."""

from __future__ import annotations

from collections.abc import Callable

from opsconsole.demo.databases import DemoDatabases
from opsconsole.demo.engine import cpu_of, memory_of
from opsconsole.demo.fleet import Fleet
from opsconsole.demo.host import DemoHost
from opsconsole.demo.noise import business
from opsconsole.demo.probes import DemoProbes
from opsconsole.demo.stack import ENDPOINTS, TARGETS
from opsconsole.history import STEP_SECONDS, STEPS

_FULL = 60  # containers with the whole hour; the rest of a large stack gets the last minutes: start-up counts
_SHORT = 30


def past(fleet: Fleet, host: DemoHost, databases: DemoDatabases, probes: DemoProbes) -> dict[str, tuple[float, ...]]:
    """Series by the names of `Snapshot.history`, oldest value first."""
    present = {member.service for member in fleet.members}
    curves: dict[str, Callable[[float], float]] = {
        "host.cpu": host.cpu,
        "host.memory": host.memory,
        "host.disk_read": host.disk_read,
        "host.disk_write": host.disk_write,
        "host.network_received": host.network_received,
        "host.network_sent": host.network_sent,
    }
    for target in TARGETS:
        if target.service in present:
            curves[f"{target.kind}.{target.name}"] = lambda at, target=target: databases.rate(target, at)  # type: ignore[misc]
    for endpoint in ENDPOINTS:
        if endpoint.service in present:
            curves[f"probe.{endpoint.name}"] = lambda at, endpoint=endpoint: probes.latency(endpoint, at)  # type: ignore[misc]
    times = [fleet.anchor - STEP_SECONDS * back for back in range(STEPS, 0, -1)]
    series = {name: tuple(curve(at) for at in times) for name, curve in curves.items()}
    busy = {at: 0.55 + 0.6 * business(at) for at in times}
    for number, member in enumerate(fleet.members):
        if member.ended is not None:
            continue
        lived = [at for at in times[0 if number < _FULL else -_SHORT :] if at >= member.born]
        identity = member.base.id
        series[f"cpu.{identity}"] = tuple(cpu_of(member, at, busy[at]) for at in lived)
        series[f"memory.{identity}"] = tuple(float(memory_of(member, at)) for at in lived)
    return series
