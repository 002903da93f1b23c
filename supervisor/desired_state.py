"""Which services an operator stopped on purpose, kept over the supervisor's own end.

One line of JSON under the data directory. A file that is missing or damaged means that all are wanted: what runs without
need does less harm than what is down without a word.
"""

from collections.abc import Collection
from pathlib import Path

import msgspec

from bgpdrift.process.durable import replace_file


class _Kept(msgspec.Struct, frozen=True):
    stopped: tuple[str, ...] = ()


class DesiredState:
    """The file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def stopped(self, known: Collection[str]) -> frozenset[str]:
        """Give the services that shall not run, of those there are."""
        try:
            kept = msgspec.json.decode(self._path.read_bytes(), type=_Kept)
        except (OSError, msgspec.DecodeError):
            return frozenset()
        return frozenset(kept.stopped) & frozenset(known)

    def write(self, stopped: Collection[str]) -> None:
        """Replace it.

        Raises
        ------
        OSError
            The disk refuses: the wish would be forgotten with this supervisor.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with replace_file(self._path, sync=False) as file:
            file.write(msgspec.json.encode(_Kept(tuple(sorted(stopped)))) + b"\n")
