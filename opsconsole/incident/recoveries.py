"""The lines of the matrix for what no rollback mends: infrastructure, performance, a failure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import timedelta

import msgspec

from opsconsole.alert_findings import size
from opsconsole.incident.blame import BLAMED, can_be_undone, changes_of, onset, reasons, since, told, waiting_files
from opsconsole.incident.evidence import Evidence, What
from opsconsole.incident.recommendation import NO_RESTART, Issue, Recommendation, Way, aged, made, some
from opsconsole.incident.symptoms import DRAGGING, FAILING, Ill, Symptom, containers_of
from opsconsole.model import RedisStatus, Usage

_UP = frozenset({"running", "paused", "restarting"})
_BUSY = 50.0  # percent of a core: a container that uses less is not why the host is busy
_A_WHILE = timedelta(minutes=1)  # so long after a restart nobody knows whether it helped
_START = re.compile("`([^`]*systemctl (?:re)?start [^`]+)`")  # in an advice, which is a sentence


def infrastructure(evidence: Evidence) -> Recommendation | None:
    ill = [one for one in evidence.symptoms if one.ill in (Ill.ENGINE, Ill.DISK, Ill.DATABASE)]
    if not ill:
        return None
    kinds = {one.ill for one in ill}
    ways: list[Way] = []
    against = []
    first = next((kind for kind in (Ill.ENGINE, Ill.DISK) if kind in kinds), Ill.DATABASE)
    for one in ill:
        if one.ill is first:  # without the engine, or without room, nothing is started
            ways += [way for way in _by_hand(evidence, one) if way not in ways]
    if Ill.ENGINE in kinds:
        against.append("an emergency stop needs the engine, too: it must come back first")
    else:
        if any(one.state in _UP for one in evidence.snapshot.containers):
            against.append("an emergency stop takes down what still works; databases are killed after 5 s")
            ways.append(
                Way(label="Emergency stop of everything, then recover by hand",
                    command="opsconsole rollback emergency-stop", what="emergency-stop")
            )  # fmt: skip
        else:
            against.append("nothing runs any more: an emergency stop has nothing to stop")
    if kinds == {Ill.DATABASE}:
        blamed = [told(evidence, change) for one in ill for change in reasons(evidence, one)]
        against += [f"it fell ill after a change: {one}" for one in dict.fromkeys(blamed)]
    weight = 80 if kinds & {Ill.ENGINE, Ill.DISK} else 50
    said = [since(evidence, one) for one in ill]
    other = [one for one in evidence.symptoms if one not in ill]
    if other:
        said.append(f"it may explain the rest: {some(one.subject for one in other)}")
    return made(Issue.INFRASTRUCTURE, said, against, ways, weight)


def _by_hand(evidence: Evidence, one: Symptom) -> Iterable[Way]:
    """The smaller step that comes before a stop of everything."""
    if one.ill is Ill.ENGINE:
        command = _START.search(one.advice)
        yield Way(label="Start the engine by hand",
                  command=command[1] if command else one.advice or "systemctl start docker")  # fmt: skip
    elif one.ill is Ill.DISK:
        yield Way(label=f"Make room on {one.subject} by hand",
                  command=f"du -xh {one.subject} | sort -h | tail; of images: docker image prune")  # fmt: skip
        if any(each.goes for each in evidence.snapshot.backups):
            yield Way(label="Remove backups that no rule keeps", command="opsconsole backup prune", what="prune")
    elif one.service:
        yield _again(evidence, one.service)
    else:
        yield Way(label=f"See to {one.subject} by hand", command=one.advice or "see its log")


# --- restarts --------------------------------------------------------------------------------------


def performance(evidence: Evidence) -> Recommendation | None:
    slow = [one for one in evidence.symptoms if one.ill in DRAGGING]
    if not slow:
        return None
    mended = [one for one in slow if not any(_no_help(evidence, one))]  # by a restart, as far as can be known
    hit = {one.service for one in slow if one.service}
    errors = [one for one in evidence.symptoms if one.ill is Ill.ERRORS and one.service in hit]
    said = [since(evidence, one) for one in (*slow, *errors)]
    against = ["a restart hides what it was: look at the log and the running queries first"] if mended else []
    busiest = list(_busiest(evidence, mended))
    said += [f"{service} uses {used:.0f} % of a core" for service, used in busiest]
    services = list(
        dict.fromkeys([*(service for service, _ in busiest), *(one.service for one in mended if one.service)])
    )
    for one in slow:
        against += _no_help(evidence, one)
    if any(one.rule == "redis-memory" for one in slow):
        against.append("CONFIG SET holds until the next restart: set it where Redis is started, too")
    against += [*_first_deploy(evidence), *_restarted(evidence, slow)]
    ways = [way for one in slow for way in _without_a_restart(evidence, one)]
    ways += [_again(evidence, name) for name in services[:2]]
    if mended:
        ways += _restart_all(evidence)
    found = made(Issue.PERFORMANCE, said, against, ways, 30)
    return found if mended else msgspec.structs.replace(found, answer=NO_RESTART)


def _no_help(evidence: Evidence, one: Symptom) -> Iterable[str]:
    """Why a restart of the stack would change nothing."""
    if one.rule == "redis-memory":
        status = next((each for each in evidence.snapshot.databases if each.target.name == one.subject), None)
        keeps = isinstance(status, RedisStatus) and (status.aof_enabled or status.rdb_enabled)
        if keeps:
            yield f"{one.subject} loads the same data again: raise maxmemory, or remove what fills it"
    elif one.rule == "cpu" and (busy := _busy_elsewhere(evidence)) is not None:
        own, all_of_it = busy
        yield f"the stack's containers use {own:.0f} % of the {all_of_it:.0f} %: something else does"
    elif one.rule == "memory" and (held := _held_elsewhere(evidence)) is not None:
        own, all_of_it = held
        yield f"the stack's containers hold {size(own)} of the {size(all_of_it)} in use: something else does"


def _busy_elsewhere(evidence: Evidence) -> tuple[float, float] | None:
    """(of the stack, of the whole host) in percent, where most of it is not the stack's; None: it is, or who knows."""
    host, running = evidence.snapshot.host, _used(evidence)
    if host is None or host.cpu_percent is None or any(one is None or one.cpu_percent is None for one in running):
        return None
    own = sum(one.cpu_percent or 0.0 for one in running if one is not None) / (host.cpus or 1)
    return (own, host.cpu_percent) if own < 0.5 * host.cpu_percent else None


def _held_elsewhere(evidence: Evidence) -> tuple[float, float] | None:
    """The same of the memory, in bytes."""
    host, running = evidence.snapshot.host, _used(evidence)
    if host is None or host.memory_used is None or any(one is None or one.memory_bytes is None for one in running):
        return None
    own = sum(one.memory_bytes or 0 for one in running if one is not None)
    return (own, host.memory_used) if own < 0.5 * host.memory_used else None


def _used(evidence: Evidence) -> list[Usage | None]:
    return [one.usage for one in evidence.snapshot.containers if one.state == "running"]


def _without_a_restart(evidence: Evidence, one: Symptom) -> Iterable[Way]:
    """What is done by hand in its place."""
    if one.rule == "redis-memory":
        yield Way(label=f"Raise maxmemory of {one.subject} by hand", command="redis-cli CONFIG SET maxmemory SIZE")
    elif one.rule not in ("cpu", "memory"):
        return
    elif one.rule == "memory":
        if _held_elsewhere(evidence) is not None:
            yield Way(label="Find by hand what holds memory beside the stack, and see to it", command="top -o %MEM")
    elif _busy_elsewhere(evidence) is not None:
        host = evidence.snapshot.host
        own = max((each.cpu_percent or 0.0 for each in _used(evidence) if each is not None), default=0.0)
        busiest = max(host.processes if host else (), key=lambda each: (each.cpu_percent, each.pid), default=None)
        if busiest is None or busiest.cpu_percent <= max(own, _BUSY):  # it may be one of the stack's
            yield Way(label="Find by hand what is busy beside the stack, and see to it", command="top -o %CPU")
        else:
            pid = busiest.pid
            yield Way(label=f"See to {busiest.name} ({pid}), which is not of this stack, by hand",
                      command=f"ps -fp {pid}; then renice -n 19 -p {pid}, or kill {pid}")  # fmt: skip


def _busiest(evidence: Evidence, slow: Sequence[Symptom]) -> Iterable[tuple[str, float]]:
    """The service that uses most of a CPU that is busy, and how much."""
    if any(one.rule == "cpu" for one in slow):
        used = [(each.usage.cpu_percent, each.service) for each in evidence.snapshot.containers
                if each.usage and each.usage.cpu_percent]  # fmt: skip
        most, service = max(used, default=(0.0, ""))
        if most >= _BUSY:
            yield service, most


def _restarted(evidence: Evidence, ill: Sequence[Symptom]) -> Iterable[str]:
    """What was restarted, or rolled back, and is ill as before."""
    for change in evidence.changes:
        restarts = change.back or (change.what is What.RESTART and change.operation)
        known = any(
            onset(evidence, one) <= change.end and (not change.services or one.service in change.services)
            for one in ill
        )
        if restarts and known and not change.bad and _A_WHILE <= evidence.now - change.end <= BLAMED:
            yield f"{told(evidence, change)}, and it is still so"
            return


def failure(evidence: Evidence) -> Recommendation | None:
    """What fails, with no change, no disk and no database to put it down to."""
    if any(one.ill in (Ill.ENGINE, Ill.DISK, Ill.DATABASE) for one in evidence.symptoms):
        return None
    slow = {one.service for one in evidence.symptoms if one.ill in DRAGGING and one.service}
    failing = [
        one
        for one in evidence.symptoms
        if one.ill in FAILING
        and not can_be_undone(evidence, one)
        and not (one.ill is Ill.ERRORS and one.service in slow)
    ]
    if not failing:
        return None
    said = [since(evidence, one) for one in failing]
    if not any(reasons(evidence, one) for one in failing):
        said.append(f"no {'other ' if _first_deploy(evidence) else ''}deploy and no change of the configuration in the "
                    "hour before it")  # fmt: skip
    against = ["what it said is read before it is restarted: its log may be the only trace"]
    against += [*waiting_files(evidence, failing), *_first_deploy(evidence), *_restarted(evidence, failing)]
    if any(one.ill is Ill.CRASH for one in failing):
        against.append("it is restarted by the engine again and again already")
    if any(one.ill is Ill.REFUSED for one in failing):
        against.append("a wrong password stays wrong after a restart: compare it with the env file")
    services = list(dict.fromkeys(one.service for one in failing if one.service))
    ways = list(dict.fromkeys(_again(evidence, name) for name in services[:3]))
    ways += _restart_all(evidence)
    return made(Issue.FAILURE, said, against, ways, 25)


def _first_deploy(evidence: Evidence) -> list[str]:
    """Why no rollback is offered for what was never well."""
    first = [one for one in changes_of(evidence, What.DEPLOY) if one.first and evidence.now - one.end <= BLAMED]
    if not first or evidence.known.before is not None:
        return []
    age = aged(first[0].end, evidence.now)
    return [f"the first deploy was {age} ago and no release is before it: what was wrong from the beginning is mended "
            "in the files, then deployed again"]  # fmt: skip


def _again(evidence: Evidence, service: str) -> Way:
    """The smallest step that has it run again: a container that is not there is made by a deploy alone."""
    own = containers_of(evidence.snapshot, service)
    if not own:
        return Way(label=f"Make the container of {service}: deploy what the files say", command="opsconsole deploy",
                   what="deploy")  # fmt: skip
    if not any(one.state in _UP for one in own):
        return Way(label=f"Start {service}", command=f"opsconsole start {service}", what="start",
                   services=(service,))  # fmt: skip
    return Way(label=f"Restart {service}", command=f"opsconsole restart {service}", what="restart",
               services=(service,))  # fmt: skip


def _restart_all(evidence: Evidence) -> list[Way]:
    if not any(one.state in _UP for one in evidence.snapshot.containers):
        return []
    return [Way(label="Soft restart of all services", command="opsconsole rollback restart-all", what="restart-all")]
