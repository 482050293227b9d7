"""The tables of `metrics.sqlite`, and how an older file becomes one of today.

Times are whole seconds since 1970 in the tables of samples and milliseconds for events. Raw samples lie together by
time: a sample of 200 containers changes a few pages, not one of each series. Minutes and hours are written together
and lie by series, as they are read.
"""

from __future__ import annotations

import sqlite3

_FIRST = """
CREATE TABLE series (id INTEGER PRIMARY KEY, name TEXT NOT NULL, labels TEXT NOT NULL, UNIQUE (name, labels));
CREATE TABLE slots (at INTEGER PRIMARY KEY, writer TEXT NOT NULL);
CREATE TABLE raw (at INTEGER, series INTEGER, value REAL NOT NULL, PRIMARY KEY (at, series)) WITHOUT ROWID;
CREATE TABLE minutes (
  series INTEGER, at INTEGER, low REAL NOT NULL, mean REAL NOT NULL, high REAL NOT NULL, count INTEGER NOT NULL,
  PRIMARY KEY (series, at)
) WITHOUT ROWID;
CREATE TABLE hours (
  series INTEGER, at INTEGER, low REAL NOT NULL, mean REAL NOT NULL, high REAL NOT NULL, count INTEGER NOT NULL,
  PRIMARY KEY (series, at)
) WITHOUT ROWID;
CREATE TABLE events (
  id INTEGER PRIMARY KEY, at INTEGER NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL, text TEXT NOT NULL,
  facts TEXT NOT NULL, key TEXT UNIQUE
);
CREATE INDEX events_at ON events (at);
CREATE INDEX events_kind ON events (kind, at);
CREATE TABLE state (name TEXT PRIMARY KEY, value TEXT NOT NULL, changed INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE lease (
  one INTEGER PRIMARY KEY CHECK (one = 1), holder TEXT NOT NULL, rank INTEGER NOT NULL, taken INTEGER NOT NULL,
  expires INTEGER NOT NULL
);
CREATE TABLE marks (name TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
"""

MIGRATIONS: tuple[str, ...] = (_FIRST,)
"""Script number n makes a file of version n into one of version n + 1. Never change one that was released."""


def newest() -> int:
    return len(MIGRATIONS)


def version(connection: sqlite3.Connection) -> int:
    found: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return found


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the file to today's version, each step whole or not at all. Two who begin at once do it once."""
    while version(connection) < newest():
        connection.execute("BEGIN IMMEDIATE")
        try:
            now = version(connection)  # another may have done it while we waited
            if now < newest():
                for statement in filter(str.strip, MIGRATIONS[now].split(";\n")):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {now + 1}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
