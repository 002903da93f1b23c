"""Run one service in this process: ``python -m bgpdrift.services NAME``.

A detector service needs no module of its own: `bgpdrift.detector_registry` names its detector, and `bgpdrift.scoring` does
its work. Every other name is the module of that name in this package.
"""

import runpy
import sys

from bgpdrift.detector_registry import DETECTORS
from bgpdrift.errors import SettingsError
from bgpdrift.services.names import list_programs


def main() -> None:
    """Run the service that the command line names; an unknown name exits with 2 and lists those that exist."""
    from bgpdrift.services import runtime

    name = sys.argv[1] if len(sys.argv) == 2 else ""
    detector = next((record for record in DETECTORS if record.service == name), None)
    modules = set(list_programs())
    if detector is not None:
        from bgpdrift.scoring.detector_worker import build_worker_factory

        runtime.run(name, build_worker_factory(detector.name, name), lambda settings: settings.detectors.poll_s)
    elif name in modules:
        sys.argv = [name]
        runpy.run_module(f"bgpdrift.services.{name}", run_name="__main__")
    else:
        names = ", ".join(sorted(modules | {record.service for record in DETECTORS}))
        print(f"bgpdrift.services: no service is named {name!r}; the services are {names}", file=sys.stderr)
        sys.exit(runtime.EXIT_USAGE)


if __name__ == "__main__":
    try:
        main()
    except SettingsError as error:
        print(f"bgpdrift.services: {error}", file=sys.stderr)
        sys.exit(2)
