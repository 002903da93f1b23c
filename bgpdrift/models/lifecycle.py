"""The life of a version as a table: what it is, what happens to it, what it is then. Pure; nothing else may follow.

::

    candidate ──publish──► active ──settle──► settled ──succeed──► retired
        └─reject─► rejected   ├─roll_back─► rolled_back ◄─roll_back─┘
                              └─replace─► retired ──restore──► active

``settled`` outlives its replacement: while its successor is on probation it is the version to return to, and only when
that one settles is it retired. ``rolled_back`` disappointed once: nothing brings it back by itself, only a person who
names it (``reinstate``). ``rejected`` never was in force and never will be.
"""

from typing import Literal

from bgpdrift.errors import PublishRefusedError

State = Literal["candidate", "active", "settled", "rejected", "rolled_back", "retired"]
Event = Literal["publish", "reject", "settle", "replace", "succeed", "roll_back", "restore", "reinstate"]

STATES: tuple[State, ...] = ("candidate", "active", "settled", "rejected", "rolled_back", "retired")
EVENTS: tuple[Event, ...] = (
    "publish",  # a candidate comes into force
    "reject",  # the gate refuses it
    "settle",  # probation passed
    "replace",  # another version comes into force
    "succeed",  # the version that replaced this settled one settled too
    "roll_back",  # taken out of force because it disappointed
    "restore",  # in force again, because its successor disappointed
    "reinstate",  # in force again although it disappointed once: a person names it
)

TRANSITIONS: dict[tuple[State, Event], State] = {
    ("candidate", "publish"): "active",
    ("candidate", "reject"): "rejected",
    ("active", "settle"): "settled",
    ("active", "replace"): "retired",
    ("active", "roll_back"): "rolled_back",
    ("settled", "replace"): "settled",
    ("settled", "succeed"): "retired",
    ("settled", "roll_back"): "rolled_back",
    ("settled", "restore"): "active",
    ("retired", "restore"): "active",
    ("rolled_back", "reinstate"): "active",
}


def next_state(state: State, event: Event) -> State:
    """What a version is after an event.

    Raises
    ------
    PublishRefusedError
        Nothing of the kind can happen to a version in this state.

    Examples
    --------
    >>> next_state("candidate", "publish")
    'active'
    >>> next_state("rolled_back", "restore")
    Traceback (most recent call last):
    bgpdrift.errors.PublishRefusedError: a version that is rolled_back cannot take "restore"
    """
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise PublishRefusedError(f'a version that is {state} cannot take "{event}"') from None
