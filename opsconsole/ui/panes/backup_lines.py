"""All that is known about one backup: what is wrong with it, what is in it then and now, how far it was verified, why
it is kept. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from textual.content import Content

from opsconsole.backups.retention import suspicion
from opsconsole.model import (
    OF_THE_SERVER,
    Backup,
    BackupContents,
    BackupPart,
    BackupState,
    DatabaseStatus,
    HeldPart,
    MongoStatus,
    OplogSpan,
    RedisStatus,
)
from opsconsole.text import printable
from opsconsole.ui.panes.backup_rows import (
    PROVEN,
    class_said,
    earlier_like,
    is_of_parts,
    local_time,
    part_name,
    state_of,
)
from opsconsole.ui.widgets.chart import painted
from opsconsole.ui.widgets.lines import fact, fit, flowed, longest, section, shorten_middle, wrapped
from opsconsole.ui.wording import UNKNOWN, Glyphs, Tone, ago, count, duration, plural, sign, size

_KIND = 15  # cells of the kind of a part
_NUMBER, _SMALLER = 13, 11  # cells
_CHART = 5  # lines
_MOST_FILES = 12
LEVELS = {
    0: "the manifest is whole, every file is there",
    1: "every byte is what it was (SHA-256)",
    2: "every document, key and file was read and counted",
    3: "restored into throw-away servers and compared",
}


def detail(backup: Backup, now: datetime, width: int, glyphs: Glyphs) -> list[Content]:
    """What is wrong with it, where it is, why it is kept, and every part with its size."""
    word, tone = state_of(backup)
    state = f"{sign(tone, glyphs)} {word}"
    lines = [Content.assemble((state, tone), "  ", (printable(backup.id), Tone.STRONG))]
    if is_of_parts(backup):
        asked = ", ".join(map(part_name, backup.asked))
        lines += wrapped(f"Only {asked} was asked for.", width, style=Tone.MUTED)
    else:
        lines += _wrong(backup, tone, width, glyphs)
    if backup.in_future:
        said = (
            "Its date lies in the future: it is not counted as the newest. Check the clock: no backup is made before "
        )
        said += f"that date, unless a wrong clock wrote it and `opsconsole backup misdated {backup.id}` says so."
        lines += wrapped(f"{glyphs.warning} {said}", width, style=Tone.WARNING)
    if backup.note:
        lines += wrapped(backup.note, width, style=Tone.MUTED)
    facts = [
        fact("taken", f"{local_time(backup.taken_at)} ({ago(backup.taken_at, now)})"),
        fact("size", size(backup.size_bytes)),
        fact("class", class_said(backup)),
        fact("why", backup.why) if backup.why else Content(""),
        fact("layout", backup.layout) if backup.layout != "opsconsole" else Content(""),
        fact("path", shorten_middle(backup.path, max(16, width - 5), ellipsis=glyphs.ellipsis)),
    ]
    lines += flowed(facts, width, gap=3)
    for span in backup.oplog:
        lines += wrapped(_span(span), width, style=Tone.MUTED)
    if backup.kept:
        lines += wrapped(f"{glyphs.good} kept: {backup.kept}", width, style=Tone.MUTED)
    elif backup.goes:
        lines += wrapped(f"{glyphs.warning} may go: {backup.goes}", width, style=Tone.WARNING)
    path = longest((part.path for part in backup.parts), 8, max(8, min(40, width - _KIND - 2 - 11 - 20)))
    for part in backup.parts:
        lines.append(_part(part, path, glyphs))
    return lines


def _span(span: OplogSpan) -> str:
    """Which seconds of MongoDB it holds."""
    first, last = (local_time(datetime.fromtimestamp(one.time, UTC)) for one in (span.begins, span.ends))
    if span.continues:
        return f"{span.part}: every change from {first} to {last}, after {span.continues}"
    return f"{span.part}: as of {last}, to which later changes can be added (replica set {span.replica_set})"


def _wrong(backup: Backup, tone: Tone, width: int, glyphs: Glyphs) -> list[Content]:
    lines = wrapped(backup.problem, width, style=tone) if backup.problem else []
    if backup.missing:
        missing = " and no ".join(part_name(kind) for kind in backup.missing)
        unfinished = backup.state is BackupState.UNFINISHED
        said = f"So far no {missing} in it." if unfinished else f"There is no {missing} in it, and this stack needs it."
        lines += wrapped(f"{glyphs.warning} {said}", width, style=tone)
    return lines


def _part(part: BackupPart, path: int, glyphs: Glyphs) -> Content:
    """`path`: cells of its path."""
    tone = Tone.GOOD if part.ok else Tone.BAD
    return Content.assemble(
        (f"{sign(tone, glyphs)} ", tone),
        fit(part_name(part.kind), _KIND, ellipsis=glyphs.ellipsis),
        fit(size(part.size_bytes) if part.size_bytes else "", 9, right=True),
        "  ",
        (fit(shorten_middle(part.path, path, ellipsis=glyphs.ellipsis), path), Tone.MUTED),
        "  ",
        (printable(part.note), "" if part.ok else Tone.BAD),
    )


# --- all of it -------------------------------------------------------------------------------------


def contents_lines(
    backup: Backup,
    contents: BackupContents | None,
    backups: Sequence[Backup],
    databases: Sequence[DatabaseStatus],
    now: datetime,
    width: int,
    glyphs: Glyphs,
) -> list[Content]:
    """What stands under `detail` when a backup is opened. `contents` None: they are being read."""
    lines = [Content(""), *_keeping(backup, contents, now, width, glyphs)]
    if contents is None:
        return [*lines, Content(""), Content.styled(f"{glyphs.busy} Reading its manifest.", Tone.ACCENT)]
    if contents.problem:
        lines += [Content(""), *wrapped(contents.problem, width, style=Tone.MUTED)]
    for part in contents.parts:
        lines += [Content(""), *_held(part, databases, width, glyphs)]
    made = [
        fact("took", duration(contents.seconds)) if contents.seconds is not None else Content(""),
        fact("on", contents.host) if contents.host else Content(""),
        fact("release", contents.release) if contents.release else Content(""),
        fact("by opsconsole", contents.made_by) if contents.made_by else Content(""),
        fact("encrypted to", plural(len(contents.encrypted_to), "key")) if contents.encrypted_to else Content(""),
    ]
    if any(one.plain for one in made):
        lines += [Content(""), section("Made", width, glyphs), *flowed(made, width, gap=3)]
    return [*lines, *_sizes(backup, backups, width, glyphs)]


def _keeping(
    backup: Backup, contents: BackupContents | None, now: datetime, width: int, glyphs: Glyphs
) -> list[Content]:
    lines = [section("Verified", width, glyphs)]
    checks = sorted(contents.checks, key=lambda one: one.level, reverse=True) if contents is not None else []
    for check in checks:
        tone = Tone.BAD if check.problem else Tone.GOOD
        said = check.problem or LEVELS.get(check.level, "")
        head = Content.assemble(
            (f"{sign(tone, glyphs)} L{check.level}", tone),
            f"  {local_time(check.at)[:16]}",
            (f"  {ago(check.at, now):<12} ", Tone.MUTED),
        )
        told = wrapped(said, width - head.cell_length, style=tone if check.problem else Tone.PLAIN)
        lines += [line.pad_left(head.cell_length) if at else head + line for at, line in enumerate(told)]
    if contents is not None and not any(one.level >= PROVEN and not one.problem for one in checks):
        said = "never verified" if not checks else "never restored to prove it (L3)"
        lines.append(Content.styled(f"{glyphs.off} {said}", Tone.MUTED))
    if contents is not None and contents.pinned_why:
        lines += wrapped(f"pinned: {contents.pinned_why}", width)
    lines += [Content(""), section("Elsewhere", width, glyphs)]
    for copy in backup.copies:
        tone = Tone.GOOD if copy.verified else Tone.WARNING
        how = "compared there" if copy.verified else "not compared there"
        said = f"{sign(tone, glyphs)} copy in {copy.place}, {local_time(copy.at)[:16]}, {how}"
        lines += wrapped(said, width, style=Tone.PLAIN if copy.verified else tone)
    if not backup.copies:
        lines.append(Content.styled(f"{glyphs.off} it lies nowhere else", Tone.MUTED))
    return lines


def _held(part: HeldPart, databases: Sequence[DatabaseStatus], width: int, glyphs: Glyphs) -> list[Content]:
    """One part: where it comes from, how sure it is, its files, and what is in it beside what is there now."""
    name = "" if part.name in (part.kind, "config") else f" {part.name}"
    lines = [section(printable(f"{part_name(part.kind)[:1].upper()}{part_name(part.kind)[1:]}{name}"), width, glyphs)]
    facts = [
        fact("server", part.server) if part.server else Content(""),
        fact("of", part.source) if part.source else Content(""),
        fact("consistency", part.consistency) if part.consistency else Content(""),
        fact("took", duration(part.seconds)) if part.seconds else Content(""),
        fact("unpacked", size(part.content_size)) if part.content_size else Content(""),
        fact("entries", count(part.members)) if part.members else Content(""),
    ]
    lines += flowed(facts, width, gap=3)
    for file in part.files[:_MOST_FILES]:
        lines.append(Content.assemble((fit(size(file.size), 10, right=True), ""), f"  {printable(file.path)}"))
    if len(part.files) > _MOST_FILES:
        lines.append(Content.styled(f"and {plural(len(part.files) - _MOST_FILES, 'more file')}", Tone.MUTED))
    lines += _collections(part, live_documents(databases, part.name), width, glyphs)
    lines += _keys(part, live_keys(databases, part.name), width, glyphs)
    for note in part.notes:
        lines += wrapped(f"{glyphs.warning} {note}", width, style=Tone.WARNING)
    if part.changed:
        said = f"changed while they were read: {', '.join(part.changed[:3])}"
        more = f" and {len(part.changed) - 3} more" if len(part.changed) > 3 else ""
        lines += wrapped(f"{glyphs.warning} {said}{more}", width, style=Tone.WARNING)
    return lines


def _collections(part: HeldPart, live: Mapping[str, int | None] | None, width: int, glyphs: Glyphs) -> list[Content]:
    if not part.collections:
        return []
    paths = {f"{one.database}.{one.name}": one for one in part.collections}
    name = min(longest(paths, 10, 60), max(10, width - 2 * _NUMBER - 12))
    wide = width >= name + 2 * _NUMBER + 3 * _SMALLER
    lines = [_table_head("Collection", name, ("Documents", "Now", "Change", *(("Size", "Indexes") if wide else ())))]
    for path, one in sorted(paths.items()):
        now = live.get(path) if live is not None else None
        is_view = one.kind == "view"
        cells: list[tuple[str, str]] = [
            ("view" if is_view else count(one.documents), Tone.MUTED if is_view else ""),
            *_now(
                one.documents,
                now,
                # Nobody counts the server's own while it runs: not known, and not gone.
                gone=live is not None and path not in live and one.database not in OF_THE_SERVER,
                is_view=is_view,
            ),
        ]
        if wide:
            cells += [("" if is_view else size(one.size), ""), ("" if is_view else str(one.indexes), Tone.MUTED)]
        lines.append(_table_row(path, name, cells, glyphs))
    new = sorted(path for path in live or {} if path not in paths and _is_of(path, part))
    for path in new:
        now = (live or {})[path]
        lines.append(_table_row(path, name, [("not in it", Tone.WARNING), (count(now), ""), ("", "")], glyphs))
    if live is None:
        lines.append(Content.styled("What is there now is not known: the server was not asked.", Tone.MUTED))
    return lines


def _is_of(path: str, part: HeldPart) -> bool:
    """Whether a live collection belongs to a database of the part and is none of the server's own."""
    database, _, name = path.partition(".")
    return database in {one.database for one in part.collections} and not name.startswith("system.")


def _keys(part: HeldPart, live: Mapping[int, int] | None, width: int, glyphs: Glyphs) -> list[Content]:
    if part.kind != "redis":
        return []
    name = min(30, max(10, width - 2 * _NUMBER - 2 * _SMALLER))
    lines = [_table_head("Database", name, ("Keys", "Now", "Change", "Expire"))]
    held = {one.database: one for one in part.keys}
    for number in sorted(held.keys() | (live or {}).keys()):
        one = held.get(number)
        now = live.get(number, 0) if live is not None else None
        cells = [
            (count(one.keys) if one else "not in it", "" if one else Tone.WARNING),
            *((text, Tone.MUTED if tone is Tone.WARNING else tone) for text, tone in _now(one.keys if one else 0, now)),
            (count(one.expiring) if one else "", Tone.MUTED),
        ]
        lines.append(_table_row(f"database {number}", name, cells, glyphs))
    if live is None:
        lines.append(Content.styled("What is there now is not known: the server was not asked.", Tone.MUTED))
    return lines


def _now(then: int, now: int | None, *, gone: bool = False, is_view: bool = False) -> Iterator[tuple[str, str]]:
    """The count of now, and the change since; a collection that is gone is a warning."""
    if gone:
        yield "is gone", Tone.WARNING
        yield "", ""
    elif now is None or is_view:
        yield "" if is_view else UNKNOWN, Tone.MUTED
        yield "", ""
    else:
        yield count(now), ""
        yield f"{now - then:+,}" if now != then else "same", Tone.WARNING if now < then else Tone.MUTED


def _table_head(title: str, name: int, titles: Sequence[str]) -> Content:
    cells = "".join(fit(one, _NUMBER if at < 2 else _SMALLER, right=True) for at, one in enumerate(titles))
    return Content.styled(fit(title, name) + cells, Tone.MUTED)


def _table_row(title: str, name: int, cells: Sequence[tuple[str, str]], glyphs: Glyphs) -> Content:
    return Content.assemble(
        fit(shorten_middle(title, name, ellipsis=glyphs.ellipsis), name),
        *((fit(text, _NUMBER if at < 2 else _SMALLER, right=True), tone) for at, (text, tone) in enumerate(cells)),
    )


def live_documents(databases: Sequence[DatabaseStatus], name: str) -> dict[str, int | None] | None:
    """Documents now by "database.collection" of a MongoDB server; None when it was not asked."""
    found = _status(databases, name, MongoStatus)
    if not isinstance(found, MongoStatus) or not found.listed:
        return None
    return {f"{one.name}.{each.name}": each.documents for one in found.databases for each in one.collections}


def live_keys(databases: Sequence[DatabaseStatus], name: str) -> dict[int, int] | None:
    """Keys now by database of a Redis server; None when it was not asked."""
    found = _status(databases, name, RedisStatus)
    if not isinstance(found, RedisStatus) or not found.reachable:
        return None
    return {one.database: one.keys for one in found.keyspaces}


def _status(databases: Sequence[DatabaseStatus], name: str, kind: type[DatabaseStatus]) -> DatabaseStatus | None:
    """The server of that name, or the only one that there is."""
    there = [one for one in databases if isinstance(one, kind)]
    named = [one for one in there if one.target.name == name]
    return named[0] if named else there[0] if len(there) == 1 else None


def _sizes(backup: Backup, backups: Sequence[Backup], width: int, glyphs: Glyphs) -> list[Content]:
    """How its size and that of those like it before went."""
    earlier = earlier_like(backup, backups)
    if not earlier:
        return []
    history = [*(one.size_bytes for one in reversed(earlier)), backup.size_bytes]
    most = max(history)
    cells = min(width - 1, max(24, 3 * len(history)))
    each = max(1, cells // len(history))
    values = [float(one) for one in history for _ in range(each)][-cells:]
    lines = [Content(""), section("Sizes", width, glyphs, f"{plural(len(history), 'backup')} of its like")]
    lines += painted(values, len(values), _CHART, high=most, ascii=glyphs.ascii)
    facts = [
        fact("oldest", f"{size(history[0])}, {local_time(earlier[-1].taken_at)[:10]}"),
        fact("largest", size(most)),
        fact("this one", size(backup.size_bytes)),
    ]
    lines += flowed(facts, width, gap=3)
    if doubt := suspicion(backup.size_bytes, [one.size_bytes for one in earlier]):
        lines += wrapped(f"{glyphs.warning} It {doubt}.", width, style=Tone.WARNING)
    return lines
