"""The options of a run: those of the command line, and those of the run after the settings and the flag are applied."""

from dataclasses import dataclass

from bgpdrift.models.flags import DriftCause, Flag
from bgpdrift.settings import Settings
from bgpdrift.store.model_records import EventReason

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
    def reason(self) -> EventReason:
        """The request and its cause, for the event."""
        request, cause = self.request, self.cause
        return EventReason(
            summary=request.reason,
            requested_by=request.requested_by,
            requested_at=request.requested_at,
            request_id=cause.request_id,
            force=request.force,
            attempts=request.attempts,
            check_id=cause.check_id,
            severity=cause.severity,
            change_point=cause.change_point,
            report_path=cause.report_path,
            model_version=cause.version,
            consented=cause.consented,
        )
