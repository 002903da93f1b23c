"""Describes what a detector waits for, and until when, in the first hours and days of a system. Pure.

There are two kinds of waiting. A collector is warming: its routing state is too young, and all detectors abstain on its windows.
A detector has no model: its first training waits for clean data, a person or a pause. Times are event times.
"""

from collections.abc import Mapping

from bgpdrift.formatting import format_time_ahead


def describe_warming(warming_until: Mapping[str, int], collectors: int, at: int) -> str:
    """Describe which collectors are warming, and until when; "" if none is.

    Parameters
    ----------
    warming_until : mapping of str to int
        Event time at which each warming collector is no longer warming.
    collectors : int
        Number of all current collectors.
    at : int
        Event time of the newest data.

    Examples
    --------
    >>> describe_warming({"rrc00": 11_700}, 1, 4_500), describe_warming({"rrc00": 11_700}, 2, 4_500)
    ('warming until 03:15', 'warming until 03:15 (rrc00)')
    """
    if not warming_until:
        return ""
    text = f"warming until {format_time_ahead(max(warming_until.values()), at)}"
    return text if len(warming_until) >= collectors else f"{text} ({', '.join(sorted(warming_until))})"


def describe_first_training(phase: str, expected_at: int, reason: str, at: float) -> str:
    """Describe in a few words when a detector without a model is trained, the time first.

    Parameters
    ----------
    phase, expected_at, reason
        As in `bgpdrift.store.cursor_states.FirstTrainingState`.
    at : float
        Event time of the newest data.

    Examples
    --------
    >>> describe_first_training("collecting", 111_600, "", 4_500)
    'trains tomorrow 07:00 (first training)'
    >>> describe_first_training("off", 0, "retrain.first is off", 4_500)
    'no first training: retrain.first is off'
    """
    when, because = format_time_ahead(expected_at, at), f": {reason}" if reason else ""
    match phase:
        case "training":
            return f"first training waits{because}" if reason else "first training is requested"
        case "paused":
            return f"trains {when} (first training){because}"
        case "collecting" if expected_at:
            return f"trains {when} (first training)" if expected_at > at else "trains soon (first training)"
    return f"no first training{because}"


def explain_first_training(phase: str, expected_at: int, reason: str, at: float) -> str:
    """Explain in a sentence what the first training of a model waits for; parameters as above.

    Examples
    --------
    >>> explain_first_training("collecting", 111_600, "rrc00 has 60 of 1,440 clean minutes to train on", 4_500)
    'First training tomorrow 07:00: rrc00 has 60 of 1,440 clean minutes to train on.'
    """
    when, because = format_time_ahead(expected_at, at), f": {reason}" if reason else ""
    match phase:
        case "training":
            return f"The first training waits{because}." if reason else "The first training is requested."
        case "paused":
            return f"The first training gave no model{because}. It is repeated {when}."
        case "collecting" if expected_at:
            return f"First training {when}{because}." if expected_at > at else "The first training follows soon."
    return f"No first training{because}."
