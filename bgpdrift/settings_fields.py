"""Shows the settings to people: the list of fields, a commented file, and the configuration reference.

This module words the type and the limits of a setting; error messages and documents use the same words.
"""

import typing
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from bgpdrift.settings_sections import Section, Settings

UNITS = {
    "s": "in seconds",
    "min": "in minutes",
    "h": "in hours",
    "d": "in days",
    "nats": "in nats",
    "B": "in bytes",
    "1/d": "per day",
}
"""Words for each unit. A value is always a number in this unit, never a text such as ``"30s"``."""


class Field(msgspec.Struct, frozen=True):
    """One setting, as `bgpdrift config show` and the configuration reference print it."""

    key: str
    type: str
    unit: str
    default: Any
    allowed: str
    description: str


def fields(section: type[msgspec.Struct] = Settings, prefix: str = "") -> Iterator[Field]:
    """List all settings in the order of `bgpdrift.settings_sections`.

    Examples
    --------
    >>> next(field for field in fields() if field.key == "web.port").allowed
    'an integer from 1 to 65535'
    """
    hints = typing.get_type_hints(section, include_extras=True)
    for info in msgspec.structs.fields(section):
        hint = hints[info.name]
        if isinstance(hint, type) and issubclass(hint, Section):
            yield from fields(hint, f"{prefix}{info.name}.")
            continue
        meta = _meta(hint)
        default = info.default if info.default is not msgspec.NODEFAULT else info.default_factory()
        yield Field(
            key=prefix + info.name,
            type=_type_name(hint),
            unit=str((meta.extra or {}).get("unit", "")),
            default=default,
            allowed=allowed_of(hint),
            description=meta.description or "",
        )


def as_toml(settings: Settings, comments: bool = True) -> str:
    """Write settings as a commented ``bgpdrift.toml``.

    Examples
    --------
    >>> "port = 8004" in as_toml(Settings())
    True
    """
    lines: list[str] = []
    table = ""
    values = msgspec.to_builtins(settings)
    for field in fields():
        section, _, name = field.key.rpartition(".")
        if section != table:
            lines += ["", f"[{section}]"]
            table = section
        value = _value_at(values, field.key)
        if comments:
            lines.append(f"# {field.description}; {field.allowed}")
        lines.append(f"{name} = {_toml_value(value)}")
    return "\n".join(lines).lstrip("\n") + "\n"


def _value_at(values: Any, key: str) -> Any:
    for name in key.split("."):
        values = values[name]
    return values


def as_markdown() -> str:
    """Write the configuration reference, ``docs/configuration.md``.

    Examples
    --------
    >>> "| `web.port` |" in as_markdown()
    True
    """
    lines = [_REFERENCE_HEAD]
    table = None
    for field in fields():
        section = field.key.rpartition(".")[0]
        if section != table:
            title = f"`[{section}]`" if section else "Top of the file"
            lines += ["", f"## {title}", "", "| setting | default | allowed | description |", "|---|---|---|---|"]
            table = section
        cells = (f"`{field.key}`", f"`{_toml_value(field.default)}`", field.allowed, field.description)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


_REFERENCE_HEAD = """# Configuration

`bgpdrift config show --markdown` writes this page, and a test compares the two.

Every setting has a default. The file `bgpdrift.toml` in the working directory, or the file that `BGPDRIFT_CONFIG` names,
overrides the defaults. The environment overrides the file. A variable is `BGPDRIFT_` and the name of the setting in
capitals, with two underscores for each dot: `detectors.lstm.weight` is `BGPDRIFT_DETECTORS__LSTM__WEIGHT`. Commas separate
the entries of a list: `BGPDRIFT_FEED__COLLECTORS=rrc00,rrc01`.

A number has no unit of its own, it is in the unit that the table names: `silence_s = 30`, not `"30s"`. A mistake ends the
start with one line that names the source, the setting, the value and what is allowed. `bgpdrift config init` writes a
commented file. `bgpdrift config check` checks a file and starts nothing. `bgpdrift config show` prints the value of every
setting and its source.

An installed detector of another distribution has a table `[detectors.<name>]` too."""


def _meta(hint: Any) -> Meta:
    return next((extra for extra in typing.get_args(hint)[1:] if isinstance(extra, Meta)), Meta())


def _base(hint: Any) -> Any:
    return typing.get_args(hint)[0] if typing.get_origin(hint) is Annotated else hint


def _type_name(hint: Any) -> str:
    base = _base(hint)
    origin = typing.get_origin(base)
    if origin is Literal:
        return "string"
    names = {bool: "boolean", int: "integer", float: "number", str: "string", list: "list", dict: "table"}
    return names[origin or base]


def allowed_of(hint: Any) -> str:
    """Word what a field's type allows, e.g. ``a number above 0, in seconds``."""
    base, meta = _base(hint), _meta(hint)
    origin = typing.get_origin(base)
    if origin is Literal:
        return "one of " + ", ".join(typing.get_args(base))
    if origin is list:
        size = f" of {meta.min_length}" if meta.min_length and meta.min_length == meta.max_length else ""
        return f"a list{size}, each {allowed_of(typing.get_args(base)[0])}"
    if origin is dict:
        names, values = typing.get_args(base)
        keys = ", ".join(typing.get_args(names)) if typing.get_origin(names) is Literal else "any name"
        unit = (meta.extra or {}).get("unit", "")
        return f"a table, each value {allowed_of(values)}{_in_unit(unit)}, by name: {keys}"
    noun = {bool: "true or false", int: "an integer", float: "a number", str: "a string"}[base]
    low = meta.ge if meta.ge is not None else meta.gt
    bounds = ""
    if low is not None and meta.le is not None:
        bounds = f" above {low}, at most {meta.le}" if meta.gt is not None else f" from {low} to {meta.le}"
    elif low is not None:
        bounds = f" above {low}" if meta.gt is not None else f" of at least {low}"
    elif meta.le is not None:
        bounds = f" of at most {meta.le}"
    if meta.pattern:
        bounds += f" matching {meta.pattern}"
    if meta.min_length:
        bounds += " that is not empty"
    return noun + bounds + _in_unit((meta.extra or {}).get("unit", ""))


def _in_unit(unit: str) -> str:
    return f", {UNITS[unit]}" if unit else ""


def _toml_value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return msgspec.json.encode(value).decode()
    if isinstance(value, list):
        return "[" + ", ".join(_toml_value(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {_toml_value(item)}" for name, item in value.items()) + "}"
    return repr(value)
