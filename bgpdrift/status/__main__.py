"""``python -m bgpdrift.status``."""

import sys

from bgpdrift.status import main

if __name__ == "__main__":
    sys.exit(main())
