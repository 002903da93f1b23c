"""Start, stop, restart and watch every service of bgpdrift: ``python run_all_services.py start``; see supervisor.cli."""

import sys

from supervisor.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
