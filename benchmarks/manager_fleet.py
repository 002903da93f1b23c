"""The supervisor with a fleet of small programs: ``manager_fleet.py FLEET COMMAND…``, as ``run_all_services.py COMMAND…``."""

import sys

from benchmarks.fleets import FLEETS, command_of
from supervisor.cli import main
from supervisor.services import Service, System


def build_system(fleet: str) -> System:
    """Build a system without a starting order, since the other managers have none either."""
    return System(tuple(Service(name, command_of(name, behaviour)) for name, behaviour in FLEETS[fleet].items()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[2:], build_system(sys.argv[1])))
