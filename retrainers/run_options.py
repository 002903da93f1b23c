"""The options of a run: those of the command line, and those of the run after the settings and the flag are applied."""

from dataclasses import dataclass
from typing import Any

import msgspec

from bgpdrift.models.flags import DriftCause, Flag
from bgpdrift.settings import Settings

MANUAL = Flag(reason="manual", requested_by="command line")


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandLine:
    """The command line."""

    days: int | None = None
    dry_run: bool = False
    candidate_only: bool = False
    force: bool = False
    seed: int = 0
    as_json: bool = False
    from_flag: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What one run does.

    Attributes
    ----------
    days : int
        Length of the training span.
    dry_run : bool
        Do everything, write nothing.
    candidate_only : bool
        Leave the candidate for ``bgpdrift promote``, which has a threshold for drift of its own.
    force : bool
        Publish although the gate refuses the candidate's quality.
    seed : int
        Equal seeds and equal data give equal models.
    request : Flag
        Who asked for the run, and why; recorded with the event.
    since_change : bool
        Train only on the windows since the latest known level change, if there is one.
    """

    days: int
    dry_run: bool = False
    candidate_only: bool = False
    force: bool = False
    seed: int = 0
    request: Flag = MANUAL
    since_change: bool = True

    @classmethod
    def of(cls, command_line: CommandLine, settings: Settings, flag: Flag | None) -> "RunOptions":
        """Apply the settings and the flag to the command line."""
        return cls(
            days=command_line.days or settings.retrain.days,
            dry_run=command_line.dry_run,
            candidate_only=command_line.candidate_only,
            force=command_line.force or bool(flag and flag.force),
            seed=command_line.seed,
            request=flag or MANUAL,
            since_change=command_line.days is None,
        )

    @property
    def cause(self) -> DriftCause:
        """The drift that caused the run."""
        return self.request.cause

    @property
    def reason(self) -> dict[str, Any]:
        """Give the request as JSON, for the event."""
        reason: dict[str, Any] = msgspec.to_builtins(self.request)
        if self.cause.request_id is not None:
            reason["request_id"] = self.cause.request_id
        return reason
