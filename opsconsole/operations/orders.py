"""What is ordered of an operation: which backup, which restore, which files, which server. Part of its plan."""

from __future__ import annotations

from datetime import datetime

from opsconsole.database_work import RedisClient
from opsconsole.model import BackupClass, Record, RunningOperation


class ServiceEdit(Record, frozen=True):
    """What `stack.compose_edit` inserts into a compose file."""

    service: str
    options: tuple[str, ...]  # at the end of its command
    image: tuple[str, ...] = ()  # the command of its image, where it names none
    volume: str = ""  # one more


class NewFile(Record, frozen=True):
    """A compose or env file that a rollback of the configuration puts in place, from a release or from a commit.

    What it says is not in the plan: it may be a secret.
    """

    path: str  # relative to the stack's directory, or absolute
    sha256: str = ""  # of its new content; "" when the file goes
    release: str = ""  # "r2"
    commit: str = ""  # whole id
    stored: str = ""  # below the release's directory, or the id of the content in git
    backup: str = ""  # whole path of the file in a backup, or where an operation kept it
    edit: ServiceEdit | None = None  # the file that is there, with lines put in


class BackupOrder(Record, frozen=True):
    """What backup is to be made."""

    backup_class: BackupClass = BackupClass.MANUAL
    why: str = ""
    critical: bool = False  # kept for ever
    incremental: bool = False  # only what a replica set wrote since the last backup
    parts: tuple[str, ...] = ()  # kinds; () is everything that the stack has
    databases: tuple[str, ...] = ()  # of a MongoDB beside the stack, besides the stack's own


class RestoreOrder(Record, frozen=True):
    """What is to be restored from which backup. Nothing chosen is everything that holds data."""

    backup: str  # its id
    path: str = ""
    identity: str = ""  # SHA-256 of its manifest, "" for a layout that has none
    parts: tuple[str, ...] = ()  # kinds
    servers: tuple[str, ...] = ()  # names of the databases' servers, where a stack has several of a kind
    databases: tuple[str, ...] = ()  # of MongoDB
    collections: tuple[str, ...] = ()  # "database.collection"
    to: tuple[tuple[str, str], ...] = ()  # database of the backup, and the one that it is restored to
    redis_databases: tuple[int, ...] = ()
    redis_keys: tuple[str, ...] = ()  # patterns as KEYS takes them
    redis_by_files: tuple[str, ...] = ()  # servers without a free database: their data directories are exchanged
    files: tuple[str, ...] = ()  # names of files parts
    users: bool = False  # MongoDB's users and roles, too
    at: datetime | None = None  # MongoDB as it was at the end of this second: `backup` and then `slices`
    slices: tuple[str, ...] = ()  # ids of incremental backups, oldest first
    undoes: str = ""  # id of the restore that is undone by this one


class ImportOrder(Record, frozen=True):
    """Documents of a JSON file, and where they go."""

    path: str
    database: str
    collection: str
    mode: str = "new"  # "new", "add" or "upsert"
    server: str = ""  # name of the target; "" where the stack has only one, or only one has the database
    file: tuple[int, int, int] = (0, 0, 0)  # its size, when it was written, its inode: as the plan saw it
    ids: bytes = b""  # with what the ids of documents that have none begin, so that one goes on with the same


class SetOrder(Record, frozen=True):
    """Which MongoDB becomes a replica set of one node, or stops being one."""

    server: str  # name of the target
    service: str = ""  # "" for one beside the stack
    member: str = ""  # host:port by which clients reach it
    name: str = "rs0"
    key: str = ""  # path of the key file that is made, relative to the stack's directory
    user: int = 0  # numbers of the key file's owner
    group: int = 0
    undoes: str = ""  # id of the operation that made it a set


class DatabaseOrder(Record, frozen=True):
    """What is done at which database server."""

    kind: str  # "mongodb" or "redis"
    server: str = ""  # its name; "" where there is one of its kind
    collections: tuple[str, ...] = ()  # "database.collection"; () is all of them
    index: str = ""
    made_of: str = ""  # the index, as canonical Extended JSON
    running: RunningOperation | None = None
    client: RedisClient | None = None
    redis_database: int | None = None  # None is all of them
