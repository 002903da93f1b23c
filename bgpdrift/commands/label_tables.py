"""How labels and what follows from them read, as tables or as JSON lines. Decides no figure."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click
import msgspec

from bgpdrift.intervals import wilson_interval
from bgpdrift.verdicts.performance import LabelCounts, sum_daily_rows


def written(row: Mapping[str, Any], as_json: bool, gone: bool = False) -> None:
    """Say what was written or taken back."""
    if as_json:
        click.echo(msgspec.json.encode(row))
        return
    what = "a missed range" if row["incident_id"] is None else f"incident {row['incident_id']}"
    where = f" at {row['collector']}" if row["collector"] else ""
    span = f"{_utc(row['starts_at'])} to {_utc(row['ends_at'])} UTC{where}"
    verb = "taken back: no longer:" if gone else "written:"
    click.echo(f"label {row['id']} {verb} {what} is {row['label']}, {span}")


def labels(rows: Sequence[Mapping[str, Any]], as_json: bool) -> None:
    """List labels."""
    if as_json:
        for row in rows:
            click.echo(msgspec.json.encode(row))
        return
    if not rows:
        click.echo("no labels")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("id", "label", "incident", box=None)
    table.add_column("from (UTC)", no_wrap=True)
    table.add_column("lasted", justify="right", no_wrap=True)
    for title in ("where", "by", "notes"):
        table.add_column(title)
    for row in rows:
        table.add_row(
            str(row["id"]),
            row["label"],
            "–" if row["incident_id"] is None else str(row["incident_id"]),
            _utc(row["starts_at"]),
            f"{(row['ends_at'] - row['starts_at']) // 60} min",
            row["collector"] or "everywhere it was seen",
            row["labelled_by"],
            row["notes"],
        )
    Console(markup=False).print(table)


def performance(rows: Sequence[Mapping[str, Any]], days: int, least: int, as_json: bool) -> None:
    """Print figures by detector and version, summed over days; too few labels are said as such."""
    found = sum_daily_rows(rows)
    if as_json:
        for (model, version), tally in found.items():
            click.echo(msgspec.json.encode(as_fields(model, version, tally, least)))
        return
    if not found:
        click.echo(f"no labels of the last {days} days that are over; `bgpdrift label ID true_positive` gives one")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("detector", "version", box=None, title=f"last {days} days, by labels", title_justify="left")
    for title in ("labels", "accuracy", "95 % interval", "precision", "recall", "F1"):
        table.add_column(title, justify="right", no_wrap=True)
    for (model, version), tally in found.items():
        table.add_row(model, version or "–", str(tally.labels), *_cells(tally, least))
    Console().print(table)


def as_fields(model: str, version: str, tally: LabelCounts, least: int) -> dict[str, Any]:
    """Give the figures of one detector as JSON; null and a reason where there are too few labels.

    Examples
    --------
    >>> found = as_fields("lstm", "3", LabelCounts(true_positives=6, false_positives=1), least=20)
    >>> found["accuracy"], found["note"]
    (None, 'too few labels (7 of 20)')
    """
    enough = tally.labels >= least
    low, high = wilson_interval(tally.right, tally.labels)
    return {
        "model": model,
        "model_version": version,
        "labels": tally.labels,
        "true_positives": tally.true_positives,
        "false_positives": tally.false_positives,
        "true_negatives": tally.true_negatives,
        "false_negatives": tally.false_negatives,
        "accuracy": tally.accuracy if enough else None,
        "accuracy_interval": [round(low, 4), round(high, 4)] if enough else None,
        "precision": tally.precision if enough else None,
        "recall": tally.recall if enough else None,
        "f1": tally.f1 if enough else None,
        "note": "" if enough else f"too few labels ({tally.labels} of {least})",
    }


def _cells(tally: LabelCounts, least: int) -> list[str]:
    found = as_fields("", "", tally, least)
    if found["note"]:
        return [found["note"], "", "", "", ""]
    low, high = found["accuracy_interval"]
    shares = [found[name] for name in ("precision", "recall", "f1")]
    return [
        f"{found['accuracy']:.3f}",
        f"{low:.2f} to {high:.2f}",
        *("–" if share is None else f"{share:.3f}" for share in shares),
    ]


def _utc(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")
