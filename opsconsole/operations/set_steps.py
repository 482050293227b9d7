"""The steps of a conversion to a replica set of one node, and of the way back. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from opsconsole.model import BackupClass
from opsconsole.operations import backup_plans
from opsconsole.operations.backup_scope import Scope
from opsconsole.operations.orders import BackupOrder, NewFile, SetOrder
from opsconsole.operations.plan import Act, IfFails, Step
from opsconsole.operations.return_plans import never_pull
from opsconsole.operations.stack_plans import gate_step


def safety_order(found: Scope) -> BackupOrder:
    parts = tuple(kind for kind in ("mongo", "config") if kind in found.kinds)
    return BackupOrder(backup_class=BackupClass.SAFETY, why="before the conversion of MongoDB", parts=parts)


def safety(found: Scope) -> tuple[Step, ...]:
    return (backup_plans.save_step(found, safety_order(found), act=Act.SAFETY_BACKUP),)


def make_key(order: SetOrder) -> Step:
    return Step(
        id="make-key",
        title=f"Make the key file {order.key}",
        act=Act.MAKE_KEY,
        cuttable=False,
        effect=f"756 random bytes, mode 0400, of the user {order.user}:{order.group} as which MongoDB runs. A secret.",
        turns_back=True,
    )


def remove_key(order: SetOrder) -> Step:
    return Step(
        id="remove-key",
        title=f"Remove the key file {order.key}",
        act=Act.REMOVE_KEY,
        cuttable=False,
        if_fails=IfFails.IS_TOLD,
    )


def change_files(files: Sequence[NewFile], title: str) -> Step:
    return Step(
        id="restore-files",
        title=title,
        act=Act.RESTORE_FILES,
        cuttable=False,
        effect=f"{', '.join(one.path for one in files)} as it is, is kept in the operation's directory first.",
        turns_back=True,
    )


def files_back() -> Step:
    return Step(
        id="files-back",
        title="Put the compose file back as it was",
        act=Act.FILES_BACK,
        cuttable=False,
        effect="Byte for byte, with owner and mode.",
    )


def renew(found: Scope, order: SetOrder) -> Step:
    look = found.look
    up = (*look.compose, "up", "--detach", "--no-deps", "--no-build", *never_pull(look.compose), order.service)
    return Step(
        id=f"renew:{order.service}",
        title=f"Make the container of {order.service} anew",
        act=Act.RENEW,
        commands=(up,),
        services=(order.service,),
        cuttable=False,
        effect="The same image, the same volumes. Applications cannot read or write meanwhile; none is stopped.",
        turns_back=True,
    )


def initiate(found: Scope, order: SetOrder) -> tuple[Step, ...]:
    config = f'rs.initiate({{_id: "{order.name}", members: [{{_id: 0, host: "{order.member}"}}]}})'
    return (
        Step(
            id="initiate",
            title=f"{config}, and wait until it takes writes",
            act=Act.INITIATE,
            cuttable=False,
            effect=f"{order.member} is how clients reach it: they are told this name, whatever address they came by.",
            turns_back=True,
        ),
        *([gate(found)] if found.look.containers else []),
        compare(),
    )


def leave(order: SetOrder) -> Step:
    return Step(
        id="leave-set",
        title="Let the standalone server forget the set, and start it once more",
        act=Act.LEAVE_SET,
        services=(order.service,),
        cuttable=False,
        effect="Its database `local` (list of members, oplog) goes: as long as it is there, nothing that expires is "
        "removed. Not even root may do that, so where there are passwords a role for it exists for a moment.",
        turns_back=True,
    )


def gate(found: Scope) -> Step:
    """Of what is well now: who is ill before is no reason to turn back."""
    one_shot = {one.name for one in found.look.services if one.one_shot}
    well = [one for one in found.look.containers if one.state == "running" and one.health in ("", "healthy")]
    return gate_step(tuple(one.name for one in well if one.service not in one_shot))


def compare() -> Step:
    return Step(
        id="compare-data",
        title="Compare: every collection of before is there",
        act=Act.COMPARE_DATA,
        effect="With the count that was taken before the first step.",
    )


def again(one: Step) -> Step:
    return msgspec.structs.replace(one, id=f"{one.id}:again")
