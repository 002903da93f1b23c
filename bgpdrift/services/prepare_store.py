"""Bring the store's schema up to date; the supervisor runs this to its end before it starts any service.

A process of its own, so that the supervisor never loads a database library. Decides nothing.
"""

import sys

from bgpdrift import settings
from bgpdrift.errors import BgpdriftError


def main() -> int:
    """Create or upgrade the store; 0, or 1 with one line that says why not."""
    from bgpdrift.store import migrate

    try:
        loaded = settings.load()
        loaded.data_path.mkdir(parents=True, exist_ok=True)
        migrate(loaded.store_url)
    except BgpdriftError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
