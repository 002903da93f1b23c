"""Stores which services an operator stopped, so that they stay stopped under later supervisors.

The file is one line of JSON. If it is missing or damaged, all services are wanted: a service that runs without need does
less harm than one that is down without a reason.
"""

from collections.abc import Collection
from pathlib import Path

import msgspec

from bgpdrift.process.durable import replace_file


class _Content(msgspec.Struct, frozen=True):
    stopped: tuple[str, ...] = ()


class DesiredState:
    """The file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read_stopped(self, known: Collection[str]) -> frozenset[str]:
        """Return the services that were stopped on purpose, among the known ones."""
        try:
            content = msgspec.json.decode(self._path.read_bytes(), type=_Content)
        except (OSError, msgspec.DecodeError):
            return frozenset()
        return frozenset(content.stopped) & frozenset(known)

    def write_stopped(self, stopped: Collection[str]) -> None:
        """Replace the file.

        Raises
        ------
        OSError
            The disk is full or fails; the old content is unchanged.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with replace_file(self._path, sync=False) as file:
            file.write(msgspec.json.encode(_Content(tuple(sorted(stopped)))) + b"\n")
