"""States of a retraining request and the events that change them, as one table. Pure.

::

    requested ──refuse──► refused                     claimed ──finish──► done
      │ ├──request_approval──► waiting_approval         ├──fail──► failed
      │ │                        ├──postpone──► postponed ├──requeue──► flagged
      │ ├──postpone──► postponed ├──refuse──► refused     └─postpone──► postponed ──resume──► requested
      └─┴──flag──► flagged ──claim──► claimed

``done`` means that a new version became active. ``failed`` means that a run ended otherwise: the gate rejected the candidate, the
run timed out, or it died `bgpdrift.monitor.request_progress.MAX_ATTEMPTS` times. ``postponed`` waits for an instant of event
time: the end of a cooldown, or more windows. `bgpdrift.monitor.safeguards` decides which event a new request takes,
`bgpdrift.monitor.request_progress` which event a flagged request takes.
"""

from typing import Literal, get_args

from bgpdrift.process.transitions import TransitionTable

State = Literal["requested", "waiting_approval", "postponed", "flagged", "claimed", "done", "failed", "refused"]
Event = Literal[
    "request_approval",  # a person must agree first
    "postpone",  # a cooldown runs, or windows are missing
    "resume",  # the time of the postponement has come
    "flag",  # the flag file is dropped
    "refuse",  # a safeguard or a person objects, or the drift has ended
    "claim",  # a retrainer took the flag file
    "requeue",  # the retrainer died, and the flag file exists again
    "finish",  # a new version became active
    "fail",  # the run ended without a new version and is not repeated
]

REQUEST_LIFECYCLE: TransitionTable[State, Event] = TransitionTable(
    "retraining request",
    get_args(State),
    get_args(Event),
    {
        ("requested", "request_approval"): "waiting_approval",
        ("requested", "postpone"): "postponed",
        ("requested", "flag"): "flagged",
        ("requested", "refuse"): "refused",
        ("postponed", "resume"): "requested",
        ("postponed", "refuse"): "refused",
        ("waiting_approval", "postpone"): "postponed",
        ("waiting_approval", "flag"): "flagged",
        ("waiting_approval", "refuse"): "refused",
        ("flagged", "claim"): "claimed",
        ("claimed", "requeue"): "flagged",
        ("claimed", "postpone"): "postponed",
        ("claimed", "finish"): "done",
        ("claimed", "fail"): "failed",
    },
    initial="requested",
)
OPEN_STATES: tuple[State, ...] = tuple(s for s in REQUEST_LIFECYCLE.states if s not in REQUEST_LIFECYCLE.final_states)
"""States of a request that has not ended."""
