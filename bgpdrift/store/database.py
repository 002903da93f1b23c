"""The base of all queries: short transactions with translated errors, upserts by key, cursors.

This module decides how rows are written: checked first, then in one transaction, by key, so that writing them twice
changes nothing.
"""

import importlib
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any, Generic

from sqlalchemy import JSON, Connection, Executable, Select, Table, Text, bindparam, func, select, type_coerce
from sqlalchemy.engine import Engine
from sqlalchemy.engine import Row as SqlRow

from bgpdrift.clock import Clock, SystemClock
from bgpdrift.errors import StoreError, StoreReplacedError
from bgpdrift.store import schema
from bgpdrift.store.codec import V, decode, encode
from bgpdrift.store.cursor_states import STORE_CURSOR, StoreIdentity
from bgpdrift.store.engine import DURABLE, WRITE, check_files, shown
from bgpdrift.store.errors_map import translated
from bgpdrift.store.rows import Row, prepared
from bgpdrift.store.wal import keep_wal_small

IDENTITY_RETRY_S = 2.0


@dataclass(frozen=True)
class Cursor:
    """A position; it is committed together with what its owner wrote.

    Examples
    --------
    >>> Cursor("drift_monitor:scores", position=17).position
    17
    """

    name: str
    """``<service>`` or ``<service>:<what>``."""
    position: int
    """Row id, segment number or event time, depending on the owner."""


@dataclass(frozen=True)
class StateCursor(Generic[V]):
    """A position with a typed state; both are committed together with what their owner wrote."""

    name: str
    position: int
    state: V
    written_at: float | None = field(default=None, compare=False)
    """Wall clock of the last write, epoch seconds; None for a cursor that was not read from the store."""


AnyCursor = Cursor | StateCursor[Any]


class Database:
    """Connections, transactions and upserts; `Store` adds the queries."""

    def __init__(self, engine: Engine, clock: Clock | None = None) -> None:
        self._engine = engine
        self._writer = engine.execution_options(**{WRITE: True})
        self._durable = engine.execution_options(**{WRITE: True, DURABLE: True})
        self._clock = clock or SystemClock()
        self._shared = threading.local()
        self._identity: str | None = None
        self.name = shown(engine.url)

    @property
    def dialect(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self._engine.dialect.name

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open one consistent view of all tables for the duration of the block; keep the block short."""
        shared = getattr(self._shared, "connection", None)
        if shared is not None:
            yield shared
            return
        with translated(self.name), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def consistent_reads(self) -> Iterator[None]:
        """Let all queries of this thread inside the block read one consistent view; keep the block short."""
        with self.reading() as connection:
            self._shared.connection = connection
            try:
                yield
            finally:
                del self._shared.connection

    @contextmanager
    def writing(self, durable: bool = False) -> Iterator[Connection]:
        """Open a transaction, which is committed at the end of the block or not at all.

        If the database file was removed or replaced before the end, an error is raised although the transaction was
        committed, because it may be lost: the caller must write it again.

        Parameters
        ----------
        durable : bool
            Return only when a power loss cannot undo it. SQLite then flushes the log; PostgreSQL always does.
        """
        engine = self._durable if durable else self._writer
        with translated(self.name), engine.connect() as connection:
            with connection.begin():
                self._require_same_identity(connection)
                yield connection
            check_files(connection)
            keep_wal_small(connection)

    def remember_identity(self) -> None:
        """Remember which database this is; a later write into another one raises `StoreReplacedError`."""
        with self.reading() as connection:
            self._identity = _read_identity(connection)

    def _require_same_identity(self, connection: Connection) -> None:
        if self._identity is None:
            return
        found = _read_identity(connection)
        if found != self._identity:
            reason = (
                f"expected the database {self._identity or 'without identity'}, found {found or 'one without identity'}"
            )
            raise StoreReplacedError(f"{self.name}: {reason}", IDENTITY_RETRY_S)

    def check(self) -> None:
        """Raise the error of a transaction that cannot begin, e.g. because the database file was removed or replaced."""
        with self.reading():
            pass

    def rows(self, statement: Executable) -> list[Row]:
        """Read all rows of a query, as dicts by column name."""
        with self.reading() as connection:
            result = connection.execute(statement)
            names = tuple(result.keys())
            return [dict(zip(names, row, strict=True)) for row in result]

    def newest(self, table: Table, column: str = "window_start") -> int | None:
        """Read the largest value of a column; None without rows."""
        value = self.rows(select(func.max(table.c[column]).label("value")))[0]["value"]
        return None if value is None else int(value)

    def columns_after(
        self, table: Table, names: Sequence[str], row_id: int, limit: int, parse_json: bool = True
    ) -> list[tuple[Any, ...]]:
        """Read some columns of the next rows by id, at most ``limit``, as plain tuples."""
        query = _select_after(table.name, tuple(names), parse_json)
        with self.reading() as connection:
            return [tuple(row) for row in connection.execute(query, {"row_id": row_id, "limit": limit})]

    def upsert(
        self,
        connection: Connection,
        table: Table,
        rows: Sequence[Mapping[str, Any]],
        key: tuple[str, ...],
        keep: tuple[str, ...] = (),
    ) -> None:
        """Insert rows, or overwrite those with the same key; their ids stay.

        The driver runs one statement for each row, so that the number of values has no limit. A key that occurs twice
        in ``rows`` is written twice; one statement with all rows would be refused.

        Parameters
        ----------
        connection : Connection
            The connection of `writing`.
        table : Table
            The table to write.
        rows : sequence of mapping
            Rows as `bgpdrift.store.rows.prepared` accepts them.
        key : tuple of str
            Columns of a unique index.
        keep : tuple of str
            Columns that an existing row keeps.
        """
        if rows:
            ready = prepared(table, rows, self._clock.now())
            if "id" in key:
                for row, given in zip(ready, rows, strict=True):
                    row["id"] = given["id"]
            try:
                connection.execute(_upsert_statement(self.dialect, table, key, keep), ready)
            except (TypeError, ValueError) as error:  # raised in psycopg's JSON encoding
                raise StoreError(f"{table.name}: a value that is not JSON: {error}") from error

    def put_cursor(self, cursor: AnyCursor) -> None:
        """Write a cursor in a transaction of its own."""
        with self.writing() as connection:
            self.write_cursor(connection, cursor)

    def clear_cursor(self, name: str, position: int) -> None:
        """Write a position and remove the state that the cursor had."""
        self.put_cursor(Cursor(name, position))

    def write_cursor(self, connection: Connection, cursor: AnyCursor | None) -> None:
        """Write a cursor inside a transaction; None writes nothing."""
        if cursor is not None:
            details = encode(cursor.state) if isinstance(cursor, StateCursor) else {}
            row = {"name": cursor.name, "position": cursor.position, "details": details}
            self.upsert(connection, schema.cursors, [row], key=("name",))

    def read_position(self, name: str) -> int:
        """Read the position of a cursor; 0 if it does not exist."""
        with self.reading() as connection:
            row = connection.execute(_select_cursor(name)).first()
        return row.position if row else 0

    def read_state(self, name: str, kind: type[V]) -> StateCursor[V] | None:
        """Read a cursor with its state; None if the cursor does not exist or has no state.

        Raises
        ------
        StoreError
            The state has a later schema version, or it is damaged and its type does not allow default values.
        """
        with self.reading() as connection:
            return _decode_cursor(name, connection.execute(_select_cursor(name)).first(), kind)

    def lock_position(self, connection: Connection, name: str) -> int:
        """Read a position inside a transaction that will move it; other transactions that lock it wait.

        A cursor that does not exist is written with position 0, so that there is a row to lock.
        """
        row = self._lock_cursor(connection, name)
        return row.position if row else 0

    def lock_state(self, connection: Connection, name: str, kind: type[V]) -> StateCursor[V] | None:
        """Read a cursor with its state, as `read_state` does, and lock it, as `lock_position` does."""
        return _decode_cursor(name, self._lock_cursor(connection, name), kind)

    def _lock_cursor(self, connection: Connection, name: str) -> "CursorRow":
        query = _select_cursor(name).with_for_update()
        row = connection.execute(query).first()
        if row is None:
            (new,) = prepared(schema.cursors, [{"name": name, "position": 0}], self._clock.now())
            connection.execute(_insert_if_new(self.dialect, schema.cursors, ("name",)), new)
            row = connection.execute(query).first()  # the new row, or one that another transaction wrote meanwhile
        return row

    def close(self) -> None:
        """Close the connections; a later query opens new ones."""
        self._engine.dispose()


CursorRow = SqlRow[tuple[int, Any, float]] | None


def create_identity(connection: Connection) -> None:
    """Give a database an identity inside a transaction, if it has none."""
    row = {"name": STORE_CURSOR, "position": 0, "details": encode(StoreIdentity(id=uuid.uuid4().hex))}
    (ready,) = prepared(schema.cursors, [row], SystemClock().now())
    connection.execute(_insert_if_new(connection.dialect.name, schema.cursors, ("name",)), ready)


def _read_identity(connection: Connection) -> str:
    cursor = _decode_cursor(STORE_CURSOR, connection.execute(_select_cursor(STORE_CURSOR)).first(), StoreIdentity)
    return cursor.state.id if cursor else ""


def _select_cursor(name: str) -> Select[tuple[int, Any, float]]:
    table = schema.cursors
    return select(table.c.position, table.c.details, table.c.updated_at).where(table.c.name == name)


def _decode_cursor(name: str, row: CursorRow, kind: type[V]) -> StateCursor[V] | None:
    if row is None or row.details == {}:
        return None
    return StateCursor(name, row.position, decode(kind, row.details, f"cursors.details of {name}"), row.updated_at)


@cache
def _upsert_statement(dialect: str, table: Table, key: tuple[str, ...], keep: tuple[str, ...]) -> Executable:
    if dialect not in {"sqlite", "postgresql"}:
        raise StoreError(f"expected SQLite or PostgreSQL, found {dialect}")
    # Only the dialect in use is loaded, because loading that of PostgreSQL takes a tenth of a second.
    insert = importlib.import_module(f"sqlalchemy.dialects.{dialect}").insert(table)
    names = [column.name for column in table.columns if column.name not in (*key, *keep, "id")]
    overwritten = {name: insert.excluded[name] for name in names}
    statement: Executable = insert.on_conflict_do_update(index_elements=list(key), set_=overwritten)
    return statement


@lru_cache(maxsize=16)
def _select_after(name: str, names: tuple[str, ...], parse_json: bool) -> Select[Any]:
    # Cached, because building a statement with seventy columns takes longer than reading a few rows.
    table = schema.metadata.tables[name]
    columns = (table.c[name] for name in names)
    if parse_json:
        query = select(*columns)
    else:
        query = select(*(type_coerce(column, Text) if isinstance(column.type, JSON) else column for column in columns))
    query = query.where(table.c.id > bindparam("row_id"))
    return query.order_by(table.c.id).limit(bindparam("limit"))


@cache
def _insert_if_new(dialect: str, table: Table, key: tuple[str, ...]) -> Executable:
    insert = importlib.import_module(f"sqlalchemy.dialects.{dialect}").insert(table)
    statement: Executable = insert.on_conflict_do_nothing(index_elements=list(key))
    return statement
