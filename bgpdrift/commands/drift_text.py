"""A drift report as text in a terminal."""

from collections.abc import Iterator, Sequence

from bgpdrift.drift import summary
from bgpdrift.drift.report import DriftReport
from bgpdrift.formatting import escape_control
from bgpdrift.terminal import echo

MAX_LEFT_OUT_LINES = 5
WIDTH_FOR_NOTES = 110
"""Columns from which on notes are a column of the table; on a narrower terminal they follow the table."""


def show_report(report: DriftReport, title: str) -> None:
    """Print the verdict, the reason, the basis and every measure."""
    from rich.table import Table

    from bgpdrift.terminal import make_console

    verdict = summary.VERDICT_LABELS[report.verdict]
    echo(f"{title}: {verdict}{f' ({report.severity})' if report.severity != 'none' else ''}")
    echo(report.reason)
    echo()
    facts = summary.list_facts(report)
    width = max(len(label) for label, _ in facts)
    for label, text in facts:
        echo(f"{label:{width}}  {text}")
    left_out = [hours for comparison in report.comparisons[:1] for hours in comparison.left_out]
    for hours in left_out[:MAX_LEFT_OUT_LINES]:
        echo(f"{'left out':{width}}  {summary.format_left_out(hours)}")
    if len(left_out) > MAX_LEFT_OUT_LINES:
        echo(f"{'':{width}}  and {len(left_out) - MAX_LEFT_OUT_LINES} more")
    if not (report.measures or report.signals):
        return
    console = make_console()
    first, *figures, severity, note = summary.MEASURE_COLUMNS
    table = Table(box=None, padding=(0, 1, 0, 0))
    table.add_column(first, overflow="fold")
    for column in figures:
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column(severity, no_wrap=True)
    has_room = console.width >= WIDTH_FOR_NOTES
    if has_room:
        table.add_column(note, overflow="fold")
    rows = [summary.format_measure(measure) for measure in (*report.measures, *report.signals)]
    for row in rows:
        table.add_row(*(row if has_room else row[:-1]))
    echo()
    console.print(table)
    if not has_room:
        echo()
        for line in _list_notes(rows):
            console.print(line, markup=False, highlight=False)


def _list_notes(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """List the notes of measures, one line for all measures with the same note."""
    names: dict[str, list[str]] = {}
    for name, *_, note in rows:
        if note:
            names.setdefault(note, []).append(name)
    for note, of_measures in names.items():
        yield escape_control(f"{', '.join(of_measures)}: {note}")
