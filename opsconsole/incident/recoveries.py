"""The lines of the matrix for what no rollback mends: infrastructure, performance, a failure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from opsconsole.incident.blame import BLAMED, can_be_undone, changes_of, reasons, since, told, waiting_files
from opsconsole.incident.evidence import Evidence, What
from opsconsole.incident.recommendation import Issue, Recommendation, Way, aged, made, some
from opsconsole.incident.symptoms import DRAGGING, FAILING, Ill, Symptom, containers_of
from opsconsole.model import RedisStatus

_UP = frozenset({"running", "paused", "restarting"})
_BUSY = 50.0  # percent of a core: a container that uses less is not why the host is busy
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
        yield Way(label=f"Make room on {one.subject} by hand", command="docker image prune; then logs, old files")
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
    hit = {one.service for one in slow if one.service}
    errors = [one for one in evidence.symptoms if one.ill is Ill.ERRORS and one.service in hit]
    said = [since(evidence, one) for one in (*slow, *errors)]
    against = ["a restart hides what it was: look at the log and the running queries first"]
    services = list(dict.fromkeys([*_busiest(evidence, slow), *(one.service for one in slow if one.service)]))
    for one in slow:
        against += _no_help(evidence, one)
    against += [*_first_deploy(evidence), *_restarted(evidence)]
    ways = [
        Way(label=f"Raise maxmemory of {one.subject} by hand", command="redis-cli CONFIG SET maxmemory SIZE")
        for one in slow
        if one.rule == "redis-memory"
    ]
    ways += [_again(evidence, name) for name in services[:2]]
    ways += _restart_all(evidence)
    return made(Issue.PERFORMANCE, said, against, ways, 30)


def _no_help(evidence: Evidence, one: Symptom) -> Iterable[str]:
    """Why a restart may change nothing."""
    if one.rule == "redis-memory":
        status = next((each for each in evidence.snapshot.databases if each.target.name == one.subject), None)
        keeps = isinstance(status, RedisStatus) and (status.aof_enabled or status.rdb_enabled)
        if keeps:
            yield f"{one.subject} loads the same data again: raise maxmemory, or remove what fills it"
    elif one.rule == "cpu" and evidence.snapshot.host is not None:
        used = sum(each.usage.cpu_percent or 0.0 for each in evidence.snapshot.containers if each.usage)
        own, all_of_it = used / (evidence.snapshot.host.cpus or 1), evidence.snapshot.host.cpu_percent or 0.0
        if own < 0.5 * all_of_it:
            yield f"the stack's containers use {own:.0f} % of the {all_of_it:.0f} %: something else does"


def _busiest(evidence: Evidence, slow: Sequence[Symptom]) -> Iterable[str]:
    """The service that uses most of a CPU that is busy."""
    if any(one.rule == "cpu" for one in slow):
        used = [(each.usage.cpu_percent, each.service) for each in evidence.snapshot.containers
                if each.usage and each.usage.cpu_percent]  # fmt: skip
        most, service = max(used, default=(0.0, ""))
        if most >= _BUSY:
            yield service


def _restarted(evidence: Evidence) -> Iterable[str]:
    for change in evidence.changes:
        restarts = change.back or (change.what is What.RESTART and change.operation)
        if restarts and not change.bad and evidence.now - change.end <= BLAMED:
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
    against += [*waiting_files(evidence, failing), *_first_deploy(evidence), *_restarted(evidence)]
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
