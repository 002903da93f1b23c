"""The common parts of commands that read BGP files: the option ``--lenient``, the list of problems, and the exit code."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from bgpdrift.terminal import echo

if TYPE_CHECKING:
    from bgpdrift.bgp.problems import ProblemReport

DAMAGED = 1
"""Exit code if a file was damaged; what could be read has been used."""

lenient_option = click.option("--lenient", is_flag=True, help="Exit 0 although a file is damaged; still report it.")


def exit_if_damaged(reports: "Sequence[ProblemReport]", *, lenient: bool) -> None:
    """Print the problems of all files on standard error; exit with `DAMAGED` if there are any and ``lenient`` is not set."""
    for report in reports:
        for line in report.describe():
            echo(f"bgpdrift: {line}", err=True)
    if any(report.total for report in reports) and not lenient:
        raise click.exceptions.Exit(DAMAGED)
