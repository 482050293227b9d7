"""The lines of the matrix that lead back: data, code, configuration."""

from __future__ import annotations

from collections.abc import Sequence

from opsconsole.incident.blame import changes_of, elsewhere, reasons, since, struck, told, touched
from opsconsole.incident.data_signs import good_backups
from opsconsole.incident.evidence import Change, Evidence, What
from opsconsole.incident.recommendation import MOST, Issue, Recommendation, Way, aged, made, some
from opsconsole.incident.symptoms import FAILING, Symptom


def data(evidence: Evidence) -> Recommendation | None:
    if not evidence.data:
        return None
    said = [f"{one.text}{_guard(one.operation)}" for one in evidence.data]
    against = ["a count is a sign and no proof: somebody may have removed them on purpose"]
    backup = evidence.backup
    ways: list[Way] = []
    if backup is None:
        against.append("there is no good backup to go back to")
    else:
        age = aged(backup.taken_at, evidence.now)
        level = ", not verified" if backup.checked_level is None else f", verified to level {backup.checked_level}"
        if evidence.is_held:
            said.append(f"the newest good backup that holds it is {backup.id}, {age} old{level}")
        else:
            said.append(f"the newest good backup is {backup.id}, {age} old{level}")
            against.insert(0, "no good backup is known to hold it: look into one, and into the safety backups, first")
        newer = [one for one in good_backups(evidence.snapshot) if one.taken_at > backup.taken_at]
        if newer:
            said.append(f"{len(newer)} newer backups were taken after the loss, or hold less")
        against.append(f"what was written in those {age} is put aside, not merged; `restore --undo` brings it back")
        ways = _restores(evidence, backup.id if newer else "")
    return made(Issue.DATA, said, against, ways, 90 if any(one.gone for one in evidence.data) else 45)


def _guard(operation: str) -> str:
    return f" (the guard, after {operation})" if operation else ""


def _restores(evidence: Evidence, named: str) -> list[Way]:
    """`named` is the backup, "" for the newest good one."""
    backup = named or "latest"
    if {one.database for one in evidence.data} == {"redis"}:
        return [Way(label="Restore only Redis; the rest stays as it is", what="restore", parts=("redis",), backup=named,
                    command=f"opsconsole restore {backup} --part redis")]  # fmt: skip
    collections = tuple(dict.fromkeys(one.collection for one in evidence.data if one.collection))
    ways = []
    if collections and len(collections) == len(evidence.data) and len(collections) <= MOST:
        ways.append(
            Way(
                label=f"Restore only {some(collections)}; the rest stays as it is",
                command=f"opsconsole restore {backup} " + " ".join(f"--collection {one}" for one in collections),
                what="restore",
                collections=collections,
                backup=named,
            )
        )
    ways.append(
        Way(
            label=f"Restore all data of the backup {named}" if named else "Restore all data of the newest good backup",
            command=f"opsconsole restore {named}" if named else "opsconsole rollback last-backup",
            what="restore",
            backup=named,
        )
    )
    return ways


# --- code and configuration ------------------------------------------------------------------------


_NO_WAY = 60  # weighs less: what cannot be done stands behind what can, with the reason why
NO_RELEASE_BEFORE = "no release before the one that runs is kept, so there is nothing to roll back to"
IMAGES_GONE = "cannot be gone back to, its images are gone from the engine"


def code(evidence: Evidence) -> Recommendation | None:
    deploys = [change for change in changes_of(evidence, What.DEPLOY) if change.code is not False]
    hit = struck(evidence, deploys)
    if not hit:
        return None
    guilty = [change for change in deploys if any(change in blamed for _, blamed in hit)]
    said = [told(evidence, change) for change in guilty]
    said += [since(evidence, one) for one, _ in hit]
    against = list(elsewhere(evidence, hit))
    target = evidence.known.before
    if target is None:
        against.insert(0, f"{NO_RELEASE_BEFORE}: mend the code and deploy again")
    elif target.gone:
        against.insert(0, f"{target.name} {IMAGES_GONE} ({some(target.gone)}): check out its commit"
                       f"{f' {target.commit[:7]}' if target.commit else ''} and deploy, or mend the code")  # fmt: skip
    else:
        said.append(f"{target.name}, from {aged(target.at, evidence.now)} ago, is kept to go back to")
        if target.skipped:
            against.insert(0, f"it is not the release before: the images of {some(target.skipped)} are gone")
    if any(change.code is None for change in guilty):
        against.append("whether the images changed is not known: it may have been the configuration alone")
    if any(change.config for change in guilty):
        against.append("the configuration changed with it: that may be the reason; this takes both back")
    against.append("data stays as it is now: what newer code wrote, older code must read")
    way = Way(label="Roll the code back to the release before", command="opsconsole rollback previous-image",
              what="previous-image")  # fmt: skip
    if target is not None and target.skipped:
        way = Way(label=f"Roll the code back to {target.name}", command=f"{way.command} --to {target.name}",
                  what=way.what, to=target.name)  # fmt: skip
    weight = 60 + 5 * min(len(hit), 3) - (20 if any(one.code is None for one in guilty) else 0)
    weight -= _untouched(hit)
    if target is None or target.gone:
        return made(Issue.CODE, said, against, (), weight - _NO_WAY)
    return made(Issue.CODE, said, against, (way,), weight)


def _untouched(hit: Sequence[tuple[Symptom, list[Change]]]) -> int:
    """How much less a change weighs that touched nothing of what is ill: what fails may depend on what it touched; a
    memory or a processor that is full by itself comes behind the soft restart."""
    if touched(hit):
        return 0
    return 25 if any(one.ill in FAILING for one, _ in hit) else 50


def configuration(evidence: Evidence) -> Recommendation | None:
    changed = [one for one in changes_of(evidence, What.CONFIG, What.DEPLOY) if one.config is not False]
    changed = [one for one in changed if one.what is What.CONFIG or one.config]
    hit = struck(evidence, changed)
    unreadable = evidence.unreadable
    if not hit and not unreadable:
        return None
    said = [*unreadable]
    said += [told(evidence, change) for change in changed if any(change in blamed for _, blamed in hit)]
    said += [since(evidence, one) for one, _ in hit]
    against = list(elsewhere(evidence, hit))
    weight = 60 + 5 * min(len(hit), 3) if hit else 40
    weight -= _untouched(hit) if hit else 0
    if any(change.code for one, _ in hit for change in reasons(evidence, one)):
        against.append("other images came at the same time: see the code rollback, which takes both back")
        weight -= 15
    elif hit and all(one.code is False for one in changed):
        said.append("the images are the same as before")
        weight += 10
    goes_back = evidence.known.files_from
    if not goes_back:
        why = "no release is kept" if evidence.known.release is None else "the files are as every kept release has them"
        against.insert(0, f"{why}: only a commit can be gone back to (`opsconsole rollback config --commit ID`)")
    against.append("the change may have been wanted: talk to whoever made it")
    way = Way(label="Roll the configuration back; the images stay", command="opsconsole rollback config",
              what="config")  # fmt: skip
    if not goes_back:
        return made(Issue.CONFIGURATION, said, against, (), weight - _NO_WAY)
    return made(Issue.CONFIGURATION, said, against, (way,), weight)
