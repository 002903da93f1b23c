"""`bgpdrift config`: show what is in force and why, check a file, write one. Decides nothing about settings."""

from pathlib import Path
from typing import Any

import click


@click.group()
def command() -> None:
    """Show, check or write the settings."""


@command.command()
@click.option("--json", "form", flag_value="json", help="One JSON object: value and source by setting.")
@click.option("--toml", "form", flag_value="toml", help="A complete bgpdrift.toml.")
@click.option("--markdown", "form", flag_value="markdown", help="The configuration reference, defaults only.")
def show(form: str | None) -> None:
    """Print the settings in force and where each comes from."""
    import msgspec

    from bgpdrift import settings

    if form == "markdown":
        click.echo(reference(), nl=False)
        return
    loaded, sources = settings.load_with_sources()
    if form == "toml":
        click.echo(settings.as_toml(loaded), nl=False)
        return
    values = {field.key: _shown(field.key, _value(loaded, field.key)) for field in settings.fields()}
    origin = {key: _source(key, sources) for key in values}
    if form == "json":
        rows = {key: {"value": value, "source": origin[key]} for key, value in values.items()}
        click.echo(msgspec.json.format(msgspec.json.encode(rows)).decode())
        return
    width = max(map(len, values))
    for key, value in values.items():
        text = msgspec.json.encode(value).decode()
        click.echo(f"{key:<{width}} = {text}" + ("" if origin[key] == "default" else f"  ({origin[key]})"))


@command.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
def check(file: Path | None) -> None:
    """Read FILE, or what a service would read, and say whether it could start with it."""
    from bgpdrift import settings

    _, sources = settings.load_with_sources(file)
    origins = sorted(set(sources.values()))
    click.echo("settings are valid: " + (", ".join(origins) if origins else "defaults only"))


@command.command()
@click.argument("file", default="bgpdrift.toml", type=click.Path(path_type=Path))
def init(file: Path) -> None:
    """Write FILE with every setting, its default and its meaning; an existing file is left alone."""
    from bgpdrift import settings
    from bgpdrift.errors import InputError

    try:
        with file.open("x", encoding="utf-8") as stream:
            stream.write(settings.as_toml(settings.Settings()))
    except FileExistsError:
        raise InputError(f"{file}: exists already; remove it first, or name another file") from None
    except OSError as error:
        raise InputError(f"{file}: cannot be written: {error.strerror}") from error
    click.echo(f"wrote {file}")


def reference() -> str:
    """Write ``docs/configuration.md``: the settings, and how long each table's rows are kept."""
    from bgpdrift import settings
    from bgpdrift.store.retention import DEFAULT_DAYS, WALL_TIME_TABLES

    lines = [
        settings.as_markdown(),
        "## How long rows are kept",
        "",
        "`store.retention_days` overrides these, by table. Event time is that of the data: a replay of an old",
        "recording ages by the recording. Only closed incidents and answered approvals expire; an incident takes its",
        "events along, a drift check its signals. Model versions and cursors are kept for ever.",
        "",
        "| table | days | ages in |",
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
    """Hide the password of a database URL."""
    if key == "store.url" and "@" in str(value):
        from sqlalchemy.engine import make_url

        return make_url(value).render_as_string(hide_password=True)
    return value


def _source(key: str, sources: dict[str, str]) -> str:
    below = {source for name, source in sources.items() if name == key or name.startswith(key + ".")}
    return ", ".join(sorted(below)) if below else "default"
