"""A drift report as text in a terminal."""

from bgpdrift.drift import summary
from bgpdrift.drift.report import DriftReport
from bgpdrift.terminal import echo

MAX_LEFT_OUT_LINES = 5


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
    first, *figures, severity, note = summary.MEASURE_COLUMNS
    table = Table(first, box=None, padding=(0, 1, 0, 0))
    for column in figures:
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column(severity)
    table.add_column(note, overflow="fold")
    for measure in (*report.measures, *report.signals):
        table.add_row(*summary.format_measure(measure))
    echo()
    make_console().print(table)
