"""Where a training span begins after the level of things has changed: at the change, once enough follows it. Pure.

Seven days of which six are the old world teach the old world. What follows the change must hold a whole day to learn from,
so that every hour of the day was seen, beside the part that only judges. Where the change lies is the drift monitor's word,
or that of the metadata of the model in force, which was trained after it.
"""

from collections.abc import Mapping
from typing import Any

from bgpdrift.errors import NotEnoughDataError
from bgpdrift.formatting import format_time
from bgpdrift.monitor.safeguards import DAY_S, earliest_training_time


def span_start(end: int, days: int, change_point: int | None, held_out_share: float) -> int:
    """Say where the span begins that ends at ``end``, epoch seconds.

    Raises
    ------
    NotEnoughDataError
        Too little follows the change; the error says until when.

    Examples
    --------
    >>> span_start(10 * DAY_S, 7, 8 * DAY_S, 0.2) // DAY_S, span_start(10 * DAY_S, 7, 2 * DAY_S, 0.2) // DAY_S
    (8, 3)
    >>> span_start(10 * DAY_S, 7, 9 * DAY_S, 0.2)
    Traceback (most recent call last):
    bgpdrift.errors.NotEnoughDataError: 24 of 30 hours there must be since the change at 1970-01-10 00:00 UTC, so that every
    hour of the day was seen: enough at 1970-01-11 06:00 UTC
    """
    start = end - days * DAY_S
    if change_point is None or change_point <= start:
        return start
    ready = earliest_training_time(change_point, held_out_share)
    if end < ready:
        have, need = max(end - change_point, 0) / 3600, (ready - change_point) / 3600
        raise NotEnoughDataError(
            f"{have:.0f} of {need:.0f} hours there must be since the change at {format_time(change_point)} UTC, so that "
            f"every hour of the day was seen: enough at {format_time(ready)} UTC",
            not_before=ready,
        )
    return change_point


def change_point_of(asked: Mapping[str, Any], active_training: Mapping[str, Any]) -> int | None:
    """Which change counts: that of the request, or, if later, the one the model in force was trained after.

    Parameters
    ----------
    asked : mapping
        Details of the flag.
    active_training : mapping
        Metadata of the model in force.

    Examples
    --------
    >>> change_point_of({"change_point": 100}, {"change_point": 50}), change_point_of({}, {"change_point": 50})
    (100, 50)
    >>> change_point_of({"change_point": "soon"}, {}) is None
    True
    """
    found = [metadata.get("change_point") for metadata in (asked, active_training)]
    known = [int(value) for value in found if isinstance(value, int | float) and value > 0]
    return max(known, default=None)
