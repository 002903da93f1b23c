"""The life of a service as one table of (state, event) → state. Whatever is not in the table cannot happen.

The state says what is wanted, too: in ``stopping`` the end of the process is what was asked for, in ``ready`` it is a
failure. So an exit is always judged against the wish, and a service stopped on purpose never comes back by itself.
Decides nothing about when an event is due (`supervisor.supervised`) or how often to try (`supervisor.restart_budget`).
"""

from enum import StrEnum

from bgpdrift.process.transitions import TransitionTable


class State(StrEnum):
    """What a service is at."""

    STOPPED = "stopped"
    """Not wanted, no process."""
    WAITING = "waiting"
    """Wanted; waits for its turn in the starting order."""
    STARTING = "starting"
    """A process that has not said READY yet."""
    READY = "ready"
    """Does its work."""
    DEGRADED = "degraded"
    """Runs, and says itself that it cannot do all of its work."""
    STOPPING = "stopping"
    """Was told to end; nothing follows."""
    RESTARTING = "restarting"
    """Was told to end; starts anew when it has."""
    RECYCLING = "recycling"
    """Holds too much memory: told to end in peace, which counts as a failure; starts anew."""
    ABORTING = "aborting"
    """Hangs or was never ready: told to dump its stacks, then killed; starts anew."""
    BACKOFF = "backoff"
    """Failed; the next attempt is near."""
    CRASHLOOP = "crashloop"
    """Failed too often; tried again slowly, for ever."""


class Event(StrEnum):
    """What happens to a service."""

    START = "start"
    """An operator wants it up."""
    STOP = "stop"
    """An operator wants it down; beats every transition under way."""
    RESTART = "restart"
    """An operator wants a new process."""
    LAUNCHED = "launched"
    """A process was started."""
    SAID_READY = "said_ready"
    """The process sent READY=1."""
    SAID_DEGRADED = "said_degraded"
    """The process said what it cannot do."""
    SAID_WELL = "said_well"
    """The process took that back."""
    OVERDUE = "overdue"
    """READY did not come in time."""
    HUNG = "hung"
    """WATCHDOG=1 did not come in time."""
    TOO_LARGE = "too_large"
    """It holds more memory than it may."""
    ENDED = "ended"
    """The process ended as it was told to."""
    FAILED = "failed"
    """The process ended unasked, or could not be started; the budget allows another attempt."""
    FAILED_TOO_OFTEN = "failed_too_often"
    """The same, and the budget is spent."""
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
        (_S.STARTING, _E.SAID_READY): _S.READY,
        (_S.STARTING, _E.OVERDUE): _S.ABORTING,
        (_S.STARTING, _E.TOO_LARGE): _S.RECYCLING,
        (_S.STARTING, _E.FAILED): _S.BACKOFF,
        (_S.STARTING, _E.FAILED_TOO_OFTEN): _S.CRASHLOOP,
        (_S.READY, _E.START): _S.READY,
        (_S.READY, _E.STOP): _S.STOPPING,
        (_S.READY, _E.RESTART): _S.RESTARTING,
        (_S.READY, _E.SAID_READY): _S.READY,
        (_S.READY, _E.SAID_DEGRADED): _S.DEGRADED,
        (_S.READY, _E.HUNG): _S.ABORTING,
        (_S.READY, _E.TOO_LARGE): _S.RECYCLING,
        (_S.READY, _E.FAILED): _S.BACKOFF,
        (_S.READY, _E.FAILED_TOO_OFTEN): _S.CRASHLOOP,
        (_S.DEGRADED, _E.START): _S.DEGRADED,
        (_S.DEGRADED, _E.STOP): _S.STOPPING,
        (_S.DEGRADED, _E.RESTART): _S.RESTARTING,
        (_S.DEGRADED, _E.SAID_READY): _S.DEGRADED,
        (_S.DEGRADED, _E.SAID_WELL): _S.READY,
        (_S.DEGRADED, _E.HUNG): _S.ABORTING,
        (_S.DEGRADED, _E.TOO_LARGE): _S.RECYCLING,
        (_S.DEGRADED, _E.FAILED): _S.BACKOFF,
        (_S.DEGRADED, _E.FAILED_TOO_OFTEN): _S.CRASHLOOP,
        (_S.STOPPING, _E.START): _S.RESTARTING,
        (_S.STOPPING, _E.STOP): _S.STOPPING,
        (_S.STOPPING, _E.RESTART): _S.RESTARTING,
        (_S.STOPPING, _E.SAID_READY): _S.STOPPING,
        (_S.STOPPING, _E.ENDED): _S.STOPPED,
        (_S.RESTARTING, _E.START): _S.RESTARTING,
        (_S.RESTARTING, _E.STOP): _S.STOPPING,
        (_S.RESTARTING, _E.RESTART): _S.RESTARTING,
        (_S.RESTARTING, _E.SAID_READY): _S.RESTARTING,
        (_S.RESTARTING, _E.ENDED): _S.WAITING,
        (_S.RECYCLING, _E.START): _S.RECYCLING,
        (_S.RECYCLING, _E.STOP): _S.STOPPING,
        (_S.RECYCLING, _E.RESTART): _S.RESTARTING,
        (_S.RECYCLING, _E.SAID_READY): _S.RECYCLING,
        (_S.RECYCLING, _E.FAILED): _S.BACKOFF,
        (_S.RECYCLING, _E.FAILED_TOO_OFTEN): _S.CRASHLOOP,
        (_S.ABORTING, _E.START): _S.ABORTING,
        (_S.ABORTING, _E.STOP): _S.STOPPING,
        (_S.ABORTING, _E.RESTART): _S.RESTARTING,
        (_S.ABORTING, _E.SAID_READY): _S.ABORTING,
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
"""States in which a service has said that it is ready and works."""

ENDED_BY_US = frozenset({_S.ABORTING, _S.RECYCLING})
"""States in which the supervisor ends the process, and knows why better than its exit tells."""

WITH_PROCESS = UP | ENDED_BY_US | {_S.STARTING, _S.STOPPING, _S.RESTARTING}
"""States in which a process of the service exists."""

ENDING_ON_REQUEST = frozenset({_S.STOPPING, _S.RESTARTING})
"""States in which the end of the process is what an operator asked for."""
