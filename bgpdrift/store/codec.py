"""Encodes typed values for JSON columns with a schema version, and decodes them.

This module decides what happens to a value of an earlier schema version (it is upgraded), of a later one (it is
refused) and to a damaged one (it is refused, or its damaged fields take their defaults where the type allows that).
The types themselves are defined beside their queries and in `bgpdrift.store.cursor_states`.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

import msgspec

from bgpdrift import logs
from bgpdrift.errors import StoreError

SCHEMA_VERSION = 2
"""Version of all JSON values that this program writes. Values without a ``schema_version`` are of version 1."""


class StoredValue(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all values in JSON columns."""

    can_start_anew: ClassVar[bool] = False
    """Whether a damaged field takes its default, with a warning, instead of raising an error."""

    schema_version: int = SCHEMA_VERSION

    @classmethod
    def upgrade(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """Convert the fields of a version-1 value to the fields of this version."""
        return fields


V = TypeVar("V", bound=StoredValue)
R = TypeVar("R", bound=msgspec.Struct)


def encode(value: StoredValue) -> dict[str, Any]:
    """Convert a value to JSON types.

    Examples
    --------
    >>> encode(StoredValue())
    {'schema_version': 2}
    """
    fields: dict[str, Any] = msgspec.to_builtins(value, str_keys=True)
    return fields


def decode(kind: type[V], fields: object, place: str) -> V:
    """Convert the JSON of a column to a value.

    Parameters
    ----------
    kind : type
        The type of the value.
    fields : object
        Parsed JSON.
    place : str
        Table, column and key, for messages.

    Raises
    ------
    StoreError
        The JSON is of a later schema version or does not fit the type.

    Examples
    --------
    >>> decode(StoredValue, {"schema_version": 9}, "cursors.details of lstm_detector")
    Traceback (most recent call last):
    bgpdrift.errors.StoreError: cursors.details of lstm_detector: expected schema_version 1 to 2, found 9
    """
    if not isinstance(fields, dict):
        if not kind.can_start_anew:
            raise StoreError(f"{place}: expected {kind.__name__} as a JSON object, found {type(fields).__name__}")
        _warn(place, f"expected a JSON object, found {type(fields).__name__}")
        fields = {}
    version = fields.get("schema_version", 1)
    if type(version) is not int or not 1 <= version <= SCHEMA_VERSION:
        raise StoreError(f"{place}: expected schema_version 1 to {SCHEMA_VERSION}, found {version!r}")
    if version < SCHEMA_VERSION:
        fields = {**kind.upgrade(dict(fields)), "schema_version": SCHEMA_VERSION}
    try:
        return msgspec.convert(fields, kind, str_keys=True)
    except msgspec.ValidationError as error:
        if not kind.can_start_anew:
            raise StoreError(f"{place}: expected {kind.__name__}: {error}") from error
    return msgspec.convert(_keep_sound_fields(kind, fields, place), kind, str_keys=True)


def encode_row(record: msgspec.Struct) -> dict[str, Any]:
    """Convert a record to a row; an ``id`` of 0 and values of None, which the database fills in, are left out."""
    row = {field.encode_name: getattr(record, field.name) for field in msgspec.structs.fields(record)}
    row = {name: encode(value) if isinstance(value, StoredValue) else value for name, value in row.items()}
    return {name: value for name, value in row.items() if value is not None and not (name == "id" and not value)}


def decode_row(kind: type[R], row: Mapping[str, Any], table: str, types: Mapping[str, type[StoredValue]] = {}) -> R:
    """Convert a row to a record.

    Parameters
    ----------
    kind : type
        The type of the record.
    row : mapping
        By column name, which is the name of the field unless the field has another. Other columns are ignored.
    table : str
        Name, for messages.
    types : mapping
        The type of the value in each JSON column.

    Raises
    ------
    StoreError
        The row does not fit the type.
    """
    place, values = f"{table} row {row.get('id', '?')}", {}
    for field in msgspec.structs.fields(kind):
        column = field.encode_name
        if column not in row:
            continue
        value = row[column]
        if column in types:
            value = decode(types[column], value, f"{place}, {column}")
        elif not isinstance(value, StoredValue):
            try:
                value = msgspec.convert(value, field.type)
            except msgspec.ValidationError as error:
                raise StoreError(f"{place}, {column} = {value!r}: {error}") from error
        values[field.name] = value
    return kind(**values)


def encode_columns(row: Mapping[str, Any]) -> dict[str, Any]:
    """Convert the typed values among the columns of a row to JSON types.

    Examples
    --------
    >>> encode_columns({"id": 3, "details": StoredValue()})
    {'id': 3, 'details': {'schema_version': 2}}
    """
    return {name: encode(value) if isinstance(value, StoredValue) else value for name, value in row.items()}


def decode_column(row: dict[str, Any], table: str, column: str, kind: type[StoredValue]) -> dict[str, Any]:
    """Convert the JSON of one column of a row to a typed value; raises `StoreError` as `decode` does."""
    return {**row, column: decode(kind, row[column], f"{table} row {row.get('id', '?')}, {column}")}


def rename_fields(fields: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Rename the keys of a mapping; keys without a new name stay.

    Examples
    --------
    >>> rename_fields({"because": "a run", "at": 3}, {"because": "reason"})
    {'reason': 'a run', 'at': 3}
    """
    return {names.get(name, name): value for name, value in fields.items()}


def without_none(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Remove the keys whose value is None, so that they take their defaults."""
    return {name: value for name, value in fields.items() if value is not None}


def _keep_sound_fields(kind: type[StoredValue], fields: Mapping[str, Any], place: str) -> dict[str, Any]:
    sound = {}
    for field in msgspec.structs.fields(kind):
        if field.name in fields:
            try:
                msgspec.convert(fields[field.name], field.type, str_keys=True)
            except msgspec.ValidationError as error:
                _warn(f"{place}, key {field.name}", str(error))
            else:
                sound[field.name] = fields[field.name]
    return sound


def _warn(place: str, reason: str) -> None:
    logs.get_logger().warning("store.value_reset", place=place, reason=reason)
