"""Databases and their collections as the rows of one tree. Pure functions and the table that shows them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from textual.widgets import Input

from opsconsole.model import OF_THE_SERVER, Collection, DatabaseStatus, MongoDatabase, MongoStatus
from opsconsole.ui.widgets.columns import CellText, Column
from opsconsole.ui.widgets.row_table import RowTable
from opsconsole.ui.wording import UNKNOWN, Glyphs, Tone, count, plural, size


@dataclass(frozen=True, slots=True)
class Row:
    """A database, or a collection of it. `parent` is what the rows of one database have in common."""

    server: str
    database: MongoDatabase
    collection: Collection | None = None
    old: bool = False  # the server is away: this is what it said last

    @property
    def parent(self) -> str:
        return f"{self.server}/{self.database.name}"

    @property
    def key(self) -> str:
        return self.parent if self.collection is None else f"{self.parent}/{self.collection.name}"

    @property
    def name(self) -> str:
        return self.database.name if self.collection is None else self.collection.name


def rows_of(statuses: Iterable[DatabaseStatus], is_open: Callable[[str], bool]) -> list[Row]:
    """Every database, the application's first, and the collections of those that are open."""
    rows: list[Row] = []
    for status in statuses:
        if not isinstance(status, MongoStatus):
            continue
        wanted = status.target.database
        for database in sorted(status.databases, key=lambda one: _place(one, wanted)):
            row = Row(status.target.name, database, old=not status.reachable)
            rows.append(row)
            if is_open(row.parent):
                rows += [
                    Row(row.server, database, collection, row.old)
                    for collection in sorted(database.collections, key=lambda one: (-(one.data_bytes or 0), one.name))
                ]
    return rows


def _place(database: MongoDatabase, wanted: str) -> tuple[bool, bool, int, str]:
    return database.name != wanted, database.name in OF_THE_SERVER, -(database.data_bytes or 0), database.name


def total(row: Row, field: str) -> int | None:
    """A number of a collection, or of a database: its own, else the sum over its collections as far as known."""
    if row.collection is not None:
        return getattr(row.collection, field)  # type: ignore[no-any-return]
    own = getattr(row.database, field, None)
    if own is not None:
        return int(own)
    known = [value for each in row.database.collections if (value := getattr(each, field)) is not None]
    return sum(known) if known else None


class CollectionTable(RowTable[Row]):
    """The tree. Sorting keeps a database and its collections together; a filter looks into closed databases too."""

    def __init__(
        self, glyphs: Callable[[], Glyphs], is_open: Callable[[str], bool], refill: Callable[[str], None]
    ) -> None:
        self._glyphs = glyphs
        self._is_open = is_open
        self._refill = refill
        super().__init__(
            self._columns(),
            key=lambda row: row.key,
            empty="No databases are known yet.",
            marks=False,
            muted=lambda row: row.old or row.database.name in OF_THE_SERVER,
            search=_searched,
        )

    def on_input_changed(self, event: Input.Changed) -> None:
        self._refill(event.value)  # before RowTable filters: the rows of closed databases come in

    def _columns(self) -> tuple[Column[Row], ...]:
        return (
            Column("name", "Database / collection", 22, self._titled, grow=True, most=60, order=self._by_name),
            self._number("documents", "Documents", 10, 0, count),
            self._number("data_bytes", "Data", 9, 1, size),
            self._number("storage_bytes", "On disk", 9, 2, size),
            self._number("index_bytes", "Index size", 10, 3, size),
            self._number("indexes", "Indexes", 7, 4, count),
            Column("kind", "Kind", 15, _kind, priority=5, order=lambda row: self._beside(row, _kind(row))),
        )

    def _number(
        self, field: str, title: str, width: int, priority: int, said: Callable[[float | None], str]
    ) -> Column[Row]:
        return Column(
            field,
            title,
            width,
            lambda row: said(total(row, field)),
            priority=priority,
            align="right",
            order=lambda row: self._with_parent(row, field),
            descending=True,
        )

    def _titled(self, row: Row) -> CellText:
        glyphs = self._glyphs()
        if row.collection is not None:
            return f"    {row.name}"
        opened, closed = ("v", ">") if glyphs.ascii else ("▾", "▸")
        sign = opened if self._is_open(row.parent) else closed
        return f"{sign} {row.name}", Tone.STRONG

    def _first(self, row: Row) -> int:
        """Puts a database before its collections in either direction."""
        return int((row.collection is None) == self._lines.reverse)

    def _by_name(self, row: Row) -> tuple[str, str, int, str]:
        return row.database.name.casefold(), row.parent, self._first(row), row.name.casefold()

    def _beside(self, row: Row, value: str) -> tuple[str, int, str]:
        return row.parent, self._first(row), value

    def _with_parent(self, row: Row, field: str) -> tuple[int, str, int, int]:
        whole, own = total(Row(row.server, row.database), field), total(row, field)
        return -1 if whole is None else whole, row.parent, self._first(row), -1 if own is None else own


def _searched(row: Row) -> str:
    """A database is found by its own name and by those of its collections, so a hit never stands without it."""
    names = [row.name] if row.collection is not None else [each.name for each in row.database.collections]
    return " ".join((row.database.name, *names))


def _kind(row: Row) -> str:
    if row.collection is not None:
        return row.collection.kind
    known = row.database.collections
    return plural(len(known), "collection") if known or not row.database.data_bytes else UNKNOWN
