"""Checks each value and converts it to the type of its column before it is written.

SQLite stores a text in a number column and a NaN as NULL; PostgreSQL refuses the first and keeps the second. This module
refuses both, and names the table, the column, the value and the row.
"""

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import JSON, Boolean, Column, Float, Integer, LargeBinary, String, Table

from bgpdrift.errors import StoreError

STAMPS = frozenset({"written_at", "scored_at", "decided_at", "updated_at", "labelled_at"})
"""Wall-clock columns the store fills in when a row leaves them out."""

Row = dict[str, Any]
_KEY_COLUMNS = ("id", "name", "model", "collector", "peer", "series", "window_start", "hour_start")


class _Slot(NamedTuple):
    name: str
    convert: Callable[[Any], Any]
    default: Any  # a value, a callable without arguments, or _REQUIRED


_REQUIRED = object()


def prepared(table: Table, rows: Sequence[Mapping[str, Any]], now: float) -> list[Row]:
    """Check and complete rows for a table.

    Parameters
    ----------
    table : Table
        Table to which the rows belong.
    rows : sequence of mapping
        By column name. Columns with a default may be left out, also the wall-clock ones in `STAMPS`; an automatic
        ``id`` is ignored.
    now : float
        Wall clock, epoch seconds, for the stamps.

    Raises
    ------
    StoreError
        An unknown or missing column, a value of another type, a NaN or an infinity.

    Examples
    --------
    >>> from bgpdrift.store.schema import cursors
    >>> prepared(cursors, [{"name": "a", "position": 3}], now=1.5)
    [{'name': 'a', 'position': 3, 'details': {}, 'updated_at': 1.5}]
    """
    return [_prepare(table, row, now) for row in rows]


def _prepare(table: Table, row: Mapping[str, Any], now: float) -> Row:
    slots, known = _plan(table)
    if not row.keys() <= known:
        unknown = ", ".join(sorted(map(str, row.keys() - known)))
        raise StoreError(f"{table.name}: unknown column {unknown} in {_named(row)}")
    ready: Row = {}
    for name, convert, default in slots:
        if name in row:
            value = row[name]
            try:
                ready[name] = convert(value)
            except (TypeError, ValueError) as error:
                raise StoreError(f"{table.name}.{name} = {value!r}: expected {error} in {_named(row)}") from error
        elif name in STAMPS:
            ready[name] = now
        elif default is _REQUIRED:
            raise StoreError(f"{table.name}.{name}: missing in {_named(row)}")
        else:
            ready[name] = default() if callable(default) else default
    return ready


def partial(table: Table, row: Mapping[str, Any]) -> Row:
    """Check the values of an update, which names only some columns."""
    converters, known = {slot.name: slot.convert for slot in _plan(table)[0]}, _plan(table)[1]
    if not row.keys() <= known:
        raise StoreError(f"{table.name}: unknown column {', '.join(sorted(row.keys() - known))} in {_named(row)}")
    ready: Row = {}
    for name, value in row.items():
        if name in converters:
            try:
                ready[name] = converters[name](value)
            except (TypeError, ValueError) as error:
                raise StoreError(f"{table.name}.{name} = {value!r}: expected {error} in {_named(row)}") from error
    return ready


@cache
def _plan(table: Table) -> tuple[tuple[_Slot, ...], frozenset[str]]:
    slots = []
    for column in table.columns:
        if column.name == "id":
            continue
        default: Any = _REQUIRED
        if column.nullable:
            default = None
        if column.default is not None:
            given = column.default.arg  # type: ignore[attr-defined]
            # SQLAlchemy wraps a callable into one that takes a context.
            default = (lambda call=given: call(None)) if callable(given) else given
        slots.append(_Slot(column.name, _converter(column), default))
    return tuple(slots), frozenset(column.name for column in table.columns)


def _converter(column: Column[Any]) -> Callable[[Any], Any]:
    kind = column.type
    convert: Callable[[Any], Any]
    if isinstance(kind, Integer):
        convert = _integer
    elif isinstance(kind, Float):
        convert = _finite
    elif isinstance(kind, Boolean):
        convert = _boolean
    elif isinstance(kind, JSON):
        convert = _json
    elif isinstance(kind, LargeBinary):
        convert = _bytes
    elif isinstance(kind, String):
        length = kind.length
        convert = _text if length is None else lambda value: _short_text(value, length)
    else:
        raise TypeError(f"{column}: no check for {kind!r}")
    return (lambda value: None if value is None else convert(value)) if column.nullable else convert


def _integer(value: Any) -> int:
    try:
        number = operator.index(value)  # numpy's integers too, but no float and no text
    except TypeError:
        raise TypeError("an integer") from None
    if not -(2**63) <= number < 2**63:
        raise ValueError("an integer of 64 bits")
    return number


def _finite(value: Any) -> float:
    if isinstance(value, str | bytes) or not hasattr(value, "__float__"):
        raise TypeError("a number")
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("a finite number")
    return number


def _boolean(value: Any) -> bool:
    if value is True or value is False:
        return value
    if type(value).__name__ in {"bool_", "bool"} or value in (0, 1):  # numpy's; what SQLite gave back
        return bool(value)
    raise TypeError("true or false")


def _json(value: Any) -> Any:
    if value is None:
        raise TypeError("a JSON value")
    return value


def _bytes(value: Any) -> bytes:
    if not isinstance(value, bytes | bytearray | memoryview):
        raise TypeError("bytes")
    return bytes(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("a text")
    if "\0" in value:
        raise ValueError("a text without NUL")
    return value


def _short_text(value: Any, length: int) -> str:
    text = _text(value)
    if len(text) > length:
        raise ValueError(f"a text of at most {length} characters")
    return text


def _named(row: Mapping[str, Any]) -> str:
    named = ", ".join(f"{name}={row[name]!r}" for name in _KEY_COLUMNS if name in row)
    return f"row ({named})"
