"""`bgpdrift start`, `stop`, `restart`, `reload`, `status` and `logs`: the commands of ``run_all_services.py``.

This package does not know the supervisor, which is above it. The program replaces this process, so that the supervisor that it
starts carries nothing of this command line. It parses the arguments.
"""

import os
import sys
from importlib.util import find_spec

import click

from bgpdrift.errors import BgpdriftError

PROGRAM = "run_all_services"


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False}, add_help_option=False
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def command(ctx: click.Context, arguments: tuple[str, ...]) -> None:
    """Run the command of the same name of run_all_services.py."""
    found = find_spec(PROGRAM)
    if found is None or found.origin is None:
        raise BgpdriftError(f"{PROGRAM}.py is not installed beside bgpdrift; install bgpdrift again")
    sys.stdout.flush()
    own = ["--program", "bgpdrift", str(ctx.info_name)]
    os.execv(sys.executable, [sys.executable, found.origin, *own, *arguments])  # noqa: S606 - no shell is meant
