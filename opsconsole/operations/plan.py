"""A plan: what an operation will do, as plain data. Made before anything runs, shown, kept beside its journal.

A plan is bound to the facts it was made from. Before it runs the facts are gathered again; where they differ the
plan is not applied and `plan_facts.differences` says what has changed in between.
"""

from __future__ import annotations

import shlex
from enum import StrEnum
from pathlib import PurePath

from opsconsole.model import Record
from opsconsole.operations.orders import BackupOrder, DatabaseOrder, ImportOrder, NewFile, RestoreOrder, SetOrder
from opsconsole.operations.plan_facts import Facts
from opsconsole.text import mask_text

PLAN_VERSION = 1
"""Version of plan.json: raised when a field is renamed, removed or changes its meaning."""


class Kind(StrEnum):
    STOP = "stop"
    START = "start"
    RESTART = "restart"
    EMERGENCY_STOP = "emergency-stop"
    DEPLOY = "deploy"
    UPDATE = "update"
    ROLLBACK = "rollback"
    REMOVE = "remove"
    BACKUP = "backup"
    VERIFY = "verify"
    PRUNE = "prune"
    COPY = "copy"
    RESTORE = "restore"
    IMPORT = "import"
    REPLICA_SET = "replica-set"
    ABORT = "abort"
    VALIDATE = "validation"
    REBUILD_INDEX = "rebuild"
    FLUSH = "flush"


class Act(StrEnum):
    """What a step is. Commands are run as they stand in the plan; the other acts are ours."""

    COMMANDS = "commands"
    GATE = "gate"  # wait until the services are well
    EVIDENCE = "evidence"  # save logs and states for inspection
    STOP_ALL = "stop-all"  # whatever of the stack runs at that moment
    PREFLIGHT = "preflight"  # what must be so before anything is changed
    SAFETY_BACKUP = "safety-backup"  # a backup of what is there now
    HOOK = "hook"  # a program of the stack's own, from its settings
    PULL = "pull"  # fetch images; what cannot be fetched and is here already does
    RECORD_RELEASE = "record-release"  # keep images, configuration and commit under a number
    RECREATE = "recreate"  # make containers anew where their image or configuration changed
    PROBES = "probes"  # wait until the stack's health endpoints answer
    SOAK = "soak"  # watch whether the services stay well
    MARK_GOOD = "mark-good"  # the release is good; old ones go
    RETURN = "return"  # make containers anew from a release that was kept
    PUT_ASIDE = "put-aside"  # changes of tracked files, into a stash
    MOVE_TREE = "move-tree"  # the working tree, to another commit
    PUT_BACK = "put-back"  # what was put aside
    GIT = "git"  # git's commands that only tell, as the owner of the tree
    RESTORE_FILES = "restore-files"  # put compose and env files of another version there, and keep the ones that are
    FILES_BACK = "files-back"  # the ones that were kept
    SAVE = "save"  # a backup of what the plan orders
    VERIFY = "verify"  # a backup is what its manifest says, to the level that the plan names
    PRUNE = "prune"  # remove the backups that the plan names and that may still go
    COPY = "copy"  # a backup to the place that the settings name, and the copy read again
    CHECK_BACKUP = "check-backup"  # every byte of what will be restored
    PUT_TOGETHER = "put-together"  # a database as it was at a second, in a throw-away server
    LOAD = "load"  # data of a backup beside the live data, compared
    SWAP = "swap"  # what was loaded takes the place of what is live
    SWAP_BACK = "swap-back"  # what was live takes its place again
    CLEAR_BESIDE = "clear-beside"  # what lies beside the live data goes
    IMPORT = "import"  # documents of a file into a collection
    ABORT = "abort"  # one of MongoDB, if it is still the one that was seen
    END_CLIENT = "end-client"  # one of Redis, likewise
    VALIDATE = "validate"  # collections and their indexes
    REBUILD_INDEX = "rebuild-index"
    FLUSH = "flush"  # keys of Redis
    USERS = "users"  # users and roles of MongoDB out of a backup
    MAKE_KEY = "make-key"  # the file by which members of a set with passwords know each other
    REMOVE_KEY = "remove-key"
    RENEW = "renew"  # a service whose configuration was changed: its container anew
    INITIATE = "initiate"  # MongoDB becomes the only member of its set, and takes writes
    LEAVE_SET = "leave-set"  # a standalone MongoDB forgets the set that it was a member of
    COMPARE_DATA = "compare-data"  # every collection of before is there


class IfFails(StrEnum):
    """What a failure of a step means for the operation."""

    ENDS = "ends"  # it ends there, or turns back
    GOES_ON = "goes on"  # the other steps have their turn all the same; the operation has failed
    IS_TOLD = "is told"  # it is said, and the operation is as good as without it


class Basis(StrEnum):
    """What a plan was made from, and is compared with before it runs."""

    STACK = "stack"  # the engine and Compose
    ENGINE = "engine"  # the engine alone: holds with a compose file that is broken or gone
    NAMED = "named"  # nothing but the containers that its commands name by id


class Effect(StrEnum):
    """What becomes of a piece of data."""

    SAFE = "safe"
    BACKED_UP = "backed up"
    REPLACED = "replaced"
    LOST = "lost"


class DataEffect(Record, frozen=True):
    """One volume, mount, database or file, and what the operation does to it."""

    name: str  # as an operator says it
    what: str  # "volume", "bind mount", "tmpfs", ...
    effect: Effect = Effect.SAFE
    why: str = ""
    database: str = ""  # "mongodb" or "redis" when a database writes there
    in_container: bool = False  # files that a container wrote outside of its volumes and mounts
    left_behind: bool = False  # stays on the disk, but what runs afterwards no longer uses it, or cannot write to it

    @property
    def words(self) -> str:
        """ "safe", "lost", "left behind" ..."""
        return "left behind" if self.left_behind and self.effect is Effect.SAFE else self.effect.value

    @property
    def needs_acceptance(self) -> bool:
        """Whether somebody has to name it before: what is lost, and a database that would come up without its data."""
        return self.effect is Effect.LOST or (bool(self.database) and self.left_behind)


class Fate(StrEnum):
    """What a plan makes of a service."""

    CREATE = "create"
    RECREATE = "recreate"
    PERHAPS = "perhaps"  # recreated when its image, or what it shares, comes out as another one
    START = "start"
    RESTART = "restart"  # with something that it depends on
    RUN = "run"  # a job: once more, to its end
    REMOVE = "remove"
    UNCHANGED = "unchanged"


class ServiceChange(Record, frozen=True):
    """One service, what becomes of its containers, and why: one line each."""

    service: str
    fate: Fate
    why: tuple[str, ...] = ()


class Ending(StrEnum):
    """Whether a gate lets a container that has ended with exit code 0 pass."""

    NEVER = "never"
    MAY = "may"
    MUST = "must"  # a job that others wait for


class Downtime(Record, frozen=True):
    """How long a service is away. `seconds` is None when the stack's history does not tell yet."""

    service: str
    until_started: bool = False  # it stays away
    seconds: float | None = None


class Step(Record, frozen=True):
    """One step. Commands run one after the other, without a shell."""

    id: str
    title: str
    act: Act = Act.COMMANDS
    commands: tuple[tuple[str, ...], ...] = ()
    services: tuple[str, ...] = ()
    cuttable: bool = True  # a cancel may end its command; else the command is waited for
    effect: str = ""  # one sentence: what is different afterwards
    seconds: float = 300.0  # limit of each command, or of the act
    turns_back: bool = False  # from its beginning on, a failure or a cancel runs the plan's way back
    release: str = ""  # "r4": what the act records, marks or returns to
    if_fails: IfFails = IfFails.ENDS
    asks: str = ""  # one sentence that the operator is asked to agree to, beside the plan as a whole
    ending: Ending = Ending.NEVER  # of a gate


class Plan(Record, frozen=True):
    kind: Kind
    stack: str
    directory: str
    facts: Facts = Facts()
    bound: bool = True  # runs only while the facts hold; an emergency stop does not wait for that
    version: int = PLAN_VERSION
    steps: tuple[Step, ...] = ()
    changes: tuple[ServiceChange, ...] = ()
    data: tuple[DataEffect, ...] = ()
    downtime: tuple[Downtime, ...] = ()
    running_before: tuple[str, ...] = ()  # names of the containers that ran when the plan was made
    services: tuple[str, ...] = ()  # what it is about
    only: tuple[str, ...] = ()  # the services that were asked for; () is the whole stack
    notes: tuple[str, ...] = ()  # what an operator should know, one line each
    resolves: str = ""  # id of the half-done operation that this one finishes or undoes
    as_undo: bool = False  # it undoes `resolves`; else it finishes it
    release: str = ""  # "r4": the release that it makes
    way_back: tuple[Step, ...] = ()  # run once when a step that turns back fails
    returns_to: str = ""  # "r3": where the way back leads
    on_failure: tuple[Step, ...] = ()  # hooks, run when it has failed, after the way back
    basis: Basis = Basis.STACK
    incoming: tuple[str, ...] = ()  # commits that an update brings, one line each
    keys: tuple[str, ...] = ()  # keys of the compose configuration that change, one line each; secrets masked
    commit_from: str = ""  # whole ids: where the tree stands, and where it is moved
    commit_to: str = ""
    files: tuple[NewFile, ...] = ()  # that a rollback of the configuration puts in place
    stash: str = ""  # message of the stash that changes of tracked files are put aside in
    typed: tuple[str, ...] = ()  # names to type beside those of the data: of a stack that is removed
    confirm: str = ""  # what is typed in place of a yes; --yes answers it
    backup: BackupOrder | None = None
    restore: RestoreOrder | None = None
    imports: ImportOrder | None = None
    replica_set: SetOrder | None = None
    database: DatabaseOrder | None = None
    backups: tuple[str, ...] = ()  # ids: that are verified, or removed
    level: int = 1  # to which they are verified

    @property
    def fingerprint(self) -> str:
        return self.facts.fingerprint

    @property
    def to_accept(self) -> tuple[str, ...]:
        """Names that `--accept-loss` must give. Not of backups that no rule keeps: the settings agree to that."""
        lost = () if self.kind is Kind.PRUNE else (one.name for one in self.data if one.needs_acceptance)
        return tuple(dict.fromkeys((*self.typed, *lost)))

    def what_becomes_of(self, name: str) -> str:
        """One sentence for the question whether somebody agrees to it."""
        effect = next((one for one in self.data if one.needs_acceptance and one.name == name), None)
        if effect is None:
            return f"{name} would be {'emptied' if self.kind is Kind.FLUSH else 'removed'}"
        words = "lost and no backup holds it" if effect.effect is Effect.LOST else effect.words
        what = name if effect.database else f"{name}: {effect.what}"
        return f"{what} would be {words}" + (f" ({effect.why})" if effect.why else "")

    @property
    def asks(self) -> tuple[str, ...]:
        """What the operator is asked to agree to beside the plan as a whole."""
        return tuple(step.asks for step in self.steps if step.asks)


class PlanFile(Record, frozen=True):
    """A plan as JSON, with what is worked out from it."""

    fingerprint: str
    plan: Plan


# --- as text ---------------------------------------------------------------------------------------


def as_json(plan: Plan) -> str:
    from opsconsole.model import to_json

    return to_json(PlanFile(fingerprint=plan.fingerprint, plan=plan))


def shown(command: tuple[str, ...]) -> str:
    """A command as it could be typed, without secrets."""
    return mask_text(shlex.join(command))


def title(plan: Plan) -> str:
    """`restart of the stack shop`, `undo of stop`."""
    if plan.resolves:
        return f"{'undo' if plan.as_undo else 'finish'} {plan.resolves} of the stack {plan.stack}"
    if plan.restore is not None and plan.restore.undoes:
        return f"undo of {plan.restore.undoes} by the backup {plan.restore.backup} in the stack {plan.stack}"
    if plan.restore is not None:
        at = f" up to {plan.restore.at:%Y-%m-%d %H:%M:%S} UTC" if plan.restore.at else ""
        return f"restore of {plan.restore.backup}{at} into the stack {plan.stack}"
    if plan.imports is not None:
        target = f"{plan.imports.database}.{plan.imports.collection}"
        return f"import of {PurePath(plan.imports.path).name} into {target} of the stack {plan.stack}"
    if plan.replica_set is not None:
        one = plan.replica_set
        what = "return to a standalone server" if one.undoes else f"conversion to the replica set {one.name}"
        return f"{what} of {one.server} in the stack {plan.stack}"
    if plan.backups:
        words = plan.backups[0] if len(plan.backups) == 1 else f"{len(plan.backups)} backups"
        return f"{plan.kind.value} of {words} of the stack {plan.stack}"
    of = f"{', '.join(plan.only)} in " if plan.only else ""
    return f"{plan.kind.value.replace('-', ' ')} of {of}the stack {plan.stack}"
