"""Starts, stops, restarts and shows all services of bgpdrift: ``python run_all_services.py start``; see `supervisor.cli`."""

import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bgpdrift.attention import Attention
    from bgpdrift.settings import Settings
    from supervisor.status import Status


def main() -> int:
    """Run `supervisor.cli`; fails with a message if Python finds another package of that name."""
    package = find_spec("supervisor")
    if package is None or find_spec("supervisor.cli") is None:
        where = next(iter(package.submodule_search_locations or ["?"])) if package else "no folder"
        print(
            f"run_all_services.py: the package `supervisor` found in {where} is not bgpdrift's. The process manager of "
            "that name on PyPI (supervisord) needs an environment of its own: `pip uninstall supervisor` here, "
            "then install bgpdrift again",
            file=sys.stderr,
        )
        return 2
    from bgpdrift.entry_point import run_program
    from supervisor.cli import PROGRAM
    from supervisor.cli import main as command_line

    arguments, program = sys.argv[1:], PROGRAM
    if arguments[:1] == ["--program"]:  # `bgpdrift start` and the like replace themselves by this program
        program, arguments = arguments[1], arguments[2:]
    return run_program(program, lambda: command_line(arguments, attend=attend, program=program))


def attend(settings: "Settings", status: "Status") -> "Attention":
    """Decide what needs a person. The supervisor itself knows neither data nor models, so the two meet here."""
    import time

    from bgpdrift.status.attention import read_attention

    return read_attention(settings, time.time(), status if status.supervisor.pid else None)


if __name__ == "__main__":
    sys.exit(main())
