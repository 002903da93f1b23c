"""Retrain one model: ``python -m retrainers NAME``, or the console script ``retrain_NAME``.

NAME is the model or the service of any detector in `bgpdrift.detector_registry`. All console scripts are this `main`: the
name of the script names the model.
"""

import sys
from pathlib import Path

from bgpdrift.detector_registry import MODELS, find
from bgpdrift.entry_point import run_program
from bgpdrift.errors import InputError
from bgpdrift.terminal import echo
from retrainers.exits import Exit
from retrainers.program import program

SCRIPT_PREFIX = "retrain_"


def main() -> None:
    """Run the retrainer that the script's name, or else the first argument, names."""
    script = Path(sys.argv[0]).name
    if script.startswith(SCRIPT_PREFIX):
        name, arguments = script.removeprefix(SCRIPT_PREFIX), sys.argv[1:]
    else:
        name, arguments = (sys.argv[1], sys.argv[2:]) if len(sys.argv) > 1 else ("", [])
    if name in ("", "-h", "--help"):
        echo(f"Usage: python -m retrainers NAME [OPTIONS]; NAME is one of {', '.join(MODELS)}", err=not name)
        sys.exit(0 if name else Exit.USAGE)
    try:
        record = find(name)
    except InputError as error:
        echo(f"retrainers: {error}", err=True)
        sys.exit(Exit.USAGE)
    command = program(record.name)
    sys.exit(run_program(record.retrain_command, lambda: command.main(arguments, prog_name=record.retrain_command)))


if __name__ == "__main__":
    main()
