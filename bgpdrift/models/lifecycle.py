"""The life cycle of a model version: its states, the events, and the legal transitions.

::

    candidate ──publish──► active ──accept──► accepted ──supersede──► retired
        └─reject─► rejected   ├─roll_back─► rolled_back ◄─roll_back─┘
                              └─replace─► retired ──restore──► active

An accepted version stays ``accepted`` when it is replaced: while its successor is on probation, it is the version to roll
back to. It is retired when the successor is accepted. A ``rolled_back`` version failed its probation or a person replaced
it; it becomes active again only if a person names it (``reinstate``). A ``rejected`` version is never active.
"""

from typing import Literal, get_args

from bgpdrift.process.transitions import TransitionTable
from bgpdrift.store.model_records import ModelState

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
STATES: tuple[ModelState, ...] = get_args(ModelState)

VERSION_LIFECYCLE: TransitionTable[ModelState, Event] = TransitionTable(
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
