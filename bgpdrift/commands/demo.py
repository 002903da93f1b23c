"""`bgpdrift demo`: the whole system on a simulated Internet, two days in a few minutes, judged against the truth.

Starts the simulated feed and all services as a user would, trains the three models on the first day, waits until every
minute has been judged, stops everything and says what it did. Exit 1 if a window is missing, a model was not published or
never heard, or an incident of the ground truth was not found.
"""

from pathlib import Path

import click


@click.command("demo")
@click.option(
    "--dir", "folder", default="demo", show_default=True, type=click.Path(path_type=Path), help="Where to run."
)
@click.option("--scenario", default="demo", show_default=True, help="As in `bgpdrift simulate`.")
@click.option("--limit", default=420.0, show_default=True, help="Seconds after which the demo gives up.")
@click.option("--svg", type=click.Path(path_type=Path), help="Also save the report as a picture.")
def command(folder: Path, scenario: str, limit: float, svg: Path | None) -> None:
    """Run all services on a simulated Internet, train the models on its first day and judge what they found."""
    import sys

    from bgpdrift.commands.demo_report import show
    from bgpdrift.commands.demo_run import run_demo

    report = run_demo(folder.absolute(), scenario, limit)
    show(report, svg)
    sys.exit(0 if report.passed else 1)
