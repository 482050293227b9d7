"""Files in a restore: unpacked beside the live directories, exchanged by renaming, exchanged back, tidied up."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec

from opsconsole.backups.files_placing import Target
from opsconsole.backups.opening import Opened
from opsconsole.model import SourceError
from opsconsole.operations import restore_state
from opsconsole.operations.acts import Operation
from opsconsole.operations.backup_keys import private_keys
from opsconsole.operations.backup_scope import Scope
from opsconsole.operations.orders import RestoreOrder
from opsconsole.operations.restore_servers import MONGO, REDIS, in_files, order_of, room
from opsconsole.operations.restore_state import FilesState
from opsconsole.operations.steps import step


def load(operation: Operation, home: Path, found: Scope, opened: Opened) -> str:
    """Unpacked beside each live directory. Raises SourceError."""
    from opsconsole.backups.files_loading import extract
    from opsconsole.backups.files_part import FilesSaver
    from opsconsole.backups.packed_files import Packing
    from opsconsole.backups.swapping import beside

    targets = file_targets(opened, found, order_of(operation))
    restore_state.write(home, "files.json", FilesState(targets=targets))
    step("R01")
    foreign = {one.name: one.foreign for one in opened.parts}
    members = 0
    keys = private_keys(operation.config)
    for one in targets:
        live, archive = Path(one.live), Path(one.path)
        new, _ = beside(live, _tag(home))
        new.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        if archive.is_dir():
            # Through a tar of our own: owners, links and holes come along.
            packed = home / "repacked"
            packed.mkdir(mode=0o700, exist_ok=True)
            saved = FilesSaver(one.part, archive, packing=Packing.NONE).save(packed)
            archive = packed / saved.files[0].path
        made = extract(
            archive,
            new,
            limit=room(new.parent),
            foreign=foreign.get(one.part, True),
            keys=keys,
            told=in_files(operation, one.part),
        )
        members += made.members
        shutil.rmtree(home / "repacked", ignore_errors=True)
    return f"{members:,} files and directories"


def swap(operation: Operation, home: Path, found: Scope, opened: Opened) -> str:
    """Every directory changes places; what changes with what is written down first. Raises SourceError."""
    from opsconsole.backups.swapping import exchanges, forward

    state = restore_state.files(home)
    if state is None:
        raise SourceError("the files are not unpacked beside the live ones", "Finish the restore from its beginning.")
    if state.exchanges is None:
        wanted = [one for target in state.targets for one in exchanges(Path(target.live), _tag(home))]
        state = msgspec.structs.replace(state, exchanges=tuple(wanted))
        restore_state.write(home, "files.json", state)
    for exchange in state.exchanges or ():
        forward([exchange])
        step("R02")
    return ", ".join(one.live for one in state.targets)


def back(home: Path) -> None:
    """What was live is live again. Raises SourceError."""
    from opsconsole.backups.swapping import back

    state = restore_state.files(home)
    for exchange in reversed((state.exchanges if state is not None else None) or ()):
        back([exchange])
        step("R03")


def clear(home: Path) -> None:
    """Remove what is not in place. Raises SourceError."""
    from opsconsole.backups.swapping import clear

    state = restore_state.files(home)
    for target in state.targets if state is not None else ():
        clear(Path(target.live), _tag(home))


def file_targets(opened: Opened, found: Scope, order: RestoreOrder) -> tuple[Target, ...]:
    """Which directories are replaced by what. Raises SourceError for a part that has no place any more."""
    from opsconsole.backups.files_placing import targets

    stack = Path(found.look.directory)
    lives = [(place.name, place.path) for place in found.places]
    lives += [(Path(path).name, Path(path)) for path in found.stack.data_directories if not Path(path).is_dir()]
    parts = [one for one in opened.parts if not order.files or one.name in order.files]
    wanted, homeless = targets(parts, lives, stack)
    if homeless:
        known = ", ".join(name for name, _ in lives) or "none"
        rest = " ".join(f"--part {kind}" for kind in (MONGO, REDIS) if any(one.kind == kind for one in opened.parts))
        without = f", or restore without files ({rest}) and unpack them by hand" if rest else ", or unpack it by hand"
        raise SourceError(
            f"no directory of this stack is the place of {', '.join(homeless)}",
            f"There are: {known}. Name it in [data] directories{without}.",
        )
    return tuple(wanted)


def _tag(home: Path) -> str:
    return home.name.rpartition("-")[2]
