"""Every setting of bgpdrift: its type, unit, default, reason and what is allowed; and how they are read.

``bgpdrift.toml`` over the defaults, environment (``BGPDRIFT_…``, sections joined by two underscores, as in
``BGPDRIFT_FEED__URL``) over the file. The whole is validated at once, before anything starts: an unknown key, a wrong
type or an impossible value is one `SettingsError` line that names file, key, value and what is allowed.

Decides nothing about what the settings are used for. msgspec validates: pydantic would cost each of nine processes
60 ms and 15 MB (docs/decisions/0002-dependencies.md).
"""

import os
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import tomli
from msgspec import Meta

from bgpdrift.errors import SettingsError

FILE_NAME = "bgpdrift.toml"
ENV_PREFIX = "BGPDRIFT_"

Seconds = Annotated[float, Meta(gt=0, extra={"unit": "s"})]
Bytes = Annotated[int, Meta(ge=1, extra={"unit": "B"})]


def _f(description: str, unit: str = "", **limits: Any) -> Meta:
    return Meta(description=description, extra={"unit": unit} if unit else None, **limits)


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of ``bgpdrift.toml``."""


class FeedSettings(Section, frozen=True, kw_only=True):
    """Where BGP messages come from."""

    url: Annotated[
        str, _f("RIS Live WebSocket; `bgpdrift replay` and `bgpdrift simulate` serve one too", pattern="^wss?://.+")
    ] = "wss://ris-live.ripe.net/v1/ws/"
    client: Annotated[
        str, _f("how we name ourselves to the server; RIPE NCC asks for a contact", pattern="^[A-Za-z0-9._@+-]{1,64}$")
    ] = "bgpdrift"
    collectors: Annotated[
        list[Annotated[str, Meta(pattern="^[A-Za-z0-9._-]+$")]],
        _f("route collectors to subscribe to, one subscription each; empty means all of them"),
    ] = []
    types: Annotated[
        list[Literal["UPDATE", "OPEN", "NOTIFICATION", "KEEPALIVE", "RIS_PEER_STATE", "STATE"]],
        _f("message types to ask for; empty means all, sorted on arrival: a server may know a type by another name"),
    ] = []
    prefixes: Annotated[
        list[str], _f("only messages with one of these prefixes or a more specific one; empty means all")
    ] = []
    paths: Annotated[
        list[str],
        _f("only messages whose AS path matches, e.g. `3356`, `^174,3356`, `12654$`, `!64496`; empty means all"),
    ] = []
    peers: Annotated[list[str], _f("only messages of these peer addresses; empty means all")] = []
    silence_s: Annotated[
        float, _f("no frame of any collector for this long: the socket is half open, reconnect", "s", gt=0)
    ] = 30.0
    max_lag_s: Annotated[
        float, _f("newest message older than this: the backend lags until one reconnects; 0 switches it off", "s", ge=0)
    ] = 180.0
    replay_lag_s: Annotated[
        float, _f("lag beyond this is not a slow backend but a replay of history: nothing to reconnect for", "s", gt=0)
    ] = 86_400.0
    backoff_max_s: Annotated[float, _f("longest wait between two attempts, full jitter below it", "s", gt=0)] = 60.0
    connect_timeout_s: Annotated[float, _f("limit for TCP, TLS and WebSocket handshake together", "s", gt=0)] = 10.0
    subscribe_spacing_s: Annotated[float, _f("pause between subscriptions, which the server asks for", "s", ge=0)] = 0.2
    buffer_bytes: Annotated[
        int,
        _f(
            "frames held in memory while the disk is slow; beyond it frames are dropped, counted and marked",
            "B",
            ge=1_000_000,
        ),
    ] = 64_000_000


class SpoolSettings(Section, frozen=True, kw_only=True):
    """The queue of files between collector and aggregator."""

    segment_s: Annotated[
        float, _f("a segment is finished after this long: what a crash of the machine can cost", "s", ge=0.05)
    ] = 1.0
    segment_bytes: Annotated[int, _f("or when this many raw bytes are in it", "B", ge=10_000)] = 8_000_000
    max_bytes: Annotated[
        int,
        _f(
            "cap of the whole spool; beyond it the oldest segment goes, counted, and its windows are marked incomplete",
            "B",
            ge=1_000_000,
        ),
    ] = 4_000_000_000
    compression_level: Annotated[int, _f("zstd level; 1 is fastest, RIS frames shrink about 8 times", ge=1, le=19)] = 1


class WindowSettings(Section, frozen=True, kw_only=True):
    """Event-time windows and the routing state behind them."""

    lateness_s: Annotated[
        float,
        _f("a window closes this long after its end in event time; later messages count as `late`", "s", ge=0, le=3600),
    ] = 30.0
    idle_close_s: Annotated[
        float,
        _f(
            "feed quiet for this long in wall time: windows that have ended close without waiting for lateness",
            "s",
            gt=0,
        ),
    ] = 45.0
    max_jump_s: Annotated[
        float,
        _f(
            "a timestamp further ahead than this is held until others confirm it: one bad clock must not close windows",
            "s",
            ge=60,
        ),
    ] = 600.0
    per_peer: Annotated[int, _f("also keep windows of the N busiest peers of each collector", ge=0, le=64)] = 0
    warming_minutes: Annotated[
        int,
        _f(
            "windows of a collector that was unknown are marked `warming` this long: everything looks new to an empty table",
            "min",
            ge=0,
        ),
    ] = 60
    max_state_bytes: Annotated[
        int,
        _f(
            "cap of the routing state over all collectors; beyond it the routes longest unheard of go, counted as `evicted`",
            "B",
            ge=8_000_000,
        ),
    ] = 2_000_000_000
    checkpoint_s: Annotated[
        float,
        _f(
            "how often the routing state is saved; the spool keeps what came since, so a crash costs a re-read, not data",
            "s",
            gt=0,
        ),
    ] = 60.0
    warm_up_rib: Annotated[str, _f("an MRT TABLE_DUMP_V2 file read into an empty state at start; empty means none")] = (
        ""
    )


class DetectorSettings(Section, frozen=True, kw_only=True):
    """What the three detectors share."""

    poll_s: Annotated[float, _f("how often a detector looks for new windows", "s", gt=0)] = 0.5
    batch_windows: Annotated[int, _f("most windows scored at once after an outage", ge=1, le=100_000)] = 2_000
    history_minutes: Annotated[
        int, _f("windows a detector looks back on to know what is usual for a collector", "min", ge=30, le=10_080)
    ] = 360
    false_alarms_per_day: Annotated[
        float, _f("alarm budget of one detector and collector: the threshold follows from it", "1/d", gt=0, le=1440)
    ] = 2.0


class EnsembleSettings(Section, frozen=True, kw_only=True):
    """How three opinions become one verdict."""

    weight_lstm: Annotated[float, _f("weight of −log10 p of the LSTM", ge=0, le=1)] = 0.40
    weight_isolation_forest: Annotated[float, _f("weight of −log10 p of the isolation forest", ge=0, le=1)] = 0.30
    weight_heuristic: Annotated[float, _f("weight of −log10 p of the rules", ge=0, le=1)] = 0.30
    false_alarms_per_day: Annotated[
        float, _f("alarm budget of the combined score, a collector", "1/d", gt=0, le=1440)
    ] = 1.0
    debounce_k: Annotated[int, _f("a verdict is an anomaly when k of the last n minutes were", ge=1, le=60)] = 2
    debounce_n: Annotated[int, _f("see debounce_k", "min", ge=1, le=60)] = 3
    stale_s: Annotated[
        float,
        _f(
            "wall time a window waits for a detector that is up but has not scored it, before that one abstains",
            "s",
            gt=0,
        ),
    ] = 20.0


class CorrelationSettings(Section, frozen=True, kw_only=True):
    """How verdicts become incidents."""

    link_minutes: Annotated[
        int, _f("verdicts this close that share AS, prefix or collector are one incident", "min", ge=1)
    ] = 10
    quiet_minutes: Annotated[int, _f("an incident closes after this long without an anomaly", "min", ge=1)] = 15
    reopen_minutes: Annotated[
        int, _f("within this long after closing it opens again instead of a new one", "min", ge=0)
    ] = 60


class DriftSettings(Section, frozen=True, kw_only=True):
    """The drift monitor."""

    enabled: Annotated[bool, _f("master switch")] = True
    poll_s: Annotated[float, _f("how often new scores are folded into the hourly histograms", "s", gt=0)] = 5.0


class SupervisorSettings(Section, frozen=True, kw_only=True):
    """The process manager."""

    ready_timeout_s: Annotated[float, _f("a service that is not ready after this long is started anew", "s", gt=0)] = (
        30.0
    )
    stop_grace_s: Annotated[float, _f("between TERM and KILL", "s", gt=0)] = 2.5
    restart_limit: Annotated[
        int, _f("restarts, counted from READY, within restart_period_s before a service is in `crashloop`", ge=1)
    ] = 5
    restart_period_s: Annotated[float, _f("see restart_limit", "s", gt=0)] = 60.0
    backoff_max_s: Annotated[float, _f("longest wait before a restart inside the budget", "s", gt=0)] = 10.0
    crashloop_retry_s: Annotated[
        float, _f("a service in `crashloop` is tried again this often, for ever", "s", gt=0)
    ] = 60.0
    watchdog_s: Annotated[
        float, _f("a service that reports no progress for this long hangs: dumped, killed, restarted", "s", gt=0)
    ] = 30.0
    log_max_bytes: Annotated[int, _f("a service's log file is rotated at this size", "B", ge=10_000)] = 20_000_000
    log_keep: Annotated[int, _f("rotated log files kept a service", ge=1, le=100)] = 5


class WebSettings(Section, frozen=True, kw_only=True):
    """API and dashboard."""

    host: Annotated[str, _f("address to bind; loopback unless you mean it")] = "127.0.0.1"
    port: Annotated[int, _f("TCP port", ge=1, le=65_535)] = 8004


class StoreSettings(Section, frozen=True, kw_only=True):
    """The database."""

    url: Annotated[
        str,
        _f(
            "SQLAlchemy URL; empty means SQLite, `bgpdrift.sqlite3` in the data directory",
            pattern="^$|^sqlite:///.+|^postgresql\\+psycopg://.+",
        ),
    ] = ""
    busy_timeout_s: Annotated[float, _f("how long a writer waits for another", "s", gt=0)] = 15.0
    retention_days: Annotated[
        dict[str, Annotated[int, Meta(ge=1)]],
        _f(
            "days a table's rows are kept, by table name; tables that are not named keep the default shown in docs", "d"
        ),
    ] = {}


class LogSettings(Section, frozen=True, kw_only=True):
    """Log lines."""

    level: Annotated[Literal["debug", "info", "warning", "error"], _f("lowest level written")] = "info"
    form: Annotated[Literal["json", "console"], _f("json for machines, console for people")] = "json"


class Settings(Section, frozen=True, kw_only=True):
    """The whole of ``bgpdrift.toml``."""

    data_dir: Annotated[str, _f("where database, spool, logs, state and control socket live", min_length=1)] = "data"
    artifacts_dir: Annotated[
        str, _f("where models, flags and drift reports live; empty means `model_artifacts` in the data directory")
    ] = ""
    feed: FeedSettings = FeedSettings()
    spool: SpoolSettings = SpoolSettings()
    windows: WindowSettings = WindowSettings()
    detectors: DetectorSettings = DetectorSettings()
    ensemble: EnsembleSettings = EnsembleSettings()
    correlation: CorrelationSettings = CorrelationSettings()
    drift: DriftSettings = DriftSettings()
    supervisor: SupervisorSettings = SupervisorSettings()
    store: StoreSettings = StoreSettings()
    web: WebSettings = WebSettings()
    logs: LogSettings = LogSettings()

    @property
    def data_path(self) -> Path:
        """The data directory, absolute."""
        return Path(self.data_dir).expanduser().absolute()

    @property
    def artifacts_path(self) -> Path:
        """The artifact directory, absolute."""
        return (
            Path(self.artifacts_dir).expanduser().absolute()
            if self.artifacts_dir
            else self.data_path / "model_artifacts"
        )

    @property
    def spool_path(self) -> Path:
        """Finished and unfinished segments."""
        return self.data_path / "spool"

    @property
    def state_path(self) -> Path:
        """Checkpoints of services."""
        return self.data_path / "state"

    @property
    def logs_path(self) -> Path:
        """Captured output of services."""
        return self.data_path / "logs"

    @property
    def store_url(self) -> str:
        """The SQLAlchemy URL in force."""
        return self.store.url or f"sqlite:///{self.data_path / 'bgpdrift.sqlite3'}"


class Field(msgspec.Struct, frozen=True):
    """One setting, as `config show` and the configuration reference print it."""

    key: str
    type: str
    unit: str
    default: Any
    allowed: str
    description: str


def load(
    path: Path | None = None, env: Mapping[str, str] | None = None, overrides: Mapping[str, Any] | None = None
) -> Settings:
    """Read, merge and validate all settings.

    Parameters
    ----------
    path : Path, optional
        The file. Default: ``$BGPDRIFT_CONFIG``, else ``bgpdrift.toml`` here if there is one. A file that was named
        must exist.
    env : mapping, optional
        The environment; default that of the process.
    overrides : mapping of dotted key to value, optional
        What the command line says; it beats both.

    Raises
    ------
    SettingsError
        One line: source, key, value found, what is allowed.

    Examples
    --------
    >>> load(env={"BGPDRIFT_WEB__PORT": "8080"}).web.port
    8080
    >>> load(env={"BGPDRIFT_WEB__PORT": "eighty"})
    Traceback (most recent call last):
    bgpdrift.errors.SettingsError: environment BGPDRIFT_WEB__PORT: web.port = 'eighty': expected an integer from 1 to 65535
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
    return _validate(merged, origins, str(file) if file else "settings")


# Handed from the supervisor to its children, and the file's own name: not settings.
RESERVED_ENV = frozenset({"BGPDRIFT_CONFIG", "BGPDRIFT_PARENT_PID", "BGPDRIFT_RUN", "BGPDRIFT_SERVICE"})


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
            allowed=_allowed(hint),
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
        value = values[section][name] if section else values[name]
        if comments:
            unit = f" [{field.unit}]" if field.unit else ""
            lines.append(f"# {field.description}{unit}; {field.allowed}")
        lines.append(f"{name} = {_toml_value(value)}")
    return "\n".join(lines).lstrip("\n") + "\n"


def _settings_file(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    named = path or (Path(environ["BGPDRIFT_CONFIG"]) if environ.get("BGPDRIFT_CONFIG") else None)
    if named is not None:
        if not named.is_file():
            raise SettingsError(f"{named}: no such settings file; `bgpdrift config init {named}` writes one")
        return named
    return Path(FILE_NAME) if Path(FILE_NAME).is_file() else None


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomli.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file}: cannot be read: {error}") from error
    except tomli.TOMLDecodeError as error:
        raise SettingsError(f"{file}: not TOML: {error}") from error


def _leaf_keys(tree: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in tree.items():
        yield prefix + name
        if isinstance(value, dict):
            yield from _leaf_keys(value, f"{prefix}{name}.")


def _known() -> dict[str, Field]:
    return {field.key: field for field in fields()}


def _require_known(key: str, source: str, value: object) -> None:
    known = _known()
    if key in known or any(key.startswith(name + ".") for name, field in known.items() if field.type == "table"):
        return
    raise SettingsError(f"{source}: {key} = {value!r}: unknown setting{_nearest(key, known)}")


def _nearest(key: str, known: Mapping[str, Field]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(key, known, n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else "; `bgpdrift config show` lists them all"


def _parse_text(key: str, text: str) -> Any:
    """Read an environment value as TOML where its type needs that; a plain string stays one."""
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
            return  # validation names the value that is no table
        tree = below
    tree[name] = value


def _validate(merged: dict[str, Any], origins: Mapping[str, str], default_origin: str) -> Settings:
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
    _check_together(settings, origins, default_origin)
    return settings


def _explain(error: msgspec.ValidationError, merged: dict[str, Any], origins: Mapping[str, str], default: str) -> str:
    text = str(error)
    key = text.rpartition("`$.")[2].rstrip("`") if "`$." in text else ""
    key = key.split("[")[0]
    while key and key not in _known() and not any(name.startswith(key + ".") for name in _known()):
        key = key.rpartition(".")[0]
    field = _known().get(key)
    allowed = field.allowed if field else text.split(" - at ")[0]
    return f"{origins.get(key, default)}: {key} = {_value_at(merged, key)!r}: expected {allowed}"


def _check_together(settings: Settings, origins: Mapping[str, str], default: str) -> None:
    """Refuse values that are each possible but not together."""

    def refuse(key: str, value: object, allowed: str) -> None:
        raise SettingsError(f"{origins.get(key, default)}: {key} = {value!r}: expected {allowed}")

    ensemble = settings.ensemble
    if ensemble.debounce_k > ensemble.debounce_n:
        refuse("ensemble.debounce_k", ensemble.debounce_k, f"at most ensemble.debounce_n ({ensemble.debounce_n})")
    if ensemble.weight_lstm + ensemble.weight_isolation_forest + ensemble.weight_heuristic <= 0:
        refuse("ensemble.weight_heuristic", ensemble.weight_heuristic, "at least one weight above 0")
    if settings.spool.segment_bytes > settings.spool.max_bytes:
        refuse(
            "spool.segment_bytes", settings.spool.segment_bytes, f"at most spool.max_bytes ({settings.spool.max_bytes})"
        )


def _value_at(tree: Any, key: str) -> Any:
    for part in key.split(".") if key else []:
        tree = tree.get(part) if isinstance(tree, dict) else None
    return tree


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


def _allowed(hint: Any) -> str:
    base, meta = _base(hint), _meta(hint)
    origin = typing.get_origin(base)
    if origin is Literal:
        return "one of " + ", ".join(typing.get_args(base))
    if origin is list:
        return f"a list, each {_allowed(typing.get_args(base)[0])}"
    if origin is dict:
        return f"a table, each value {_allowed(typing.get_args(base)[1])}"
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
    unit = (meta.extra or {}).get("unit")
    return noun + bounds + (f" ({unit})" if unit else "")


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
