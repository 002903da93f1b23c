"""The life of a version as a table: what it is, what happens to it, what it is then. Pure; nothing else may follow.

::

    candidate ──publish──► active ──accept──► accepted ──supersede──► retired
        └─reject─► rejected   ├─roll_back─► rolled_back ◄─roll_back─┘
                              └─replace─► retired ──restore──► active

``accepted`` outlives its replacement: while its successor is on probation it is the version to return to, and only when
that one is accepted is it retired. ``rolled_back`` disappointed once: nothing brings it back by itself, only a person who
names it (``reinstate``). ``rejected`` never was in force and never will be.
"""

from typing import Literal, get_args

from bgpdrift.process.transitions import TransitionTable

State = Literal["candidate", "active", "accepted", "rejected", "rolled_back", "retired"]
Event = Literal[
    "publish",  # a candidate becomes active
    "reject",  # the gate refuses it
    "accept",  # probation passed
    "replace",  # another version becomes active
    "supersede",  # the version that replaced this accepted version is accepted too
    "roll_back",  # no longer active, because probation failed or a person decided so
    "restore",  # active again, because its successor was rolled back
    "reinstate",  # active again although it was rolled back once: a person names it
]
STATES: tuple[State, ...] = get_args(State)

VERSION_LIFECYCLE: TransitionTable[State, Event] = TransitionTable(
    "model version",
    STATES,
    get_args(Event),
    {
        ("candidate", "publish"): "active",
        ("candidate", "reject"): "rejected",
        ("active", "accept"): "accepted",
        ("active", "replace"): "retired",
        ("active", "roll_back"): "rolled_back",
        ("accepted", "replace"): "accepted",
        ("accepted", "supersede"): "retired",
        ("accepted", "roll_back"): "rolled_back",
        ("accepted", "restore"): "active",
        ("retired", "restore"): "active",
        ("rolled_back", "reinstate"): "active",
    },
    initial="candidate",
)
