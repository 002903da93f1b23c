"""`bgpdrift demo`: the whole system on a simulated Internet, a week in a few minutes, judged against the truth.

Starts the simulated feed and all services as a user would and trains the three models on the first days. Then nobody does
anything but the villains: the world changes, which the system finds and learns by itself; somebody poisons its history,
which it refuses to learn; somebody forces a bad model in, which it takes back. Exit 1 unless each of these happened, every
window is there, every model was published and heard, and every incident of the ground truth was found.
"""

from pathlib import Path

import click


@click.command("demo")
@click.option(
    "--dir", "folder", default="demo", show_default=True, type=click.Path(path_type=Path), help="Where to run."
)
@click.option("--scenario", default="demo", show_default=True, help="As in `bgpdrift simulate`.")
@click.option("--limit", default=1200.0, show_default=True, help="Seconds after which the demo gives up.")
@click.option("--svg", type=click.Path(path_type=Path), help="Also save the report as a picture.")
def command(folder: Path, scenario: str, limit: float, svg: Path | None) -> None:
    """Run all services on a simulated Internet that changes, and judge what was found, learned, refused and taken back."""
    import sys

    from bgpdrift.lab.demo.report import show
    from bgpdrift.lab.demo.run import run_demo

    report = run_demo(folder.absolute(), scenario, limit)
    show(report, svg)
    sys.exit(0 if report.passed else 1)
