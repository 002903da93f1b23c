"""Scenarios as text: options of the command line, TOML or JSON files, presets.

Defines the notation and the error messages; `scenario` defines what is allowed.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import tomli

from bgpdrift.errors import InputError
from bgpdrift.lab.simulation.scenario import Incident, Regime, Reset, Scenario

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}


def parse_duration(text: str) -> float:
    """Read seconds from ``90``, ``90s``, ``1.5h``, ``2d``.

    Examples
    --------
    >>> parse_duration("1.5h")
    5400.0
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw]?)", text.strip())
    if not match:
        raise InputError(f"duration {text!r}: expected a number with s, m, h, d or w, as in 90s or 1.5h")
    return float(match[1]) * _UNITS[match[2] or "s"]


def parse_time(text: str) -> float:
    """Read epoch seconds from a number or an ISO date; without a zone it is UTC.

    Examples
    --------
    >>> parse_time("2026-09-01T00:00")
    1788220800.0
    """
    try:
        return float(text)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(f"time {text!r}: expected epoch seconds or a date such as 2026-09-01T12:00") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def parse_incident(text: str) -> Incident:
    """Read an incident from ``KIND@+WHEN/LENGTH[:key=value,…]``.

    Examples
    --------
    >>> worm = parse_incident("worm@+30h/2h:level=12")
    >>> worm.kind, worm.at_s, worm.duration_s, worm.level
    ('worm', 108000.0, 7200.0, 12.0)
    >>> parse_incident("leak@+8d/3d:every=3h,wave=2h").every_s
    10800.0
    """
    match = re.fullmatch(r"(\w+)@\+?([\d.]+\w?)/([\d.]+\w?)(?::(.+))?", text.strip())
    if not match:
        raise InputError(f"incident {text!r}: expected KIND@+WHEN/LENGTH, as in worm@+30h/2h or leak@+1d/30m:share=0.3")
    kinds = {"level": float, "prefixes": int, "share": float, "collector": str}
    values = _extras("incident", text, match[4], {**kinds, "every": parse_duration, "wave": parse_duration})
    values |= {f"{name}_s": values.pop(name) for name in ("every", "wave") if name in values}
    return Incident(match[1], parse_duration(match[2]), parse_duration(match[3]), **values)


def parse_regime(text: str) -> Regime:
    """Read a regime from ``KIND=VALUE@+WHEN[/RAMP]``.

    Examples
    --------
    >>> parse_regime("level=2@+5d/12h")
    Regime(kind='level', value=2.0, at_s=432000.0, ramp_s=43200.0)
    """
    match = re.fullmatch(r"(\w+)=([+-]?[\d.]+)@\+?([\d.]+\w?)(?:/([\d.]+\w?))?", text.strip())
    if not match:
        raise InputError(f"regime {text!r}: expected KIND=VALUE@+WHEN[/RAMP], as in level=2@+5d or path=+1@+3d")
    return Regime(match[1], float(match[2]), parse_duration(match[3]), parse_duration(match[4]) if match[4] else 0.0)


def parse_reset(text: str) -> Reset:
    """Read a session reset from ``@+WHEN[:collector=rrc00,peer=2,down=40]``.

    Examples
    --------
    >>> parse_reset("@+20h:peer=2")
    Reset(at_s=72000.0, collector='', peer=2, down_s=40.0)
    """
    match = re.fullmatch(r"@?\+?([\d.]+\w?)(?::(.+))?", text.strip())
    if not match:
        raise InputError(f"reset {text!r}: expected @+WHEN, as in @+20h or @+20h:collector=rrc01,peer=2")
    values = _extras("reset", text, match[2], {"collector": str, "peer": int, "down": float})
    if "down" in values:
        values["down_s"] = values.pop("down")
    return Reset(parse_duration(match[1]), **values)


_H = 3600.0
PRESETS = {
    "calm": Scenario(),
    "week": Scenario(
        duration_s=180 * _H,
        peers=8,
        prefixes=2_000,
        rate=200.0,
        table_at_start=True,
        incidents=(
            # The same three before and after the change, with the same victims.
            Incident("worm", at_s=68.25 * _H, duration_s=73 * _H, level=10.0, every_s=72 * _H, wave_s=_H),
            Incident("leak", at_s=74.5 * _H, duration_s=73 * _H, share=0.5, every_s=72 * _H, wave_s=_H),
            Incident("hijack", at_s=80.0 * _H, duration_s=73 * _H, every_s=72 * _H, wave_s=_H),
            Incident("worm", at_s=156.0 * _H, duration_s=12 * _H, level=12.0, every_s=_H, wave_s=1_500.0),
        ),
        regimes=(Regime("path", 3, at_s=86.0 * _H),),
        resets=(Reset(at_s=21.4 * _H, peer=1),),
    ),
    "short": Scenario(
        duration_s=136 * _H,
        collectors=("rrc00",),
        peers=8,
        prefixes=2_000,
        rate=100.0,
        daily=0.0,
        table_at_start=True,
        incidents=(Incident("hijack", at_s=67.25 * _H, duration_s=0.75 * _H),),
        regimes=(Regime("path", 3, at_s=76.0 * _H),),
    ),
}
"""Ready scenarios.

``calm``: one day in which nothing happens.

``short``: 136 hours at one collector, without a daily season. 67 quiet hours to train on, then a hijack; from hour 76 on,
paths are three hops longer.

``week``: seven and a half days. 68 quiet hours with one session reset, then a worm, a leak and a hijack; from hour 86 on,
paths are three hops longer; then the same three incidents again, and half a day of storms, one every hour.
"""


def preset(name: str) -> Scenario:
    """Return one of `PRESETS`."""
    if name not in PRESETS:
        raise InputError(f"scenario: expected one of {', '.join(PRESETS)}, found {name!r}")
    return PRESETS[name]


def load_scenario(path: Path) -> Scenario:
    """Read a scenario from a TOML or JSON file; keys are the fields of `Scenario`.

    ``start`` may be a date, durations may be texts such as ``"2d"`` (``duration``), incidents, regimes and resets either
    texts as on the command line or tables.
    """
    try:
        raw = path.read_bytes()
        values = tomli.loads(raw.decode()) if path.suffix == ".toml" else msgspec.json.decode(raw)
    except FileNotFoundError:
        raise InputError(f"scenario {path}: there is no such file and no such preset ({', '.join(PRESETS)})") from None
    except (OSError, UnicodeDecodeError, tomli.TOMLDecodeError, msgspec.DecodeError) as error:
        raise InputError(f"scenario {path}: cannot be read: {error}") from None
    if not isinstance(values, dict):
        raise InputError(f"scenario {path}: expected a table of settings, found {type(values).__name__}")
    return scenario_from(values, str(path))


def scenario_from(values: dict[str, Any], where: str = "scenario", base: Scenario | None = None) -> Scenario:
    """Build a scenario from plain values, over a preset when ``preset`` is among them.

    Examples
    --------
    >>> scenario_from({"duration": "2h", "incidents": ["silence@+1h/10m"]}).duration_s
    7200.0
    """
    values = dict(values)
    if "preset" in values:
        base = preset(str(values.pop("preset")))
    if "duration" in values:
        values["duration_s"] = parse_duration(str(values.pop("duration")))
    if "start" in values:
        values["start"] = parse_time(str(values["start"]))
    for name, parse, kind in (
        ("incidents", parse_incident, Incident),
        ("regimes", parse_regime, Regime),
        ("resets", parse_reset, Reset),
    ):
        if name in values:
            values[name] = [
                parse(item) if isinstance(item, str) else item for item in _listed(where, name, values[name])
            ]
            values[name] = tuple(
                item if isinstance(item, kind) else _convert(where, item, kind) for item in values[name]
            )
    known = {f.name for f in fields(Scenario)}
    if unknown := sorted(set(values) - known):
        raise InputError(f"{where}: unknown key {unknown[0]!r}; expected one of {', '.join(sorted(known))}")
    if "collectors" in values:
        values["collectors"] = tuple(_listed(where, "collectors", values["collectors"]))
    for f in fields(Scenario):
        if f.name in values and f.name not in ("incidents", "regimes", "resets"):
            values[f.name] = _convert(f"{where}: {f.name}", values[f.name], f.type)
    return replace(base or Scenario(), **values)


def build_scenario(
    source: str,
    changes: dict[str, Any],
    incidents: Sequence[str] = (),
    regimes: Sequence[str] = (),
    resets: Sequence[str] = (),
) -> Scenario:
    """Take a preset or a file, change some fields, and add incidents, regimes and resets given as text.

    Examples
    --------
    >>> build_scenario("calm", {"seed": 7}, ["silence@+1h/10m"]).incidents[0].kind
    'silence'
    """
    base = preset(source) if source in PRESETS else load_scenario(Path(source))
    # All at once, because an incident may fit only into the changed length.
    added = {
        "incidents": [*base.incidents, *map(parse_incident, incidents)],
        "regimes": [*base.regimes, *map(parse_regime, regimes)],
        "resets": [*base.resets, *map(parse_reset, resets)],
    }
    return scenario_from({**changes, **added}, "simulate", base)


def _listed(where: str, name: str, value: Any) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise InputError(f"{where}: {name}: expected a list, found {value!r}")
    return list(value)


def _convert(where: str, value: Any, kind: Any) -> Any:
    try:
        return msgspec.convert(value, kind, strict=True)
    except msgspec.ValidationError as error:
        raise InputError(f"{where}: {error} (found {value!r})") from None


def _extras(noun: str, text: str, extras: str | None, known: Mapping[str, Callable[[str], Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for item in filter(None, (extras or "").split(",")):
        key, _, value = item.partition("=")
        if key not in known:
            raise InputError(f"{noun} {text!r}: unknown key {key!r}; expected one of {', '.join(known)}")
        try:
            values[key] = known[key](value)
        except ValueError:
            raise InputError(f"{noun} {text!r}: {key}={value!r} is not a number") from None
    return values
