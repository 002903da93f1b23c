"""Tables of evaluations: for the terminal, and in Markdown for docs/quality.md.

A figure that is not defined is "–". The reason why a detector has no figures is below the table.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

FIGURES = ("auc", "f1", "precision", "recall", "first_alarm_minutes", "false_alarms_per_day")
TITLES = ("AUC", "F1", "precision", "recall", "first alarm, min", "false alarms a day")
_SHORT_TITLES = ("AUC", "F1", "precision", "recall", "1st alarm", "false/day")
_FORMATS = (".4f", ".3f", ".3f", ".3f", ".0f", ".2f")
Document = Mapping[str, Any]
"""An evaluation as `bgpdrift.lab.evaluation.evaluation.as_fields` gives it, or ``{"file", "error"}``."""


def cells(row: Mapping[str, Any]) -> list[str]:
    """Format the figures of a detector.

    Examples
    --------
    >>> cells({"auc": 0.99712, "f1": 0.5, "precision": None, "recall": 0.25, "first_alarm_minutes": 4.0})
    ['0.9971', '0.500', '–', '0.250', '4', '–']
    """
    values = (row.get(name) for name in FIGURES)
    return ["–" if value is None else format(value, form) for value, form in zip(values, _FORMATS, strict=True)]


def file_name(document: Document) -> str:
    """Name of the file without its folder and its endings.

    Examples
    --------
    >>> file_name({"file": "../data/Worm.csv.gz"})
    'Worm'
    """
    return str(document["file"]).rsplit("/", 1)[-1].split(".")[0]


def as_markdown(documents: Sequence[Document]) -> str:
    """Write one table over all files."""
    lines = [f"| file | detector | {' | '.join(TITLES)} |", f"|---|---|{'---:|' * len(TITLES)}"]
    for document in documents:
        for position, (name, row) in enumerate(document.get("detectors", {}).items()):
            file = file_name(document) if position == 0 else ""
            lines.append(f"| {file} | `{name}` | {' | '.join(cells(row))} |")
    notes = [f"- {note}" for document in documents for note in notes_of(document)]
    return "\n".join([*lines, "", *notes]).rstrip() + "\n"


def notes_of(document: Document) -> Iterator[str]:
    """Return one line for each missing file or detector, with the reason."""
    if "error" in document:
        yield f"{file_name(document)}: {document['error']}"
    if document.get("missing_minutes"):
        yield f"{file_name(document)}: {document['missing_minutes']:,} minutes are missing: a value in them is -1, not known"
    for name, row in document.get("detectors", {}).items():
        if row.get("unavailable"):
            yield f"{file_name(document)}, {name}: no figures: {row['unavailable']}"


def show(documents: Sequence[Document]) -> None:
    """Print the tables, and below them what is missing."""
    from rich.table import Table

    from bgpdrift.terminal import make_console

    console = make_console()
    for document in documents:
        if "error" in document:
            continue
        table = Table(
            box=None,
            title_justify="left",
            title=f"{document['file']}\ntrained on {document['train_minutes']} minutes, evaluated on {document['minutes']}, "
            f"{document['labelled_minutes']} of them labelled",
        )
        table.add_column("detector", no_wrap=True)
        for title in _SHORT_TITLES:
            table.add_column(title, justify="right", no_wrap=True)
        for name, row in document["detectors"].items():
            table.add_row(name, *cells(row))
        console.print(table)
        console.print()
    console.print("1st alarm: minutes from the start of a labelled span", style="dim")
    console.print("false/day: alarm episodes outside labelled spans per day", style="dim")
    for document in documents:
        for note in notes_of(document):
            console.print(note, markup=False)
