"""The ground under every query: short transactions with translated errors, upserts by key, cursors.

Decides how rows are written: checked first, then in one transaction, by key, so that doing it twice changes nothing.
"""

import importlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any, Generic

from sqlalchemy import JSON, Connection, Executable, Select, Table, Text, bindparam, func, select, type_coerce
from sqlalchemy.engine import Engine

from bgpdrift.clock import Clock, SystemClock
from bgpdrift.errors import StoreError
from bgpdrift.store import schema
from bgpdrift.store.codec import V, decode, encode
from bgpdrift.store.engine import DURABLE, WRITE, shown
from bgpdrift.store.errors_map import translated
from bgpdrift.store.rows import Row, prepared
from bgpdrift.store.wal import keep_wal_small


@dataclass(frozen=True)
class Cursor:
    """How far a reader or writer has come; committed together with what it wrote.

    Examples
    --------
    >>> Cursor("feature_aggregator", position=17, details={"segment": 4}).position
    17
    """

    name: str
    """``<service>`` or ``<service>:<what>``."""
    position: int
    """What the owner counts by: a row id, a segment's sequence number."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """Anything else the owner needs to go on, as JSON."""
    written_at: float | None = field(default=None, compare=False)


@dataclass(frozen=True)
class StateCursor(Generic[V]):
    """A position with a typed state; both are committed together with what the owner wrote.

    Examples
    --------
    >>> StateCursor("events", 17, StoredValue()).state.schema_version
    2
    """

    name: str
    """``<service>`` or ``<service>:<what>``."""
    position: int
    """What the owner counts: a row id, a segment number, an event time."""
    state: V
    written_at: float | None = field(default=None, compare=False)
    """Wall clock of the last write, epoch seconds; None for a cursor that was not read from the store."""


class Database:
    """Connections, transactions and upserts; `Store` adds the queries."""

    def __init__(self, engine: Engine, clock: Clock | None = None) -> None:
        self._engine = engine
        self._writer = engine.execution_options(**{WRITE: True})
        self._durable = engine.execution_options(**{WRITE: True, DURABLE: True})
        self._clock = clock or SystemClock()
        self._shared = threading.local()
        self.name = shown(engine.url)

    @property
    def dialect(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self._engine.dialect.name

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent view of all tables, for as long as the block lasts: keep it short."""
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
        """One transaction, committed at the end of the block or not at all.

        Parameters
        ----------
        durable : bool
            Return only once a power loss cannot take it back; SQLite flushes the log, PostgreSQL always does.
        """
        engine = self._durable if durable else self._writer
        with translated(self.name), engine.connect() as connection:
            with connection.begin():
                yield connection
            keep_wal_small(connection)

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

        One statement, run for each row by the driver, rather than one statement with all rows: it meets no limit on
        the number of values, and a key that comes twice in ``rows`` is written twice instead of refused.

        Parameters
        ----------
        connection : Connection
            Of `writing`.
        table : Table
            Where to.
        rows : sequence of mapping
            See `bgpdrift.store.rows.prepared`.
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

    def put_cursor(self, cursor: "AnyCursor") -> None:
        """Write a cursor in a transaction of its own."""
        with self.writing() as connection:
            self.write_cursor(connection, cursor)

    def clear_cursor(self, name: str, position: int) -> None:
        """Remove the state of a cursor and keep its position."""
        self.put_cursor(Cursor(name, position))

    def write_cursor(self, connection: Connection, cursor: "AnyCursor | None") -> None:
        """Write a cursor inside a transaction; None writes nothing."""
        if cursor is not None:
            details = encode(cursor.state) if isinstance(cursor, StateCursor) else dict(cursor.details)
            row = {"name": cursor.name, "position": cursor.position, "details": details}
            self.upsert(connection, schema.cursors, [row], key=("name",))

    def locked_cursor(self, connection: Connection, name: str) -> Cursor | None:
        """Read a cursor inside a transaction that will move it: whoever else would has to wait until it ends.

        A cursor that is not there yet is made, at 0, so that there is something to lock; None tells that it was not.
        """
        table = schema.cursors
        columns = (table.c.position, table.c.details, table.c.updated_at)
        query = select(*columns).where(table.c.name == name).with_for_update()
        found = connection.execute(query).first()
        if found is not None:
            return Cursor(name, *found)
        (row,) = prepared(table, [{"name": name, "position": 0}], self._clock.now())
        inserted = connection.execute(_insert_if_new(self.dialect, table, ("name",)), row).rowcount
        if inserted:
            return None
        found = connection.execute(query).first()  # another one made it meanwhile
        return None if found is None else Cursor(name, *found)

    def read_cursor(self, name: str) -> Cursor | None:
        """Read how far ``name`` has come; None if it never wrote."""
        table = schema.cursors
        query = select(table.c.position, table.c.details, table.c.updated_at).where(table.c.name == name)
        with self.reading() as connection:
            row = connection.execute(query).first()
        return None if row is None else Cursor(name, *row)

    def read_state(self, name: str, kind: type[V]) -> StateCursor[V] | None:
        """Read a cursor with its state; None if the cursor does not exist or has no state.

        Raises
        ------
        StoreError
            The state is of a later schema version, or is damaged and its type does not allow a new start.
        """
        cursor = self.read_cursor(name)
        return None if cursor is None else typed_cursor(cursor, kind)

    def read_position(self, name: str) -> int:
        """Read the position of a cursor; 0 if it does not exist."""
        cursor = self.read_cursor(name)
        return cursor.position if cursor else 0

    def close(self) -> None:
        """Give the connections back; the store can be used again, and opens new ones."""
        self._engine.dispose()


AnyCursor = Cursor | StateCursor[Any]


def typed_cursor(cursor: Cursor, kind: type[V]) -> StateCursor[V] | None:
    """Decode the state of a cursor; None if it has none."""
    if cursor.details == {}:
        return None
    state = decode(kind, cursor.details, f"cursors.details of {cursor.name}")
    return StateCursor(cursor.name, cursor.position, state, cursor.written_at)


@cache
def _upsert_statement(dialect: str, table: Table, key: tuple[str, ...], keep: tuple[str, ...]) -> Executable:
    if dialect not in {"sqlite", "postgresql"}:
        raise StoreError(f"expected SQLite or PostgreSQL, found {dialect}")
    # Only the dialect in use is loaded: PostgreSQL's costs every process that never speaks it a tenth of a second.
    insert = importlib.import_module(f"sqlalchemy.dialects.{dialect}").insert(table)
    names = [column.name for column in table.columns if column.name not in (*key, *keep, "id")]
    overwritten = {name: insert.excluded[name] for name in names}
    statement: Executable = insert.on_conflict_do_update(index_elements=list(key), set_=overwritten)
    return statement


@lru_cache(maxsize=16)
def _select_after(name: str, names: tuple[str, ...], parse_json: bool) -> Select[Any]:
    # Cached: to build a statement with seventy columns takes longer than to read a few rows.
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
