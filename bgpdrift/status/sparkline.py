"""A series of values, or a share, as one line of characters. Pure."""

from collections.abc import Sequence

BLOCKS, ASCII_BLOCKS = "▁▂▃▄▅▆▇█", "_.-=+*%#"
GAP = " "


def draw_sparkline(
    values: Sequence[float | None], width: int, top: float | None = None, blocks: str = BLOCKS, mean: bool = False
) -> str:
    """Draw values as ``width`` characters. Each shows the maximum of its part of the series; gaps stay blank.

    Parameters
    ----------
    values : sequence of float or None
        In order of time; None for a gap.
    width : int
        Characters, at least 1.
    top : float, optional
        Value of the highest block if no value exceeds it, so that noise far below a threshold looks flat.
    blocks : str
        From lowest to highest.
    mean : bool
        Show the mean of each part instead of the maximum.

    Examples
    --------
    >>> draw_sparkline([0.0, 0.1, None, 0.4, 0.8], 5)
    '▁▂ ▅█'
    >>> draw_sparkline([0.01, 0.02], 2, top=0.2)
    '▁▁'
    >>> draw_sparkline([0, 1, 0, 0, 0, 0], 3)  # a short peak is not averaged away
    '█▁▁'
    """
    if not values:
        return GAP * width
    parts = [_summarise(values, index, width, mean) for index in range(width)]
    highest = max((value for value in parts if value is not None), default=0.0)
    scale = max(highest, top or 0.0)
    return "".join(GAP if value is None else _choose_block(value, scale, blocks) for value in parts)


def _summarise(values: Sequence[float | None], index: int, width: int, mean: bool) -> float | None:
    begin = index * len(values) // width
    end = max(begin + 1, (index + 1) * len(values) // width)
    present = [value for value in values[begin:end] if value is not None]
    if not present:
        return None
    return sum(present) / len(present) if mean else max(present)


def _choose_block(value: float, scale: float, blocks: str) -> str:
    if scale <= 0:
        return blocks[0]
    return blocks[min(len(blocks) - 1, max(0, int(value / scale * len(blocks))))]


def draw_bar(share: float, width: int, full: str = "█", empty: str = "░") -> str:
    """Draw a share as a bar.

    Examples
    --------
    >>> draw_bar(0.5, 4), draw_bar(2.0, 3)
    ('██░░', '███')
    """
    filled = round(min(1.0, max(0.0, share)) * width)
    return full * filled + empty * (width - filled)
