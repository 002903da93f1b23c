"""Translates the errors of database drivers to errors on which the caller can act.

A database that is locked, full, unreachable or fails to read gives a `StoreBusyError`: the caller keeps its work and tries
again. A damaged or read-only file gives a `StoreFileError`: a retry helps after a person has restored the file. A missing
table and a violated constraint give a `StoreError`: a retry does not help.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import exc

from bgpdrift.errors import BgpdriftError, StoreBusyError, StoreError, StoreFileError

LOCKED_RETRY_S, AWAY_RETRY_S = 1.0, 10.0

# Primary result codes of SQLite (the low byte of the extended one).
_LOCKED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}
_AWAY = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOMEM}
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


@contextmanager
def translated(name: str) -> Iterator[None]:
    """Translate the driver's errors inside the block; ``name`` is the database, without its password."""
    try:
        yield
    except exc.TimeoutError as error:
        raise StoreBusyError(f"{name}: all connections of this process are in use", LOCKED_RETRY_S) from error
    except exc.StatementError as error:  # the driver's errors, and values it could not take
        raise explained(name, error.orig if error.orig is not None else error) from error
    except (sqlite3.Error, OverflowError) as error:
        raise explained(name, error) from error


def explained(name: str, error: BaseException) -> BgpdriftError:
    """Return the error that a driver's error stands for.

    Examples
    --------
    >>> locked = sqlite3.OperationalError("database is locked")
    >>> locked.sqlite_errorcode = sqlite3.SQLITE_BUSY
    >>> explained("sqlite:///a", locked)
    StoreBusyError('sqlite:///a: database is locked')
    """
    text = f"{name}: {' '.join(str(error).split())}"
    if isinstance(error, sqlite3.Error):
        return _explain_sqlite(text, getattr(error, "sqlite_errorcode", None) or 0)
    kind = type(error).__name__
    # psycopg by class name, so that the driver need not be installed: OperationalError is a lost or refused
    # connection and, by its subclasses, locks, deadlocks and a full disk; a read-only server is one after a fail-over.
    names = {base.__name__ for base in type(error).__mro__}
    if "OperationalError" in names or kind in {"InterfaceError", "ReadOnlySqlTransaction"}:
        locked = kind in {"LockNotAvailable", "DeadlockDetected", "SerializationFailure"}
        return StoreBusyError(text, LOCKED_RETRY_S if locked else AWAY_RETRY_S)
    if kind == "UndefinedTable":
        return StoreError(f"{text}; `bgpdrift doctor --migrate` creates what is missing")
    return StoreError(text)


def _explain_sqlite(text: str, code: int) -> BgpdriftError:
    primary = code & 0xFF
    if primary in _LOCKED:
        return StoreBusyError(text, LOCKED_RETRY_S)
    if primary in _AWAY:
        return StoreBusyError(text, AWAY_RETRY_S)
    if primary in _DAMAGED:
        return StoreFileError(f"{text}; the file is damaged: stop all services, restore a copy or move it away")
    if primary == sqlite3.SQLITE_READONLY:
        return StoreFileError(f"{text}; the services' user must be able to write the file and its directory")
    if "no such table" in text or "no such column" in text:
        return StoreError(f"{text}; `bgpdrift doctor --migrate` creates what is missing")
    return StoreError(text)
