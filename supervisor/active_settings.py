"""The active settings: those that were accepted last, kept in a copy with which services are started.

Between an edit of ``bgpdrift.toml`` and its ``reload`` the file may be incomplete or wrong. A service that crashes in that
time must start with the settings it had, so its ``$BGPDRIFT_CONFIG`` names the copy. `reloading` decides which services
a change concerns.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from bgpdrift import settings
from bgpdrift.errors import SettingsError
from bgpdrift.process.durable import replace_file
from bgpdrift.settings import FILE_NAME, Settings
from supervisor.reloading import FIXED_KEYS, find_changed_keys

COPY_NAME = "settings.toml"
_COPY_MODE = 0o600  # the file may contain the password of the database


class ActiveSettings:
    """The active settings and their copy.

    Parameters
    ----------
    current : Settings
        Read at the start.
    directory : Path
        The directory of the copy.
    env : mapping, optional
        The environment, whose ``BGPDRIFT_…`` variables override the file; default that of the process.
    check : callable
        Raises `SettingsError` for values that only the caller can judge.
    """

    def __init__(
        self,
        current: Settings,
        directory: Path,
        env: Mapping[str, str] | None = None,
        check: Callable[[Settings], None] = lambda _: None,
    ) -> None:
        self.current, self._check = current, check
        self._env = dict(os.environ if env is None else env)
        named = self._env.get("BGPDRIFT_CONFIG")
        self._source = Path(named) if named else Path(FILE_NAME).absolute()
        self._is_named = bool(named)
        self._copy = directory / COPY_NAME
        self._text: bytes | None = None

    def build_variables(self) -> dict[str, str]:
        """Return the environment variable that names the copy; empty if there is none, and services read the file."""
        return {"BGPDRIFT_CONFIG": str(self._copy)} if self._copy.is_file() else {}

    def create_copy(self) -> None:
        """Read the file at the start of the supervisor and write the copy.

        Raises
        ------
        SettingsError
            The file was changed since it was read, and is wrong now.
        OSError
            The copy cannot be written.
        """
        self._copy.unlink(missing_ok=True)  # of an earlier supervisor
        self._replace(lambda _: None)

    def restore_copy(self) -> bool:
        """Write the copy again if it was removed; True if it was.

        Raises
        ------
        OSError
            It cannot be written.
        """
        if self._text is None or self._copy.is_file():
            return False
        with replace_file(self._copy, mode=_COPY_MODE, sync=False) as file:
            file.write(self._text)
        return True

    def reload(self) -> Settings:
        """Read the file, and activate its settings if they can be applied; returns the settings before.

        Raises
        ------
        SettingsError
            The file is wrong, or changes a setting that cannot change while services run; nothing was changed.
        OSError
            The copy cannot be written; nothing was changed.
        """
        before = self.current
        self._replace(self._check_change)
        return before

    def _check_change(self, new: Settings) -> None:
        self._check(new)
        fixed = sorted(find_changed_keys(self.current, new) & FIXED_KEYS)
        if fixed:
            raise SettingsError(f"{self._source}: {', '.join(fixed)}: expected unchanged; stop, then start")

    def _replace(self, check: Callable[[Settings], None]) -> None:
        """Write the text to a stage first and read that: the settings that are checked are those that services read."""
        text = self._read_source()
        with replace_file(self._copy, mode=_COPY_MODE, sync=False) as file:
            file.write(text)
            file.flush()
            try:
                new = settings.load(Path(file.name), self._env)
            except SettingsError as error:
                raise SettingsError(str(error).replace(file.name, str(self._source))) from None
            check(new)
        self.current, self._text = new, text

    def _read_source(self) -> bytes:
        try:
            return self._source.read_bytes()
        except FileNotFoundError:
            if self._is_named:
                raise SettingsError(f"{self._source}: no such settings file") from None
            return b""
        except OSError as error:
            raise SettingsError(f"{self._source}: cannot be read: {error.strerror}") from error
