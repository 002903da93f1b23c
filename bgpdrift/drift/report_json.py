"""A drift report as JSON and back: one versioned form, validated when it is read.

A report of another form or version, with a missing or unknown key, a value of the wrong type, an unknown verdict or
severity, or a number that is not finite is refused. `build_schema` describes the same form to other programs
(docs/drift-report.schema.json). `bgpdrift.monitor.report_files` decides where the files are.
"""

import math
from dataclasses import fields as fields_of
from typing import Any

import msgspec

from bgpdrift.drift.report import REPORT_SCHEMA, Comparison, DriftReport, LeftOut, Measure
from bgpdrift.errors import InputError

_SCHEMA_KEY = "schema"
_TITLE = "bgpdrift drift report"


def encode(report: DriftReport) -> bytes:
    r"""Encode a report as indented JSON with a line end.

    Raises
    ------
    ValueError
        A figure is NaN or infinite. JSON has no such number, and ``null`` would hide it.

    Examples
    --------
    >>> raw = encode(DriftReport("lstm", "4", 1_767_225_600, "none", "none", "No drift."))
    >>> raw.startswith(b'{\n  "schema": 1,\n  "model": "lstm"'), decode(raw).reason
    (True, 'No drift.')
    """
    fields = report.as_fields()
    _require_finite(fields, "")
    return msgspec.json.format(msgspec.json.encode(fields), indent=2) + b"\n"


def decode(raw: bytes, name: str = "drift report") -> DriftReport:
    """Decode what `encode` wrote.

    Parameters
    ----------
    raw : bytes
        The JSON text.
    name : str
        Name in error messages, usually a path.

    Raises
    ------
    InputError
        The text is not a report, or a report of another version. The message names the place, what was expected and
        what was found.

    Examples
    --------
    >>> decode(b'{"schema": 9}', "r.json")
    Traceback (most recent call last):
    bgpdrift.errors.InputError: r.json: expected version 1 of a drift report, found 9
    """
    try:
        fields = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{name}: expected JSON, found an error: {error}") from error
    if not isinstance(fields, dict):
        raise InputError(f"{name}: expected a drift report (a JSON object), found {type(fields).__name__}")
    form = fields.pop(_SCHEMA_KEY, None)
    if form != REPORT_SCHEMA or isinstance(form, bool):
        raise InputError(f"{name}: expected version {REPORT_SCHEMA} of a drift report, found {form!r}")
    _require_keys(fields, DriftReport, name, "$")
    try:
        return msgspec.convert(fields, DriftReport)
    except msgspec.ValidationError as error:
        raise InputError(f"{name}: not a drift report: {error}") from error


def build_schema() -> dict[str, Any]:
    """Return the JSON schema (2020-12) of the form.

    Examples
    --------
    >>> build_schema()["properties"]["schema"], "verdict" in build_schema()["required"]
    ({'const': 1}, True)
    """
    (reference,), parts = msgspec.json.schema_components([DriftReport], ref_template="#/$defs/{name}")
    report = parts.pop(reference["$ref"].rpartition("/")[2])
    for part in (report, *parts.values()):
        part.pop("description", None)  # docs/drift-report.md describes the fields
        part["additionalProperties"] = False
        for value in part["properties"].values():
            value.pop("default", None)
        part["required"] = list(part["properties"])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **report,
        "title": _TITLE,
        "properties": {_SCHEMA_KEY: {"const": REPORT_SCHEMA}, **report["properties"]},
        "required": [_SCHEMA_KEY, *report["required"]],
        "$defs": parts,
    }


_PARTS: dict[type, dict[str, type]] = {
    DriftReport: {"comparisons": Comparison, "signals": Measure},
    Comparison: {"measures": Measure, "left_out": LeftOut},
}


def _require_keys(document: Any, kind: type, name: str, place: str) -> None:
    """Require exactly the keys of the form, here and in the parts. The conversion checks the types."""
    if not isinstance(document, dict):
        return
    expected = {field.name for field in fields_of(kind)}
    for keys, what in ((set(document) - expected, "is unknown"), (expected - set(document), "is missing")):
        if keys:
            raise InputError(f"{name}: not a drift report: {min(keys)!r} {what} at {place}")
    for key, part in _PARTS.get(kind, {}).items():
        for number, one in enumerate(document[key] if isinstance(document[key], list) else []):
            _require_keys(one, part, name, f"{place}.{key}[{number}]")


def _require_finite(value: Any, place: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"drift report: {place.lstrip('.')}: expected a finite number, found {value}")
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    for key, one in inside:
        _require_finite(one, f"{place}.{key}")


if __name__ == "__main__":
    print(msgspec.json.format(msgspec.json.encode(build_schema()), indent=2).decode())
