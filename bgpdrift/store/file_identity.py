"""Notices that the files of a SQLite database were removed or replaced while this process has them open.

A connection goes on with the file that it opened, also after another file took its name or none is left. What it writes is then
lost, and what it reads is out of date. Each transaction therefore compares device and inode of the database and of its log with
those of the connection. This module decides what differs; `bgpdrift.store.engine` asks before each transaction and
`bgpdrift.store.database` after each commit.
"""

from pathlib import Path
from typing import Final, NamedTuple

from bgpdrift.errors import BgpdriftError, StoreFileError, StoreReplacedError

RETRY_S: Final = 2.0


class FileId(NamedTuple):
    """Identity of a file, whatever its name."""

    device: int
    inode: int


class OpenFiles(NamedTuple):
    """Identity of the files of one connection."""

    database: FileId | None
    log: FileId | None
    """None for a database without a write-ahead log."""


def identify_files(database: Path) -> OpenFiles:
    """Return the identity of the files that now have the names of a database and its log; None for one that does not exist."""
    return OpenFiles(_identify(database), _identify(database.with_name(database.name + "-wal")))


def find_problem(database: Path, opened: OpenFiles) -> BgpdriftError | None:
    """Return the error that a connection must raise because its files are no longer those of the database; None if they are.

    Parameters
    ----------
    database : Path
        The file of the database.
    opened : OpenFiles
        The files when the connection was opened.
    """
    now = identify_files(database)
    if now.database is None:
        return StoreFileError(
            f"{database}: the database file was removed; put it back, or restart all services", RETRY_S
        )
    if now.database != opened.database:
        return StoreReplacedError(f"{database}: another file took the place of the database", RETRY_S)
    if opened.log is not None and now.log != opened.log:
        return StoreReplacedError(f"{database}-wal: the log of the database was removed or replaced", RETRY_S)
    return None


def _identify(path: Path) -> FileId | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return FileId(found.st_dev, found.st_ino)
