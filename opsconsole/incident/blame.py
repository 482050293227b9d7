"""Which change may be the reason that something fell ill: by when it fell ill, and by what the change touched."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from opsconsole.incident.evidence import Change, Evidence, What
from opsconsole.incident.recommendation import aged, some
from opsconsole.incident.symptoms import DRAGGING, FAILING, Ill, Symptom, containers_of

BLAMED = timedelta(minutes=60)
"""What fell ill longer after a change is not put down to it."""

_BEFORE = timedelta(seconds=60)
"""Alerts and clocks are not exact: what fell ill so little before a change began may still be its work."""

SETTLES = timedelta(minutes=5)
"""Alerts lag behind: they last for a minute and more after what they are about, and rates are of five minutes."""

_MENDS = frozenset({What.DEPLOY, What.CONFIG, What.RESTART, What.RESTORE})
_JUST_NOW = timedelta(seconds=5)


def changes_of(evidence: Evidence, *what: What) -> list[Change]:
    return [one for one in evidence.changes if one.what in what]


def struck(evidence: Evidence, changes: Sequence[Change]) -> list[tuple[Symptom, list[Change]]]:
    """What fell ill after one of these changes, and after which."""
    found = []
    for one in evidence.symptoms:
        if one.ill in FAILING | DRAGGING | {Ill.DATABASE}:
            blamed = [change for change in reasons(evidence, one) if change in changes]
            if blamed:
                found.append((one, blamed))
    return found


def reasons(evidence: Evidence, one: Symptom) -> list[Change]:
    """The changes that may be the reason: shortly before it, of that service or of one that it may depend on."""
    began = onset(evidence, one)
    back = next((change for change in evidence.changes if change.back), None)  # newest first
    return [
        change
        for change in evidence.changes
        if _changed_something(change)
        and not (back is not None and _was_taken_back(change, back))
        and not _not_in_force(evidence, one, change)
        and change.at - _BEFORE <= began <= change.end + BLAMED
    ]


def _was_taken_back(change: Change, back: Change) -> bool:
    """Whether this rollback undid it: one of the code takes the configuration back, too."""
    return change.at <= back.at and (back.what is What.DEPLOY or change.what is What.CONFIG)


def just_done(evidence: Evidence) -> Change | None:
    """What was done a few minutes ago about what was red before: it may need these to be seen as well."""
    for change in evidence.changes:
        if change.done and change.what in _MENDS and evidence.now - change.end <= SETTLES:
            if any(onset(evidence, one) <= change.end for one in evidence.symptoms):
                return change
            return None
    return None


def waiting(evidence: Evidence) -> str:
    """The same in a sentence, or what is being done now; "" where nothing is waited for."""
    running = next((one for one in evidence.changes if one.runs), None)
    if running is not None:
        return f"{running.text}, since {aged(running.at, evidence.now)}. Its end comes first: nothing begins beside it."
    change = just_done(evidence)
    if change is None:
        return ""
    ago = aged(change.end, evidence.now)
    return f"{change.text}, {ago} ago: what was red before it may be so for some minutes more. Look before you go on."


def _changed_something(change: Change) -> bool:
    """Whether images or configuration are, or may be, others than before: what stayed as it was explains nothing, and
    a first deploy has no before. What brought back what was well is not suspected either."""
    if change.first or change.back:
        return False
    if change.what is What.DEPLOY:
        return change.code is not False or bool(change.config)
    return change.what is What.CONFIG and change.config is not False


def can_be_undone(evidence: Evidence, one: Symptom) -> bool:
    """Whether a rollback is there that takes back what may be the reason."""
    before = evidence.known.before
    return any(
        (before is not None and not before.gone and change.what is What.DEPLOY and change.code is not False)
        or (evidence.known.files_from and (change.what is What.CONFIG or change.config))
        for change in reasons(evidence, one)
    )


def onset(evidence: Evidence, one: Symptom) -> datetime:
    """When it fell ill. An alert is as old as this console: what was told before, or the container, may know better."""
    began = one.since
    for change in evidence.changes:  # newest first
        # Another alert about the same thing may be hours old, and nobody may have seen its end.
        alike = change.rule in ("", one.rule) and {one.subject, *one.subjects} & {*change.services}
        if change.what in (What.ALERT, What.OVER) and alike:
            if change.what is What.OVER:
                break
            began = min(began, change.at)
    if one.ill in (Ill.DOWN, Ill.DATABASE):
        ended = [each.finished_at for each in containers_of(evidence.snapshot, one.service) if each.state == "exited"]
        began = min([began, *(at for at in ended if at is not None)])
    return began


def waiting_files(evidence: Evidence, ill: Iterable[Symptom]) -> Iterable[str]:
    """Files that were changed and that none of these services runs with: no reason, and brought by the next deploy."""
    for change in changes_of(evidence, What.CONFIG):
        names = [one.service for one in ill if _not_in_force(evidence, one, change)]
        if names:
            yield f"{told(evidence, change)}; {some(names)} still run with what was there before: not the reason"


def _not_in_force(evidence: Evidence, one: Symptom, change: Change) -> bool:
    """Whether a compose or env file was changed after all its containers were made: it is read when they are."""
    if change.services or change.operation or not change.config:
        return False
    own = containers_of(evidence.snapshot, one.service)
    return bool(own) and all(each.created_at and each.created_at < change.at for each in own)


def touched(hit: Sequence[tuple[Symptom, list[Change]]]) -> bool:
    """Whether a change touched something that fell ill after it, or may have touched everything."""
    return any(not change.services or one.service in change.services for one, blamed in hit for change in blamed)


def elsewhere(evidence: Evidence, hit: Sequence[tuple[Symptom, list[Change]]]) -> Iterable[str]:
    """What speaks against a change as the reason."""
    explained = [one for one, _ in hit]
    if hit and not touched(hit):
        yield f"it did not touch {some(one.service or one.subject for one in explained)}"
    other = [one for one in evidence.symptoms if one.ill in (Ill.DISK, Ill.ENGINE)]
    for one in other:
        yield f"{one.text}: that alone would explain it"
    before = [one for one in evidence.symptoms if one.ill in FAILING and one not in explained and one not in other]
    if before:
        yield f"{some(one.subject for one in before)} fell ill before it, or long after"


def told(evidence: Evidence, change: Change) -> str:
    return f"{change.text}, {aged(change.at, evidence.now)} ago"


def since(evidence: Evidence, one: Symptom) -> str:
    lasted = evidence.now - onset(evidence, one)
    return one.text if lasted < _JUST_NOW else f"{one.text}, for {aged(evidence.now - lasted, evidence.now)}"
