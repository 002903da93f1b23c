"""The life cycle of a service: which state follows which event.

A state includes what the operator wants: in ``stopping`` the end of the process is expected, in ``ready`` it is a failure.
`supervisor.supervised` decides when an event happens, and `supervisor.restart_budget` how often a failed service is
started.
"""

from enum import StrEnum

from bgpdrift.process.transitions import TransitionTable


class State(StrEnum):
    """The state of a service."""

    STOPPED = "stopped"
    """Not wanted; no process."""
    WAITING = "waiting"
    """Wanted; waits for its turn in the starting order."""
    STARTING = "starting"
    """The process has not sent READY yet."""
    READY = "ready"
    """Works."""
    DEGRADED = "degraded"
    """Runs, and has reported that it cannot do all of its work."""
    STOPPING = "stopping"
    """TERM was sent; not started again."""
    RESTARTING = "restarting"
    """TERM was sent; started again after the end of the process."""
    RECYCLING = "recycling"
    """Exceeds its memory limit: TERM was sent. The end counts as a failure."""
    ABORTING = "aborting"
    """Hangs or was not ready in time: ABRT was sent, so that it writes its stacks, and KILL follows."""
    BACKOFF = "backoff"
    """Failed; started again after a short wait."""
    CRASHLOOP = "crashloop"
    """Failed too often; started again after a long wait, without a limit of attempts."""


class Event(StrEnum):
    """An event in the life of a service."""

    START = "start"
    """The operator starts it."""
    STOP = "stop"
    """The operator stops it; this overrides every transition in progress."""
    RESTART = "restart"
    """The operator requests a new process."""
    LAUNCHED = "launched"
    """A process was created."""
    REPORTED_READY = "reported_ready"
    """The process sent READY=1."""
    REPORTED_DEGRADED = "reported_degraded"
    """The process sent the reason why it cannot do all of its work."""
    REPORTED_RECOVERED = "reported_recovered"
    """The process reported that it can do all of its work again."""
    READY_TIMEOUT = "ready_timeout"
    """READY did not come in time."""
    WATCHDOG_TIMEOUT = "watchdog_timeout"
    """WATCHDOG=1 did not come in time."""
    MEMORY_EXCEEDED = "memory_exceeded"
    """The process holds more memory than its limit."""
    ENDED = "ended"
    """The process ended on request."""
    FAILED = "failed"
    """The process ended without a request, or could not be created; the restart budget allows another attempt."""
    FAILED_TOO_OFTEN = "failed_too_often"
    """The same, and the restart budget is used up."""
    RETRY_DUE = "retry_due"
    """The wait before the next attempt is over."""


_S, _E = State, Event
SERVICE_LIFECYCLE = TransitionTable(
    "service",
    State,
    Event,
    {
        (_S.STOPPED, _E.START): _S.WAITING,
        (_S.STOPPED, _E.STOP): _S.STOPPED,
        (_S.STOPPED, _E.RESTART): _S.WAITING,
        (_S.WAITING, _E.START): _S.WAITING,
        (_S.WAITING, _E.STOP): _S.STOPPED,
        (_S.WAITING, _E.RESTART): _S.WAITING,
        (_S.WAITING, _E.LAUNCHED): _S.STARTING,
        (_S.WAITING, _E.FAILED): _S.BACKOFF,
        (_S.WAITING, _E.FAILED_TOO_OFTEN): _S.CRASHLOOP,
        (_S.STARTING, _E.START): _S.STARTING,
        (_S.STARTING, _E.STOP): _S.STOPPING,
        (_S.STARTING, _E.RESTART): _S.RESTARTING,
        (_S.STARTING, _E.REPORTED_READY): _S.READY,
        (_S.STARTING, _E.READY_TIMEOUT): _S.ABORTING,
        (_S.STARTING, _E.MEMORY_EXCEEDED): _S.RECYCLING,
        (_S.STARTING, _E.FAILED): _S.BACKOFF,
        (_S.STARTING, _E.FAILED_TOO_OFTEN): _S.CRASHLOOP,
        (_S.READY, _E.START): _S.READY,
        (_S.READY, _E.STOP): _S.STOPPING,
        (_S.READY, _E.RESTART): _S.RESTARTING,
        (_S.READY, _E.REPORTED_READY): _S.READY,
        (_S.READY, _E.REPORTED_DEGRADED): _S.DEGRADED,
        (_S.READY, _E.WATCHDOG_TIMEOUT): _S.ABORTING,
        (_S.READY, _E.MEMORY_EXCEEDED): _S.RECYCLING,
        (_S.READY, _E.FAILED): _S.BACKOFF,
        (_S.READY, _E.FAILED_TOO_OFTEN): _S.CRASHLOOP,
        (_S.DEGRADED, _E.START): _S.DEGRADED,
        (_S.DEGRADED, _E.STOP): _S.STOPPING,
        (_S.DEGRADED, _E.RESTART): _S.RESTARTING,
        (_S.DEGRADED, _E.REPORTED_READY): _S.DEGRADED,
        (_S.DEGRADED, _E.REPORTED_RECOVERED): _S.READY,
        (_S.DEGRADED, _E.WATCHDOG_TIMEOUT): _S.ABORTING,
        (_S.DEGRADED, _E.MEMORY_EXCEEDED): _S.RECYCLING,
        (_S.DEGRADED, _E.FAILED): _S.BACKOFF,
        (_S.DEGRADED, _E.FAILED_TOO_OFTEN): _S.CRASHLOOP,
        (_S.STOPPING, _E.START): _S.RESTARTING,
        (_S.STOPPING, _E.STOP): _S.STOPPING,
        (_S.STOPPING, _E.RESTART): _S.RESTARTING,
        (_S.STOPPING, _E.REPORTED_READY): _S.STOPPING,
        (_S.STOPPING, _E.ENDED): _S.STOPPED,
        (_S.RESTARTING, _E.START): _S.RESTARTING,
        (_S.RESTARTING, _E.STOP): _S.STOPPING,
        (_S.RESTARTING, _E.RESTART): _S.RESTARTING,
        (_S.RESTARTING, _E.REPORTED_READY): _S.RESTARTING,
        (_S.RESTARTING, _E.ENDED): _S.WAITING,
        (_S.RECYCLING, _E.START): _S.RECYCLING,
        (_S.RECYCLING, _E.STOP): _S.STOPPING,
        (_S.RECYCLING, _E.RESTART): _S.RESTARTING,
        (_S.RECYCLING, _E.REPORTED_READY): _S.RECYCLING,
        (_S.RECYCLING, _E.FAILED): _S.BACKOFF,
        (_S.RECYCLING, _E.FAILED_TOO_OFTEN): _S.CRASHLOOP,
        (_S.ABORTING, _E.START): _S.ABORTING,
        (_S.ABORTING, _E.STOP): _S.STOPPING,
        (_S.ABORTING, _E.RESTART): _S.RESTARTING,
        (_S.ABORTING, _E.REPORTED_READY): _S.ABORTING,
        (_S.ABORTING, _E.FAILED): _S.BACKOFF,
        (_S.ABORTING, _E.FAILED_TOO_OFTEN): _S.CRASHLOOP,
        (_S.BACKOFF, _E.START): _S.BACKOFF,
        (_S.BACKOFF, _E.STOP): _S.STOPPED,
        (_S.BACKOFF, _E.RESTART): _S.WAITING,
        (_S.BACKOFF, _E.RETRY_DUE): _S.WAITING,
        (_S.CRASHLOOP, _E.START): _S.CRASHLOOP,
        (_S.CRASHLOOP, _E.STOP): _S.STOPPED,
        (_S.CRASHLOOP, _E.RESTART): _S.WAITING,
        (_S.CRASHLOOP, _E.RETRY_DUE): _S.WAITING,
    },
    initial=State.STOPPED,
)

UP = frozenset({_S.READY, _S.DEGRADED})
"""The service has sent READY and runs."""

ENDED_BY_SUPERVISOR = frozenset({_S.ABORTING, _S.RECYCLING})
"""The supervisor ends the process, so that it knows the cause and the exit code does not."""

WITH_PROCESS = UP | ENDED_BY_SUPERVISOR | {_S.STARTING, _S.STOPPING, _S.RESTARTING}
"""A process of the service exists."""

ENDING_ON_REQUEST = frozenset({_S.STOPPING, _S.RESTARTING})
"""The end of the process is what the operator requested."""
