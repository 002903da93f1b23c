"""Where the control socket lies. A file of its own, so that a client loads no event loop: `status` answers at once."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

SOCKET_NAME = "control.sock"


@contextlib.contextmanager
def short_path(path: Path) -> Iterator[str]:
    """Give a name for ``path`` that fits into a socket address (108 bytes), however deep the directory lies."""
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)
