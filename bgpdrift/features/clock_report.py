"""Reports the clocks of a collector: how far they are ahead of arrival, and what became of messages with a wrong time.

This module decides from which distance on the clock of a peer differs from the others. `bgpdrift.features.event_time` decides
about the messages; `bgpdrift feed` and `bgpdrift doctor` show the report.
"""

import statistics

from bgpdrift.features.event_time import EventTime
from bgpdrift.store.cursor_states import CollectorClock

OTHER_CLOCK_S = 10.0
"""A peer whose skew differs by more than this from that of its collector has another clock."""
MAX_NAMED_PEERS = 10


def report_clock(time: EventTime) -> CollectorClock:
    """Report the clocks of one collector."""
    skews = time.skew_by_peer()
    skew_s = statistics.median(skews.values()) if skews else None
    others = {} if skew_s is None else {peer: skew - skew_s for peer, skew in skews.items()}
    furthest = sorted(others, key=lambda peer: -abs(others[peer]))[:MAX_NAMED_PEERS]
    return CollectorClock(
        event_time=time.now,
        skew_s=None if skew_s is None else round(skew_s, 3),
        peers={peer: round(others[peer], 3) for peer in furthest if abs(others[peer]) > OTHER_CLOCK_S},
        held=time.n_held,
        released=dict(time.released_by),
        refused=dict(time.refused_by),
        invalid=time.invalid,
        largest_ahead_s=time.largest_ahead_s,
        steps_back=time.steps_back,
        steps_ahead=time.steps_ahead,
    )


def describe_clock(collector: str, clock: CollectorClock) -> str:
    """Describe the faults of the clocks of a collector in a sentence; empty without a fault.

    Examples
    --------
    >>> describe_clock("rrc00", CollectorClock(refused={"other peers sent messages of the old time": 3}, largest_ahead_s=470.0))
    'collector rrc00: 3 messages up to 470 s ahead of its other messages counted as late'
    >>> describe_clock("rrc00", CollectorClock())
    ''
    """
    parts = []
    if clock.n_refused:
        ahead = f"up to {clock.largest_ahead_s:,.0f} s ahead of its other messages"
        parts.append(f"{clock.n_refused} messages {ahead} counted as late")
    if clock.held:
        parts.append(f"{clock.held} messages ahead wait for a confirmation")
    if clock.steps_ahead:
        parts.append(f"its clock went ahead {clock.steps_ahead} times")
    if clock.steps_back:
        parts.append(f"its clock went back {clock.steps_back} times")
    return f"collector {collector}: {'; '.join(parts)}" if parts else ""
