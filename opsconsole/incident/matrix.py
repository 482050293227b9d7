"""The decision matrix of the runbook as a function over the evidence. It recommends, and nothing runs by itself.

A way is there only where its plan can be made; else what stands against it says why there is none.

configuration error         -> configuration rollback
data corruption or loss     -> data rollback
bad deploy                  -> code rollback
infrastructure failure      -> emergency stop and manual recovery, the smaller step first
performance degradation     -> soft restart
a failure no rollback mends -> soft restart of what fails (the runbook's first step of a P2)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from opsconsole.incident.evidence import Evidence
from opsconsole.incident.recommendation import Issue, Recommendation, Way
from opsconsole.incident.recoveries import failure, infrastructure, performance
from opsconsole.incident.rollbacks import code, configuration, data
from opsconsole.incident.symptoms import Ill, is_unseen

RULES: tuple[Callable[[Evidence], Recommendation | None], ...] = (
    data, infrastructure, configuration, code, performance, failure,
)  # fmt: skip


def recommend(evidence: Evidence) -> tuple[Recommendation, ...]:
    """What the matrix answers, what there is most evidence for first. Nothing for a system that is well, and nothing
    about what no look finds any more though its alert still lasts."""
    there = tuple(one for one in evidence.symptoms if not is_unseen(one, evidence.now))
    evidence = msgspec.structs.replace(evidence, symptoms=there)
    if evidence.quiet:
        return ()
    found = [one for rule in RULES if (one := rule(evidence)) is not None]
    if any(one.ill is Ill.ENGINE for one in evidence.symptoms):
        found = [one if one.issue is Issue.INFRASTRUCTURE else _not_yet(one) for one in found]
    order = list(Issue)
    return tuple(sorted(found, key=lambda one: (-one.weight, order.index(one.issue))))


def _not_yet(one: Recommendation) -> Recommendation:
    return msgspec.structs.replace(
        one, ways=(), against=("no plan can be made until the engine answers again", *one.against)
    )


def ways(recommendations: Iterable[Recommendation]) -> tuple[tuple[Recommendation, Way], ...]:
    """Every way, in the order of their keys: 1, 2 ..."""
    return tuple((one, way) for one in recommendations for way in one.ways)
