"""The settings that were accepted, kept as a file of their own: what services are started with.

Between an edit of ``bgpdrift.toml`` and its ``reload`` the file may be half-written or wrong. A service that crashes in
that time must come back with the settings it had, so its ``$BGPDRIFT_CONFIG`` names our copy of what was accepted last.
Whom a change concerns is decided in `reloading`.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from bgpdrift import settings
from bgpdrift.errors import SettingsError
from bgpdrift.settings import FILE_NAME, Settings
from supervisor.reloading import FIXED, changed_keys

COPY_NAME = "settings.toml"


class SettingsInForce:
    """What holds now, and how to replace it.

    Parameters
    ----------
    present : Settings
        Read at the start.
    directory : Path
        Where the copy lies.
    env : mapping, optional
        The environment, whose ``BGPDRIFT_…`` stand above the file; default that of the process.
    check : callable
        Raises `SettingsError` for what only the caller can tell is wrong.
    """

    def __init__(
        self,
        present: Settings,
        directory: Path,
        env: Mapping[str, str] | None = None,
        check: Callable[[Settings], None] = lambda _: None,
    ) -> None:
        self.present, self._check = present, check
        self._env = dict(os.environ if env is None else env)
        named = self._env.get("BGPDRIFT_CONFIG")
        self._source = Path(named) if named else Path(FILE_NAME).absolute()
        self._is_named = bool(named)
        self._copy = directory / COPY_NAME
        self._next = directory / f"{COPY_NAME}.new"
        self._text: bytes | None = None

    def config_for_services(self) -> dict[str, str]:
        """Give the variable that names the copy; nothing if there is none, and services read the file itself."""
        return {"BGPDRIFT_CONFIG": str(self._copy)} if self._copy.is_file() else {}

    def begin(self) -> None:
        """Keep what is in force at the start.

        Raises
        ------
        SettingsError
            The file was broken since it was read, a moment ago.
        OSError
            The copy cannot be written.
        """
        self._copy.unlink(missing_ok=True)  # an earlier supervisor's
        self.present, self._text = self._stage()
        self._next.replace(self._copy)

    def ensure(self) -> bool:
        """Write the copy again if somebody removed it; True if that was so.

        Raises
        ------
        OSError
            It cannot be written.
        """
        if self._text is None or self._copy.is_file():
            return False
        self._write(self._text)
        self._next.replace(self._copy)
        return True

    def read_anew(self) -> Settings:
        """Read the file as it is now, and keep it if it can be applied; services started from now on go by it.

        Returns
        -------
        Settings
            What was in force until now.

        Raises
        ------
        SettingsError
            It is broken, or changes what cannot change while anything runs; nothing was changed.
        OSError
            The copy cannot be written; nothing was changed.
        """
        new, text = self._stage()
        fixed = sorted(changed_keys(self.present, new) & FIXED)
        self._check(new)
        if fixed:
            raise SettingsError(f"{self._source}: {', '.join(fixed)}: expected unchanged; stop, then start")
        self._next.replace(self._copy)
        before, self.present, self._text = self.present, new, text
        return before

    def _stage(self) -> tuple[Settings, bytes]:
        """Copy the file first and read the copy: what is checked is what services get."""
        try:
            text = self._source.read_bytes()
        except FileNotFoundError:
            if self._is_named:
                raise SettingsError(f"{self._source}: no such settings file") from None
            text = b""
        except OSError as error:
            raise SettingsError(f"{self._source}: cannot be read: {error.strerror}") from error
        self._write(text)
        try:
            return settings.load(self._next, self._env), text
        except SettingsError as error:
            raise SettingsError(str(error).replace(str(self._next), str(self._source))) from None

    def _write(self, text: bytes) -> None:
        # It may hold the database's password, as the original does.
        descriptor = os.open(self._next, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(text)
