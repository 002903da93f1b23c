"""Settings shown to a person: the list of fields, a commented file, the configuration reference.

Decides how a type and its limits read in words; error messages and documents use the same words.
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
"""How a unit is said; a value is always a bare number in it, never a text such as ``"30s"``."""


class Field(msgspec.Struct, frozen=True):
    """One setting, as `config show` and the configuration reference print it."""

    key: str
    type: str
    unit: str
    default: Any
    allowed: str
    description: str


def fields(section: type[msgspec.Struct] = Settings, prefix: str = "") -> Iterator[Field]:
    """List every setting in the order of this file.

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
            lines += ["", f"## {title}", "", "| setting | default | allowed | what it is |", "|---|---|---|---|"]
            table = section
        cells = (f"`{field.key}`", f"`{_toml_value(field.default)}`", field.allowed, field.description)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


_REFERENCE_HEAD = """# Configuration

Written by `bgpdrift config show --markdown`; a test compares it with the program.

Every setting has a default that works. `bgpdrift.toml` in the working directory, or the file that `BGPDRIFT_CONFIG`
names, overrides the defaults; the environment overrides the file. A variable is `BGPDRIFT_` and the name in capitals, a
dot written as two underscores: `feed.url` is `BGPDRIFT_FEED__URL`. A list is separated by commas:
`BGPDRIFT_FEED__COLLECTORS=rrc00,rrc01`.

Numbers are bare, in the unit that is named: `silence_s = 30`, not `"30s"`. A mistake stops the start with one line that
names the source, the setting, the value found and what is allowed. `bgpdrift config init` writes a commented file,
`bgpdrift config check` reads one without starting anything, `bgpdrift config show` prints what is in force and why."""


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
    """Say what a field's type allows, e.g. ``a number above 0, in seconds``."""
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
        return f"a table, each value {allowed_of(values)}{_said(unit)}, by name: {keys}"
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
    return noun + bounds + _said((meta.extra or {}).get("unit", ""))


def _said(unit: str) -> str:
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
