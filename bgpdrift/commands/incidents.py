"""`bgpdrift incidents`: what happened and what is happening, as a table; or everything about one incident."""

from typing import Any

import click


@click.command("incidents", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("incident_id", required=False, type=int)
@click.option("--json", "as_json", is_flag=True, help="One JSON object (a line for each incident of the list).")
@click.option("--all", "show_all", is_flag=True, help="Also closed incidents and those merged into others.")
def command(incident_id: int | None, as_json: bool, show_all: bool) -> None:
    """List open incidents and those of the last 24 hours of data, or explain the one with INCIDENT_ID."""
    import msgspec

    from bgpdrift.errors import InputError
    from bgpdrift.settings import load
    from bgpdrift.store import open_store

    settings = load()
    with open_store(settings.store_url, busy_timeout_s=settings.store.busy_timeout_s) as store:
        if incident_id is None:
            now = store.newest_window_start() or 0
            rows = store.incidents_between(0 if show_all else now - 86_400, 2**62)
            rows = [row for row in rows if show_all or row["merged_into"] is None]
            events: list[dict[str, Any]] = []
        else:
            found = store.incident(incident_id)
            if found is None:
                raise InputError(f"incidents: no incident {incident_id}; `bgpdrift incidents --all` lists them")
            rows, events = [found], store.incident_events(incident_id)
    if as_json:
        if incident_id is not None:
            rows = [{**rows[0], "events": events}]
        for row in rows:
            click.echo(msgspec.json.encode(row))
    elif incident_id is not None:
        _explain(rows[0], events)
    else:
        _list(rows)


def _list(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    if not rows:
        click.echo("no incidents")
        return
    table = Table("id", "state", "severity", "kind", box=None)
    table.add_column("began (UTC)", no_wrap=True)
    table.add_column("lasted", justify="right", no_wrap=True)
    table.add_column("where")
    for row in rows:
        table.add_row(
            str(row["id"]),
            str(row["state"]),
            str(row["severity"]),
            str(row["kind"]),
            _utc(row["started_at"]),
            f"{(row['last_seen_at'] + 60 - row['started_at']) // 60} min",
            ", ".join(sorted(row["collectors"])),
        )
    Console().print(table)
    click.echo("`bgpdrift incidents ID` explains one.")


def _explain(row: dict[str, Any], events: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    console, explanation = Console(highlight=False, markup=False), row["explanation"]
    console.print(f"Incident {row['id']}: {row['summary']}")
    console.print(
        f"{row['state']}, severity {row['severity']}, {_utc(row['started_at'])} to {_utc(row['last_seen_at'] + 60)} UTC, "
        f"peak {row['peak']:.1f} (−log10 p)"
    )
    if row["merged_into"] is not None:
        console.print(f"One with incident {row['merged_into']}, where it goes on.")
    minutes = explanation.get("rule_minutes", {})
    rules = Table(
        "rule", "present", "usual", "threshold", "fired in", "meaning", title="Rules fired, at their strongest"
    )
    for rule in explanation.get("rules_fired", []):
        rules.add_row(
            rule["rule"],
            f"{rule['value']:g}",
            f"{rule['usual']:g}",
            f"{rule['threshold']:g}",
            f"{minutes.get(rule['rule'], 0)} min",
            rule["meaning"] + (f" Explained by {rule['explained_by']}." if rule.get("explained_by") else ""),
        )
    console.print(rules)
    features = Table("detector", "feature", "present", "usual", "weight", title="What spoke most for it")
    for entry in explanation.get("top_features", []):
        figures = (f"{entry['present']:g}", f"{entry['usual']:g}", f"{entry['weight']:g}")
        features.add_row(str(entry.get("detector", "")), entry["feature"], *figures)
    console.print(features)
    for name, p in explanation.get("p_values", {}).items():
        console.print(f"{name}: p = {p:.2g}")
    for name, reason in explanation.get("abstaining", {}).items():
        console.print(f"{name}: abstains ({reason})")
    for name in ("collectors", "peers", "origins", "prefixes"):
        if row[name]:
            shown = ", ".join(map(str, row[name][:20]))
            console.print(f"{name}: {shown}" + (f" and {len(row[name]) - 20} more" if len(row[name]) > 20 else ""))
    for event in events:
        if event["kind"] != "updated":
            console.print(f"{_utc(event['at'])} {event['kind']}{_label_of(event)}")


def _label_of(event: dict[str, Any]) -> str:
    if event["kind"] != "labelled":
        return ""
    details = event["details"]
    said = details["label"] or f"no longer {details['was']}"
    notes = f": {details['notes']}" if details.get("notes") else ""
    return f" {said} by {details['labelled_by'] or 'somebody'}{notes}"


def _utc(seconds: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")
