"""Our supervisor over a fleet of small programs: ``manager_fleet.py FLEET COMMAND…``, as ``run_all_services.py COMMAND…``."""

import sys

from benchmarks.fleets import FLEETS, command_of
from supervisor.cli import main
from supervisor.services import Service, System


def system_of(fleet: str) -> System:
    """Give a system without order: no peer is asked for one."""
    return System(tuple(Service(name, command_of(name, behaviour)) for name, behaviour in FLEETS[fleet].items()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[2:], system_of(sys.argv[1])))
