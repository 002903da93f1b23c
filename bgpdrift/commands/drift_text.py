"""How a drift report reads in a terminal. Decides no figure."""

import click

from bgpdrift.drift import summary as said
from bgpdrift.drift.report import DriftReport

MOST_LEFT_OUT = 5


def show(report: DriftReport, title: str) -> None:
    """Print verdict, reason, what it rests on and every measure."""
    from rich.console import Console
    from rich.table import Table

    verdict = said.VERDICT_LABELS[report.verdict]
    click.echo(f"{title}: {verdict}{f' ({report.severity})' if report.severity != 'none' else ''}")
    click.echo(report.reason)
    click.echo()
    width = max((len(label) for label, _ in said.facts(report)), default=0)
    for label, text in said.facts(report):
        click.echo(f"{label:{width}}  {text}")
    hours = [one for comparison in report.comparisons[:1] for one in comparison.left_out]
    for one in hours[:MOST_LEFT_OUT]:
        click.echo(f"{'left out':{width}}  {said.left_out(one)}")
    if len(hours) > MOST_LEFT_OUT:
        click.echo(f"{'':{width}}  and {len(hours) - MOST_LEFT_OUT} more")
    if not (report.measures or report.signals):
        return
    table = Table("measure", box=None, padding=(0, 1, 0, 0))
    for column in ("value", "usual", "p-value"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("severity")
    table.add_column("note", overflow="fold")
    for measure in (*report.measures, *report.signals):
        table.add_row(*said.row(measure))
    click.echo()
    Console(highlight=False).print(table)
