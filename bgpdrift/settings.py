"""Reads the settings: ``bgpdrift.toml`` over the defaults, the environment over the file, the command line over both.

An environment variable is ``BGPDRIFT_`` and the key, with two underscores for each dot, as in ``BGPDRIFT_FEED__URL``. All
values are checked before anything starts. An unknown key, a wrong type or an impossible value raises a `SettingsError` of
one line that names the source, the key, the value and what is allowed. `bgpdrift.settings_sections` declares the settings,
and `bgpdrift.settings_checks` finds what types and limits do not.
"""

import math
import os
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import tomli

from bgpdrift.detector_registry import MODELS
from bgpdrift.errors import NothingHereError, SettingsError
from bgpdrift.settings_checks import Refusal, find_impossible
from bgpdrift.settings_fields import Field, as_markdown, as_toml, fields
from bgpdrift.settings_sections import (
    CorrelationSettings,
    DetectorSettings,
    DetectorTable,
    DriftSettings,
    EnsembleSettings,
    FeedSettings,
    LogSettings,
    RetrainSettings,
    Section,
    Settings,
    SpoolSettings,
    StoreSettings,
    SupervisorSettings,
    WebSettings,
    WindowSettings,
)

__all__ = [
    "ENV_PREFIX",
    "FILE_NAME",
    "RESERVED_ENV",
    "CorrelationSettings",
    "DetectorSettings",
    "DetectorTable",
    "DriftSettings",
    "EnsembleSettings",
    "FeedSettings",
    "Field",
    "LogSettings",
    "RetrainSettings",
    "Section",
    "Settings",
    "SpoolSettings",
    "StoreSettings",
    "SupervisorSettings",
    "WebSettings",
    "WindowSettings",
    "as_markdown",
    "as_toml",
    "explain_refusal",
    "fields",
    "load",
    "load_existing",
    "load_with_sources",
]

FILE_NAME = "bgpdrift.toml"
ENV_PREFIX = "BGPDRIFT_"

# Variables that the supervisor passes to its children, and the name of the file; they are no settings.
RESERVED_ENV = frozenset({"BGPDRIFT_CONFIG", "BGPDRIFT_PARENT_PID", "BGPDRIFT_RUN", "BGPDRIFT_SERVICE"})


def load(
    path: Path | None = None, env: Mapping[str, str] | None = None, overrides: Mapping[str, Any] | None = None
) -> Settings:
    """Read, merge and check all settings.

    Parameters
    ----------
    path : Path, optional
        The file. Default: ``$BGPDRIFT_CONFIG``, else ``bgpdrift.toml`` in the working directory if it exists. A file that
        is named must exist.
    env : mapping, optional
        The environment; by default that of the process.
    overrides : mapping of dotted key to value, optional
        Values of the command line, which override file and environment.

    Raises
    ------
    SettingsError
        One line: the source, the key, the value and what is allowed.

    Examples
    --------
    >>> load(env={"BGPDRIFT_WEB__PORT": "8080"}).web.port
    8080
    >>> load(env={"BGPDRIFT_WEB__PORT": "eighty"})
    Traceback (most recent call last):
    bgpdrift.errors.SettingsError: environment BGPDRIFT_WEB__PORT: web.port = 'eighty': expected an integer from 1 to 65535
    """
    return load_with_sources(path, env, overrides)[0]


def load_with_sources(
    path: Path | None = None, env: Mapping[str, str] | None = None, overrides: Mapping[str, Any] | None = None
) -> tuple[Settings, dict[str, str]]:
    """Read the settings as `load` does; also return the source of each value that is no default, by dotted key.

    Examples
    --------
    >>> load_with_sources(env={"BGPDRIFT_WEB__PORT": "8080"})[1]
    {'web.port': 'environment BGPDRIFT_WEB__PORT'}
    """
    environ = os.environ if env is None else env
    file = _settings_file(path, environ)
    merged: dict[str, Any] = _read_toml(file) if file else {}
    origins: dict[str, str] = {key: str(file) for key in _leaf_keys(merged)}
    for variable, text in sorted(environ.items()):
        if not variable.startswith(ENV_PREFIX) or variable in RESERVED_ENV:
            continue
        key = variable.removeprefix(ENV_PREFIX).lower().replace("__", ".")
        _require_known(key, f"environment {variable}", text)
        _put(merged, key, _parse_text(key, text))
        origins[key] = f"environment {variable}"
    for key, value in (overrides or {}).items():
        _require_known(key, "command line", value)
        _put(merged, key, value)
        origins[key] = "command line"
    return _check(merged, origins, str(file) if file else "settings"), origins


def load_existing() -> Settings:
    """Read the settings of a system that exists, for commands that read or change one.

    Raises
    ------
    NothingHereError
        There is neither a data directory nor a database elsewhere.
    """
    settings, sources = load_with_sources()
    if settings.store.url or settings.data_path.exists() or settings.artifacts_path.exists():
        return settings
    has_settings = "" if sources else f"no settings file {FILE_NAME}, "
    raise NothingHereError(
        f"nothing runs here: {has_settings}no database and no supervisor, because there is no directory {settings.data_path}; "
        "change to the directory of the system, name its settings file in BGPDRIFT_CONFIG, or start one with "
        "`python run_all_services.py start`"
    )


def _settings_file(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    named = path or (Path(environ["BGPDRIFT_CONFIG"]) if environ.get("BGPDRIFT_CONFIG") else None)
    if named is not None:
        if not named.is_file():
            raise SettingsError(f"{named}: the settings file does not exist; `bgpdrift config init {named}` writes one")
        return named
    return Path(FILE_NAME) if Path(FILE_NAME).is_file() else None


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomli.loads(file.read_text(encoding="utf-8-sig"))  # Windows editors begin a file with a byte order mark
    except OSError as error:
        raise SettingsError(f"{file}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{file}: expected UTF-8, found other bytes at offset {error.start}") from error
    except tomli.TOMLDecodeError as error:
        raise SettingsError(f"{file}: not TOML: {error}") from error
    except RecursionError as error:
        raise SettingsError(f"{file}: not TOML: nested too deeply") from error


def _leaf_keys(tree: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in tree.items():
        yield prefix + name
        if isinstance(value, dict):
            yield from _leaf_keys(value, f"{prefix}{name}.")


@cache
def _known() -> Mapping[str, Field]:
    # Computed once: every command reads the settings, and reading them needs the fields several times.
    return {field.key: field for field in fields()}


def _require_known(key: str, source: str, value: object) -> None:
    known = _known()
    if key in known or any(key.startswith(name + ".") for name, field in known.items() if field.type == "table"):
        return
    raise SettingsError(f"{source}: {key} = {value!r}: unknown setting{_nearest(key, known)}")


def _nearest(key: str, known: Mapping[str, Field]) -> str:
    from difflib import get_close_matches

    tables = {name.rpartition(".")[0] for name in known} - {""}
    near = get_close_matches(key, [*known, *tables], n=1, cutoff=0.6)
    hint = f"; did you mean {near[0]}?" if near else "; `bgpdrift config show` lists them all"
    return hint + (f" (the detectors are {', '.join(MODELS)})" if key.startswith("detectors.") else "")


def _parse_text(key: str, text: str) -> Any:
    """Parse an environment value as TOML, unless the setting is a string."""
    field = _known().get(key)
    if field is not None and field.type == "string":
        return text
    if field is not None and field.type == "list" and not text.lstrip().startswith("["):
        return [part.strip() for part in text.split(",") if part.strip()]
    try:
        return tomli.loads(f"value = {text}")["value"]
    except tomli.TOMLDecodeError:
        return text


def _put(tree: dict[str, Any], key: str, value: Any) -> None:
    *parents, name = key.split(".")
    for parent in parents:
        below = tree.setdefault(parent, {})
        if not isinstance(below, dict):
            return  # the check of types names the value that is no table
        tree = below
    tree[name] = value


def _check(merged: dict[str, Any], origins: Mapping[str, str], default_origin: str) -> Settings:
    known = _known()
    for key in _leaf_keys(merged):
        is_section = any(name.startswith(key + ".") for name in known)
        is_table_entry = any(key.startswith(name + ".") for name, field in known.items() if field.type == "table")
        if key not in known and not is_section and not is_table_entry:
            value = _value_at(merged, key)
            raise SettingsError(
                f"{origins.get(key, default_origin)}: {key} = {value!r}: unknown setting{_nearest(key, known)}"
            )
    try:
        settings = msgspec.convert(merged, Settings)
    except msgspec.ValidationError as error:
        raise SettingsError(_explain(error, merged, origins, default_origin)) from error
    _refuse_infinite(settings, origins, default_origin)
    _refuse_impossible(settings, origins, default_origin)
    return settings


def _explain(error: msgspec.ValidationError, merged: dict[str, Any], origins: Mapping[str, str], default: str) -> str:
    text = str(error)
    at = text.rpartition("`$.")[2].rstrip("`") if "`$." in text else ""
    # "feed.collectors[0]", "store.retention_days[...]", "key in store.retention_days"
    key = at.split("[")[0]
    known = _known()
    while key and key not in known and not any(name.startswith(key + ".") for name in known):
        key = key.rpartition(".")[0]
    field = known.get(key)
    value = _value_at(merged, key)
    allowed = field.allowed if field else f"a table [{key}]" if key else text.split(" - at ")[0]
    return f"{_origin(key, origins, default)}: {key} = {value!r}: expected {allowed}"


def _origin(key: str, origins: Mapping[str, str], default: str) -> str:
    if key in origins:
        return origins[key]
    return next((source for below, source in origins.items() if below.startswith(key + ".")), default)


def _refuse_infinite(settings: Settings, origins: Mapping[str, str], default: str) -> None:
    """Refuse infinity and NaN, which pass every lower bound."""
    values = msgspec.to_builtins(settings)
    for field in _known().values():
        value = _value_at(values, field.key)
        if isinstance(value, float) and not math.isfinite(value):
            raise SettingsError(
                f"{_origin(field.key, origins, default)}: {field.key} = {value!r}: expected a finite number, {field.allowed}"
            )


def _refuse_impossible(settings: Settings, origins: Mapping[str, str], default: str) -> None:
    """Refuse values that types and limits allow and that cannot work."""
    for refusal in find_impossible(settings):
        raise SettingsError(explain_refusal(refusal, origins, default))


def explain_refusal(refusal: Refusal, origins: Mapping[str, str], default: str) -> str:
    """Write the line of a refused value: source, key, value, and what is expected."""
    return f"{_origin(refusal.key, origins, default)}: {refusal.key} = {refusal.value!r}: expected {refusal.expected}"


def _value_at(tree: Any, key: str) -> Any:
    for part in key.split(".") if key else []:
        tree = tree.get(part) if isinstance(tree, dict) else None
    return tree
