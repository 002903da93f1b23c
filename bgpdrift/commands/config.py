"""`bgpdrift config`: show the effective settings and their sources, check a file, write a file."""

from pathlib import Path
from typing import Any

import click

from bgpdrift.terminal import echo, echo_json


@click.group()
def command() -> None:
    """Show, check or write the settings."""


@command.command()
@click.option("--json", "form", flag_value="json", help="Print one JSON object: value and source of each setting.")
@click.option("--toml", "form", flag_value="toml", help="Print a complete bgpdrift.toml.")
@click.option("--markdown", "form", flag_value="markdown", help="Print the configuration reference (defaults).")
def show(form: str | None) -> None:
    """Print the effective settings and the source of each."""
    import msgspec

    from bgpdrift import settings

    if form == "markdown":
        echo(reference(), nl=False)
        return
    loaded, sources = settings.load_with_sources()
    if form == "toml":
        echo(settings.as_toml(loaded), nl=False)
        return
    values = {field.key: _shown(field.key, _value(loaded, field.key)) for field in settings.fields()}
    origin = {key: _source(key, sources) for key in values}
    if form == "json":
        rows = {key: {"value": value, "source": origin[key]} for key, value in values.items()}
        echo_json(msgspec.json.format(msgspec.json.encode(rows)))
        return
    width = max(map(len, values))
    for key, value in values.items():
        text = msgspec.json.encode(value).decode()
        echo(f"{key:<{width}} = {text}" + ("" if origin[key] == "default" else f"  ({origin[key]})"))


@command.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
def check(file: Path | None) -> None:
    """Check FILE, or the settings that a service would read. Exit status 2 if a service could not start with them."""
    from bgpdrift import settings
    from bgpdrift.errors import SettingsError
    from bgpdrift.services.names import list_service_names
    from bgpdrift.settings_checks import Refusal, find_missing

    loaded, sources = settings.load_with_sources(file)
    names = list_service_names()
    unknown = [
        Refusal(f"supervisor.memory_limits.{name}", limit, f"the name of a service: {', '.join(names)}")
        for name, limit in loaded.supervisor.memory_limits.items()
        if name not in names
    ]
    for refusal in (*unknown, *find_missing(loaded)):
        raise SettingsError(settings.explain_refusal(refusal, sources, "settings"))
    origins = sorted(set(sources.values()))
    echo("settings are valid: " + (", ".join(origins) if origins else "defaults only"))


@command.command()
@click.argument("file", default="bgpdrift.toml", type=click.Path(path_type=Path))
def init(file: Path) -> None:
    """Write FILE with every setting, its default and its meaning. An existing file is not changed."""
    from bgpdrift import settings
    from bgpdrift.errors import InputError

    try:
        with file.open("x", encoding="utf-8") as stream:
            stream.write(settings.as_toml(settings.Settings()))
    except FileExistsError:
        raise InputError(f"{file}: the file exists already; remove it, or choose another name") from None
    except OSError as error:
        raise InputError(f"{file}: cannot be written: {error.strerror}") from error
    echo(f"wrote {file}")


def reference() -> str:
    """Return the text of ``docs/configuration.md``: the settings and the retention of each table."""
    from bgpdrift import settings
    from bgpdrift.store.retention import DEFAULT_DAYS, WALL_TIME_TABLES

    lines = [
        settings.as_markdown(),
        "## Retention",
        "",
        "`store.retention_days` overrides these values by table. Event time is the time of the data, so rows of a replayed",
        "recording expire by the time in the recording. Only closed incidents and answered approval requests expire. An",
        "incident is removed with its events, a drift check with its signals. Model versions and cursors do not expire.",
        "",
        "| table | days | expires by |",
        "|---|---|---|",
    ]
    for table, days in DEFAULT_DAYS.items():
        lines.append(f"| `{table}` | {days} | {'wall' if table in WALL_TIME_TABLES else 'event'} time |")
    return "\n".join(lines) + "\n"


def _value(loaded: Any, key: str) -> Any:
    for part in key.split("."):
        loaded = getattr(loaded, part)
    return loaded


def _shown(key: str, value: Any) -> Any:
    """Return the value without the password of a database URL."""
    if key == "store.url" and "@" in str(value):
        from sqlalchemy.engine import make_url

        return make_url(value).render_as_string(hide_password=True)
    return value


def _source(key: str, sources: dict[str, str]) -> str:
    below = {source for name, source in sources.items() if name == key or name.startswith(key + ".")}
    return ", ".join(sorted(below)) if below else "default"
