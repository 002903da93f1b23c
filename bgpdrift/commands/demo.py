"""`bgpdrift demo`: the whole system on a simulated Internet, compared with the ground truth.

The command starts the simulated feed and all services as a user does, and trains the three models on the first days. After
that the system runs automatically: it finds an incident, learns a persistent change and rolls back a bad model. The exit
code is 1 unless each of these happened, no window is missing, every model was published and voted, and every true incident
was found. `bgpdrift.lab.demo` runs the scenario and checks it.
"""

from pathlib import Path

import click

from bgpdrift.terminal import echo


@click.command("demo", context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--dir", "folder", default="demo", show_default=True, type=click.Path(path_type=Path), help="Directory to run in."
)
@click.option(
    "--scenario",
    default="short",
    show_default=True,
    metavar="NAME|FILE",
    help="short, week, or as in `bgpdrift simulate`.",
)
@click.option("--limit", default=1200.0, show_default=True, help="Time limit of the demo in seconds.")
@click.option("--svg", type=click.Path(path_type=Path), help="Also save the report as a picture.")
def command(folder: Path, scenario: str, limit: float, svg: Path | None) -> None:
    """Run all services on a simulated Internet that changes, and check what they find, learn, reject and roll back."""
    import sys

    from bgpdrift.lab.demo.report import next_commands, show
    from bgpdrift.lab.demo.run import run_demo

    report = run_demo(folder.absolute(), scenario, limit)
    show(report, svg)
    echo("\nTo examine the result, type:")
    for line in next_commands(report, folder.absolute() / "data"):
        echo(f"  {line}")
    sys.exit(0 if report.passed else 1)
