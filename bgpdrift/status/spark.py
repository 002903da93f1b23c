"""A figure over time as one line of characters, and times as short words. Pure."""

import time
from collections.abc import Sequence

BLOCKS, ASCII_BLOCKS = "▁▂▃▄▅▆▇█", "_.-=+*%#"
GAP = " "


def spark(
    values: Sequence[float | None], width: int, top: float | None = None, blocks: str = BLOCKS, mean: bool = False
) -> str:
    """Draw values as a line of ``width`` characters, the highest of each stretch shown, gaps left blank.

    Parameters
    ----------
    values : sequence of float or None
        In order of time; None where there is nothing.
    width : int
        Characters, at least 1.
    top : float, optional
        What the highest block stands for if no value exceeds it: so that noise far below a threshold looks flat.
    blocks : str
        From lowest to highest.
    mean : bool
        Show the mean of each stretch instead.

    Examples
    --------
    >>> spark([0.0, 0.1, None, 0.4, 0.8], 5)
    '▁▂ ▅█'
    >>> spark([0.01, 0.02], 2, top=0.2)
    '▁▁'
    >>> spark([0, 1, 0, 0, 0, 0], 3)  # a short peak is not averaged away
    '█▁▁'
    """
    if not values:
        return GAP * width
    stretched = [_of_stretch(values, index, width, mean) for index in range(width)]
    highest = max((value for value in stretched if value is not None), default=0.0)
    scale = max(highest, top or 0.0)
    return "".join(GAP if value is None else _block(value, scale, blocks) for value in stretched)


def _of_stretch(values: Sequence[float | None], index: int, width: int, mean: bool) -> float | None:
    begin = index * len(values) // width
    end = max(begin + 1, (index + 1) * len(values) // width)
    present = [value for value in values[begin:end] if value is not None]
    if not present:
        return None
    return sum(present) / len(present) if mean else max(present)


def _block(value: float, scale: float, blocks: str) -> str:
    if scale <= 0:
        return blocks[0]
    return blocks[min(len(blocks) - 1, max(0, int(value / scale * len(blocks))))]


def bar(share: float, width: int, full: str = "█", empty: str = "░") -> str:
    """Draw how far something is.

    Examples
    --------
    >>> bar(0.5, 4), bar(2.0, 3)
    ('██░░', '███')
    """
    filled = round(min(1.0, max(0.0, share)) * width)
    return full * filled + empty * (width - filled)


def moment(at: float, now: float) -> str:
    """Write a moment as shortly as it stays clear; UTC.

    Examples
    --------
    >>> moment(1_767_225_600, 1_767_229_200), moment(1_767_225_600, 1_767_400_000), moment(0, 1_767_400_000)
    ('00:00', '01-01 00:00', '1970-01-01 00:00')
    """
    then, today = time.gmtime(at), time.gmtime(now)
    if then[:3] == today[:3]:
        return time.strftime("%H:%M", then)
    return time.strftime("%m-%d %H:%M" if then[0] == today[0] else "%Y-%m-%d %H:%M", then)


def span(seconds: float) -> str:
    """Write a length of time in its largest unit.

    Examples
    --------
    >>> span(12), span(130), span(7_300), span(900_000)
    ('12 s', '2 min', '2 h', '10 d')
    """
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return f"{max(0, int(seconds))} s"
