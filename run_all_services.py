"""Start, stop, restart and watch every service of bgpdrift: ``python run_all_services.py start``; see supervisor.cli."""

import sys
from importlib.util import find_spec


def main() -> int:
    """Hand over to `supervisor.cli`; a clear word if another package of that name stands in its place."""
    package = find_spec("supervisor")
    if package is None or find_spec("supervisor.cli") is None:
        where = next(iter(package.submodule_search_locations or ["?"])) if package else "no folder"
        print(
            f"run_all_services.py: the package `supervisor` found in {where} is not bgpdrift's. The process manager of "
            "that name on PyPI (supervisord) must live in an environment of its own: `pip uninstall supervisor` here, "
            "then install bgpdrift again",
            file=sys.stderr,
        )
        return 2
    from supervisor.cli import main as command_line

    return command_line(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
