"""First training: decides from the clean minutes of each collector when a model without a version is trained. Pure.

Enough clean data is defined for each collector by itself. The newest share of the clean minutes is held out and evaluates
the model; the minutes before it train the model. A collector is ready when its training minutes

- number at least ``retrain.min_windows``, and
- contain at least `MIN_MINUTES_OF_HOUR` minutes of each of the 24 hours of the day (UTC). A model that never saw a night
  raises false alarms in the first night.

A collector may deliver nothing in some hours of the day, for example because its machine is switched off at night. It is
ready without these hours on its day number `MAX_DAYS_INCOMPLETE` with clean data. One collector that is ready is enough for
a training. The training waits for the other current collectors, at most `MAX_WAIT_FOR_OTHERS_S`. A single new collector
therefore does not delay the first models of all others.

`bgpdrift.monitor.first_training_requests` reads the clean minutes and makes the request.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MINUTE_S, HOUR_S, DAY_S = 60, 3_600, 86_400
HOURS_A_DAY = 24
MIN_MINUTES_OF_HOUR = 30
"""Half an hour shows the level of an hour of the day. A whole hour would let one gap of a minute delay the training by a day."""
MAX_DAYS_INCOMPLETE = 4
"""From the fourth day (UTC) with clean data on, hours of the day that never had any no longer delay the training."""
MAX_WAIT_FOR_OTHERS_S = DAY_S
"""The training waits a day at most for collectors that are not ready after the first one is."""
MAX_SILENCE_S = 6 * HOUR_S
"""A collector without clean data for this long is not current; no training waits for it."""


@dataclass(frozen=True, slots=True)
class DataPolicy:
    """What enough clean data is.

    Attributes
    ----------
    days : int
        Days of event time that a training reads (``retrain.days``).
    min_windows : int
        Clean minutes required for training (``retrain.min_windows``).
    held_out_share : float
        Newest share that only evaluates (``retrain.held_out_share``).
    """

    days: int = 7
    min_windows: int = 1_440
    held_out_share: float = 0.2


@dataclass(frozen=True, slots=True)
class CollectorData:
    """The clean minutes of one collector.

    Attributes
    ----------
    collector : str
        Name.
    minutes : mapping of int to int
        Clean minutes by hour: start of the hour, epoch seconds, to their number, 1 to 60.
    """

    collector: str
    minutes: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Assessment:
    """Whether there is enough clean data for a first training.

    Attributes
    ----------
    is_ready : bool
        Whether a model may be trained now.
    expected_at : int
        Event time at which it may be trained if all minutes from now on are clean; 0 if that is not known.
    reason : str
        What is missing, as a clause; "" if nothing is.
    """

    is_ready: bool
    expected_at: int = 0
    reason: str = ""


def assess_data(
    collectors: Sequence[CollectorData], at: int, policy: DataPolicy, *, warming_until: int = 0
) -> Assessment:
    """Assess the clean data of all collectors at an event time.

    Parameters
    ----------
    collectors : sequence of CollectorData
        Clean minutes of the newest ``policy.days`` days.
    at : int
        Event time, epoch seconds.
    policy : DataPolicy
        What enough clean data is.
    warming_until : int
        Event time until which a collector is warming, and its windows are not clean; 0 for none. It matters if no
        collector has clean data.

    Examples
    --------
    >>> hours = {hour * HOUR_S: 60 for hour in range(40)}
    >>> assess_data([CollectorData("rrc00", hours)], 40 * HOUR_S, DataPolicy()).is_ready
    True
    >>> young = CollectorData("rrc00", {hour * HOUR_S: 60 for hour in range(6)})
    >>> assessment = assess_data([young], 6 * HOUR_S, DataPolicy())
    >>> assessment.expected_at // HOUR_S, assessment.reason
    (30, 'rrc00 has 288 of 1,440 clean minutes to train on, none from 05:00 to 00:00 UTC')
    >>> assess_data([], HOUR_S, DataPolicy(), warming_until=2 * HOUR_S).expected_at // HOUR_S
    32
    """
    current = [one for one in collectors if one.minutes and max(one.minutes) + HOUR_S + MAX_SILENCE_S > at]
    if not current:
        expected_at = find_ready_at(CollectorData("", {}), max(at, warming_until), policy)
        return Assessment(False, expected_at or 0, "there is no clean data yet")
    ready_at = {one.collector: found for one in current if (found := find_ready_at(one, at, policy)) is not None}
    if not ready_at:
        held_out = f"{policy.held_out_share:.0%}"
        reason = f"{policy.days} d (retrain.days) hold no whole day besides the {held_out} that evaluate the model"
        return Assessment(False, reason=reason)
    first, last = min(ready_at.values()), max(ready_at.values())
    expected_at = min(last, first + MAX_WAIT_FOR_OTHERS_S)
    if at >= expected_at:
        return Assessment(True, expected_at)
    slowest = min(
        (one for one in current if ready_at.get(one.collector, 0) > at), key=lambda one: -ready_at[one.collector]
    )
    return Assessment(False, expected_at, _describe_missing(slowest, at, policy))


def find_ready_at(data: CollectorData, at: int, policy: DataPolicy) -> int | None:
    """Find the event time at which a collector is ready; all minutes after ``at`` are taken as clean.

    Returns
    -------
    int or None
        At most ``at`` if it is ready; None if the days that a training reads are too few.

    Examples
    --------
    >>> day = {hour * HOUR_S: 60 for hour in range(24)}
    >>> find_ready_at(CollectorData("rrc00", day), DAY_S, DataPolicy()) // HOUR_S
    30
    >>> find_ready_at(CollectorData("rrc00", day), DAY_S, DataPolicy(days=1)) is None
    True
    """
    minutes = {start: count for start, count in data.minutes.items() if start < at}
    for end in sorted(start + HOUR_S for start in minutes):
        if _is_ready({start: count for start, count in minutes.items() if start < end}, min(end, at), policy):
            return min(end, at)
    end = at
    for _ in range(policy.days * HOURS_A_DAY):
        begin, start, end = end, end // HOUR_S * HOUR_S, end // HOUR_S * HOUR_S + HOUR_S
        minutes[start] = minutes.get(start, 0) + (end - begin) // MINUTE_S
        if _is_ready(minutes, end, policy):
            return end
    return None


def _is_ready(minutes: Mapping[int, int], end: int, policy: DataPolicy) -> bool:
    training, counts = _count_training(minutes, end, policy)
    if training < policy.min_windows:
        return False
    has_all_hours = all(counts[hour] >= MIN_MINUTES_OF_HOUR for hour in range(HOURS_A_DAY))
    return has_all_hours or len({start // DAY_S for start in minutes}) >= MAX_DAYS_INCOMPLETE


def _count_training(minutes: Mapping[int, int], end: int, policy: DataPolicy) -> tuple[int, Counter[int]]:
    """Count the minutes that train, and those of each hour of the day; the newest share is held out."""
    start = end - policy.days * DAY_S
    within = sorted((hour, count) for hour, count in minutes.items() if start <= hour < end)
    training = left = int(sum(count for _, count in within) * (1.0 - policy.held_out_share))
    counts: Counter[int] = Counter()
    for hour, count in within:
        used = min(count, left)
        counts[hour // HOUR_S % HOURS_A_DAY] += used
        left -= used
    return training, counts


def _describe_missing(data: CollectorData, at: int, policy: DataPolicy) -> str:
    training, counts = _count_training(data.minutes, at, policy)
    parts = []
    if training < policy.min_windows:
        parts.append(f"has {training:,} of {policy.min_windows:,} clean minutes to train on")
    absent = [hour for hour in range(HOURS_A_DAY) if counts[hour] < MIN_MINUTES_OF_HOUR]
    if absent:
        none = "none" if parts else "has no clean minutes to train on"
        parts.append(f"{none} {describe_hours(absent)} UTC")
    return f"{data.collector} {', '.join(parts)}"


def describe_hours(hours: Sequence[int]) -> str:
    """Describe hours of the day as stretches.

    Examples
    --------
    >>> describe_hours([3, 4, 5, 23]), describe_hours([0, 23])
    ('from 03:00 to 06:00, from 23:00 to 00:00', 'from 23:00 to 01:00')
    """
    absent = set(hours)
    if len(absent) == HOURS_A_DAY:
        return "at any hour"
    begins = [hour for hour in sorted(absent) if (hour - 1) % HOURS_A_DAY not in absent]
    stretches = []
    for begin in begins:
        end = begin
        while end % HOURS_A_DAY in absent:
            end += 1
        stretches.append(f"from {begin:02d}:00 to {end % HOURS_A_DAY:02d}:00")
    return ", ".join(stretches)
