"""The errors of bgpdrift. The type of an error decides what its handler does.

An exception that is not a `BgpdriftError` is a bug: it ends the process, and the supervisor's restart budget counts it.
"""


class BgpdriftError(Exception):
    """Base of every error raised on purpose; commands print the message without a traceback."""


class IllegalTransitionError(Exception):
    """A bug: an event was applied in a state that does not allow it. Not a `BgpdriftError`, so nothing retries it."""


class TransientError(BgpdriftError):
    """Another attempt may succeed, after ``retry_in_s`` seconds."""

    def __init__(self, message: str, retry_in_s: float = 60.0) -> None:
        super().__init__(message)
        self.retry_in_s = retry_in_s


class SettingsError(BgpdriftError):
    """A setting is unknown, of the wrong type or out of range: nothing starts until a person corrects it."""


class NothingHereError(BgpdriftError):
    """The data directory does not exist: no service ever ran here, or this is not the directory that is meant."""


class InputError(BgpdriftError):
    """The user's input (a file, an argument) cannot be used; the message names what was expected."""


class NotEnoughDataError(InputError):
    """There are too few clean windows to train on. Nothing is wrong; later there will be more.

    ``not_before`` is the event time before which another attempt is useless, epoch seconds; 0 if unknown.
    """

    def __init__(self, message: str, not_before: int = 0) -> None:
        super().__init__(message)
        self.not_before = not_before


class StoreError(BgpdriftError):
    """The database cannot do what was requested; a person must correct its schema or its file."""


class StoreFileError(StoreError):
    """The database file is missing, damaged or read-only: a person must restore it. Look again after ``retry_in_s`` seconds."""

    def __init__(self, message: str, retry_in_s: float = 10.0) -> None:
        super().__init__(message)
        self.retry_in_s = retry_in_s


class StoreReplacedError(TransientError):
    """The database is another one than before: read everything from it again before another attempt."""


class StoreBusyError(TransientError):
    """The database is locked, full or unreachable: keep the work and try again."""


class LockHeldError(TransientError):
    """Another process holds the lock of the same work; the lock is free when it ends."""


class ArtifactError(BgpdriftError):
    """These bytes will never be a usable model: quarantine them and keep the active version."""


class UnfinishedArtifactError(ArtifactError):
    """The bytes of an artifact end too early: the file may still be being written."""


class DigestMismatchError(UnfinishedArtifactError):
    """The bytes of an artifact are not those that were published: damaged, or not yet all written."""

    def __init__(self, name: str, expected: str, actual: str) -> None:
        super().__init__(f"{name}: digest {actual[:16]}… found, {expected[:16]}… expected; the file is damaged")
        self.name, self.expected, self.actual = name, expected, actual


class NewerSchemaError(ArtifactError):
    """An undamaged artifact of a later version of bgpdrift: leave it, since another host may use it."""


class PublishRefusedError(BgpdriftError):
    """A precondition of a publication no longer holds; nothing was changed. Read the state again before another attempt."""


class AlreadyRunningError(BgpdriftError):
    """Another process holds the lock of this directory; ``pid`` is its pid, 0 if unknown."""

    def __init__(self, message: str, pid: int) -> None:
        super().__init__(message)
        self.pid = pid
