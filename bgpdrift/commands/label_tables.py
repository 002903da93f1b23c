"""The output of `bgpdrift label`: labels and figures as tables or JSON lines."""

from collections.abc import Sequence
from typing import Any

import msgspec

from bgpdrift.formatting import format_time
from bgpdrift.intervals import MIN_LABELS_PER_CLASS, wilson_interval
from bgpdrift.store.outcomes import DailyPerformance, Outcome
from bgpdrift.terminal import echo, echo_json
from bgpdrift.verdicts.performance import LabelCounts, sum_daily_rows


def print_written(outcome: Outcome, as_json: bool, removed: bool = False) -> None:
    """Print a label that was written or removed."""
    if as_json:
        echo_json(msgspec.json.encode(outcome))
        return
    subject = "a missed range" if outcome.incident_id is None else f"incident {outcome.incident_id}"
    where = f" at {outcome.collector}" if outcome.collector else ""
    span = f"{format_time(outcome.starts_at)} to {format_time(outcome.ends_at)} UTC{where}"
    verb = "removed:" if removed else "written:"
    echo(f"label {outcome.id} {verb} {subject} is {outcome.label}, {span}")


def print_labels(outcomes: Sequence[Outcome], as_json: bool) -> None:
    """Print labels."""
    if as_json:
        for outcome in outcomes:
            echo_json(msgspec.json.encode(outcome))
        return
    if not outcomes:
        echo("There are no labels.")
        return
    from rich.table import Table

    from bgpdrift.terminal import make_console

    table = Table("id", "label", "incident", box=None)
    table.add_column("from (UTC)", no_wrap=True)
    table.add_column("duration", justify="right", no_wrap=True)
    for title in ("where", "by", "notes"):
        table.add_column(title)
    for outcome in outcomes:
        table.add_row(
            str(outcome.id),
            outcome.label,
            "–" if outcome.incident_id is None else str(outcome.incident_id),
            format_time(outcome.starts_at),
            f"{(outcome.ends_at - outcome.starts_at) // 60} min",
            outcome.collector or "all",
            outcome.labelled_by,
            outcome.notes,
        )
    make_console().print(table)


def print_performance(rows: Sequence[DailyPerformance], days: int, min_labels: int, as_json: bool) -> None:
    """Print figures by detector and version, summed over days; a note replaces them if there are too few labels."""
    counts = sum_daily_rows(rows)
    if as_json:
        for (model, version), tally in counts.items():
            echo_json(msgspec.json.encode(build_figures(model, version, tally, min_labels)))
        return
    if not counts:
        echo(
            f"There are no labels of complete days in the last {days} days; `bgpdrift label ID true_positive` writes one."
        )
        return
    from rich.table import Table

    from bgpdrift.terminal import make_console

    table = Table("detector", "version", box=None, title=f"last {days} days, by labels", title_justify="left")
    for title in ("labels", "accuracy", "95 % interval", "precision", "recall", "F1"):
        table.add_column(title, justify="right", no_wrap=True)
    for (model, version), tally in counts.items():
        table.add_row(model, version or "–", str(tally.labels), *_cells(tally, min_labels))
    make_console().print(table)


def build_figures(model: str, version: str, tally: LabelCounts, min_labels: int) -> dict[str, Any]:
    """Build the figures of one detector as JSON; null and a note if there are too few labels.

    Examples
    --------
    >>> figures = build_figures("lstm", "3", LabelCounts(true_positives=6, false_positives=1), min_labels=20)
    >>> figures["accuracy"], figures["note"]
    (None, 'too few labels (7 of 20)')
    >>> build_figures("lstm", "3", LabelCounts(true_positives=30), min_labels=20)["note"]
    'too few labels of one class (30 anomalous, 0 normal, 5 of each needed)'
    """
    enough, note = tally.suffice(min_labels), ""
    if tally.labels < min_labels:
        note = f"too few labels ({tally.labels} of {min_labels})"
    elif not enough:
        of_each = f"{tally.anomalous} anomalous, {tally.normal} normal, {MIN_LABELS_PER_CLASS} of each needed"
        note = f"too few labels of one class ({of_each})"
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
        "note": note,
    }


def _cells(tally: LabelCounts, min_labels: int) -> list[str]:
    figures = build_figures("", "", tally, min_labels)
    if figures["note"]:
        return [figures["note"], "", "", "", ""]
    low, high = figures["accuracy_interval"]
    shares = [figures[name] for name in ("precision", "recall", "f1")]
    return [
        f"{figures['accuracy']:.3f}",
        f"{low:.2f} to {high:.2f}",
        *("–" if share is None else f"{share:.3f}" for share in shares),
    ]
