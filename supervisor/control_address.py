"""The address of the control socket. A module of its own, so that a client loads no event loop and ``status`` is fast."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

SOCKET_NAME = "control.sock"


@contextlib.contextmanager
def short_path(path: Path) -> Iterator[str]:
    """Yield a name of ``path`` that fits into a socket address (108 bytes), whatever the depth of its directory."""
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)
