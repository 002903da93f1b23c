"""The one error tree of bgpdrift: an error's type says what its reader should do.

Decides nothing itself. Any exception that is not a `BgpdriftError` is a bug: let it end the process, and the
supervisor's restart budget count it.
"""


class BgpdriftError(Exception):
    """Base of every error raised on purpose; the command line prints these without a traceback."""


class IllegalTransitionError(Exception):
    """A bug: an event was applied in a state that does not allow it. Not a `BgpdriftError`, so nothing retries it."""


class TransientError(BgpdriftError):
    """Worth another try, after ``retry_in_s`` seconds."""

    def __init__(self, message: str, retry_in_s: float = 60.0) -> None:
        super().__init__(message)
        self.retry_in_s = retry_in_s


class SettingsError(BgpdriftError):
    """A setting is unknown, of the wrong type or impossible: nothing starts until a person mends it."""


class InputError(BgpdriftError):
    """What the user handed over (a file, an argument) cannot be used; the message says what was expected."""


class NotEnoughDataError(InputError):
    """Too few clean windows to learn from: nothing is wrong, come back when there are more.

    ``not_before`` is the event time before which that is no use, epoch seconds; 0 if it cannot be told.
    """

    def __init__(self, message: str, not_before: int = 0) -> None:
        super().__init__(message)
        self.not_before = not_before


class StoreError(BgpdriftError):
    """The database cannot do what was asked; its schema or its file needs a person."""


class StoreBusyError(TransientError):
    """The database is locked, full or away: keep the work and come back."""


class FeedError(TransientError):
    """The feed was lost, refused or fell silent: reconnect after a back-off."""


class LockHeldError(TransientError):
    """Another process is at work on the same thing; its lock goes with it."""


class ArtifactError(BgpdriftError):
    """These bytes will never be a good model: quarantine them and keep the active one."""


class DigestMismatchError(ArtifactError):
    """An artifact's bytes are not those that were published."""

    def __init__(self, name: str, expected: str, actual: str) -> None:
        super().__init__(f"{name}: digest {actual[:16]}… found, {expected[:16]}… expected; the file is damaged")
        self.name, self.expected, self.actual = name, expected, actual


class NewerSchemaError(ArtifactError):
    """A whole artifact of a later version of bgpdrift: this program cannot use it, another host's may; leave it alone."""


class PublishRefusedError(BgpdriftError):
    """What was true when a publication began is true no longer; nothing was changed: look again and decide anew."""


class AlreadyRunningError(BgpdriftError):
    """Another supervisor holds this data directory; ``pid`` says who."""

    def __init__(self, message: str, pid: int) -> None:
        super().__init__(message)
        self.pid = pid
