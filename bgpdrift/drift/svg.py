"""Plots as SVG text: two distributions, a level over time, a measure over time. They need no library and no script.

This module decides how a plot looks. The reference is a hatched area, the current window a solid line, a threshold a
dashed line, so that a plot is readable in black and white and on paper. Colours and fonts come from the style sheet of
the page. Every plot has a title and a description for readers who cannot see it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape

WIDTH, HEIGHT = 860, 250
SMALL_WIDTH, SMALL_HEIGHT = 280, 110
MAX_POINTS = 240
"""Points of a line; of more, the most extreme of each stretch is kept."""
_DAY_S = 86_400
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Axis:
    """Maps values to pixels, linearly or logarithmically."""

    low: float
    high: float
    begin: float
    end: float
    logarithmic: bool = False

    def __call__(self, value: float) -> float:
        """Return the place of a value in pixels; values beyond an end are drawn at the end."""
        low, high, at = (self._scaled(one) for one in (self.low, self.high, min(max(value, self.low), self.high)))
        share = (at - low) / (high - low) if high > low else 0.5
        return round(self.begin + share * (self.end - self.begin), 1)

    def ticks(self, most: int = 5) -> list[float]:
        """Return round values along the axis.

        Examples
        --------
        >>> Axis(0.0, 1.0, 0, 100).ticks(), Axis(0.02, 300.0, 0, 100, True).ticks(), Axis(1.1, 1.9, 0, 100, True).ticks(4)
        ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [0.1, 1.0, 10.0, 100.0], [1.2, 1.4, 1.6, 1.8])
        >>> Axis(0.0, 5e-13, 0, 100).ticks()
        [0.0, 1e-13, 2e-13, 3e-13, 4e-13, 5e-13]
        """
        if self.logarithmic and self.high / self.low >= 8:
            powers = range(math.floor(math.log10(self.low)), math.floor(math.log10(self.high)) + 1)
            digits = (1, 2, 5) if len(powers) <= 3 else (1,)
            candidates = [float(f"{digit}e{power}") for power in powers for digit in digits]
            candidates = [one for one in candidates if self.low <= one <= self.high]
            return candidates[:: max(1, math.ceil(len(candidates) / (most + 3)))]
        rough = (self.high - self.low) / most
        if rough <= 0:
            return [self.low]
        size = 10.0 ** math.floor(math.log10(rough))
        step = size * next(factor for factor in (1, 2, 5, 10) if factor * size >= rough * (1 - 1e-9))
        first = math.ceil(self.low / step - 1e-9)
        decimals = 1 - math.floor(math.log10(step))
        return [round(step * k, decimals) for k in range(first, math.floor(self.high / step + 1e-9) + 1)]

    def _scaled(self, value: float) -> float:
        return math.log(value) if self.logarithmic else value


def format_tick(value: float) -> str:
    """Format a tick, which is a round value, with as few digits as possible.

    Examples
    --------
    >>> format_tick(0.30000000001), format_tick(20000.0), format_tick(1e-05), format_tick(3.0), format_tick(1000000.25)
    ('0.3', '20,000', '1e-05', '3', '1,000,000.25')
    """
    return f"{value:,.0f}" if abs(value) >= 1000 and value.is_integer() else f"{value:,.10g}"


def draw_distributions(
    edges: Sequence[float],
    current: Sequence[float],
    reference: Sequence[float],
    *,
    logarithmic: bool,
    title: str,
    description: str,
) -> str:
    """Draw shares by bin: the reference as a hatched area, the current window as a line."""
    left, top, right, bottom = 52.0, 28.0, WIDTH - 12.0, HEIGHT - 40.0
    x = Axis(edges[0], edges[-1], left, right, logarithmic)
    y = Axis(0.0, 1.08 * max([*current, *reference, 1e-9]), bottom, top)

    def outline(shares: Sequence[float]) -> list[Point]:
        return [(x(edges[k + side]), y(share)) for k, share in enumerate(shares) for side in (0, 1)]

    area = [(left, bottom), *outline(reference), (right, bottom)]
    body = [
        *_y_axis(y, left, right, lambda value: f"{100 * value:.3g} %"),
        *_x_axis(x, bottom, format_tick, "score"),
        f'<path class="reference" d="{_path(area)}Z"/>',
        f'<path class="current" d="{_path(outline(current))}"/>',
        *_key(left, 6.0, (("reference", "reference"), ("current", "current window"))),
    ]
    return _svg(WIDTH, HEIGHT, title, description, body)


def draw_level(
    times: Sequence[int],
    low: Sequence[float],
    middle: Sequence[float],
    high: Sequence[float],
    *,
    current: tuple[int, int],
    left_out: Sequence[tuple[int, int]] = (),
    change_point: int | None = None,
    logarithmic: bool,
    title: str,
    description: str,
) -> str:
    """Draw hourly medians with the band of 80 % of the values; the current window is framed."""
    left, top, right, bottom = 52.0, 28.0, WIDTH - 12.0, HEIGHT - 40.0
    begin, end = min(times[0], current[0]), max(times[-1] + 3_600, current[1])
    x = Axis(float(begin), float(end), left, right)
    y = Axis(min(low), max(high) if max(high) > min(low) else min(low) + 1, bottom, top, logarithmic)
    body = [*_y_axis(y, left, right, format_tick), *_days(x, bottom)]
    body += [
        f'<rect class="out" x="{x(start)}" y="{top}" width="{max(1.0, x(stop) - x(start)):.1f}" height="{bottom - top}"/>'
        for start, stop in left_out
    ]
    width = f"{x(current[1]) - x(current[0]):.1f}"
    body.append(f'<rect class="window" x="{x(current[0])}" y="{top}" width="{width}" height="{bottom - top}"/>')
    for run in _runs(times):
        centre = [times[k] + 1_800 for k in run]
        band = [(x(at), y(high[k])) for at, k in zip(centre, run, strict=True)]
        band += [(x(at), y(low[k])) for at, k in reversed(list(zip(centre, run, strict=True)))]
        body.append(f'<path class="band" d="{_path(band)}Z"/>')
        body.append(
            f'<path class="current" d="{_path([(x(at), y(middle[k])) for at, k in zip(centre, run, strict=True)])}"/>'
        )
    keys = [("current", "median of each hour"), ("band", "80 % of the values"), ("window", "current window")]
    if left_out:
        keys.append(("out", "left out"))
    if change_point is not None and begin <= change_point <= end:
        body.append(f'<path class="threshold" d="M{x(change_point)} {top}V{bottom}"/>')
        keys.append(("threshold", "new level begins"))
    body += _key(left, 6.0, keys)
    return _svg(WIDTH, HEIGHT, title, description, body)


def draw_history(
    times: Sequence[int],
    values: Sequence[float],
    *,
    threshold: float | None,
    reference: float | None,
    title: str,
    description: str,
) -> str:
    """Draw one measure over time, small.

    A dashed line is its threshold, a dotted line its value in the reference or by chance.
    """
    left, top, right, bottom = 40.0, 22.0, SMALL_WIDTH - 8.0, SMALL_HEIGHT - 20.0
    lines = [line for line in (threshold, reference) if line is not None]
    low, high = min([*values, *lines]), max([*values, *lines])
    pad = 0.08 * (high - low) or abs(high) * 0.1 or 1.0
    begin, end = times[0], max(times[-1], times[0] + 3_600)
    x = Axis(float(begin), float(end), left, right)
    y = Axis(0.0 if 0 <= low < 0.5 * high else low - pad, high + pad, bottom, top)
    body = [
        f'<text class="name" x="{left - 34:g}" y="12">{escape(title)}</text>',
        *_y_axis(y, left, right, format_tick, 2),
        f'<text class="tick" x="{left}" y="{SMALL_HEIGHT - 6}">{_day(begin)}</text>',
        f'<text class="tick end" x="{right}" y="{SMALL_HEIGHT - 6}">{_day(end)}</text>',
    ]
    for line, kind in ((reference, "expected"), (threshold, "threshold")):
        if line is not None:
            body.append(f'<path class="{kind}" d="M{left} {y(line)}H{right}"/>')
    points = [(x(at), y(value)) for at, value in thin_points(times, values)]
    body.append(f'<path class="current" d="{_path(points)}"/>')
    body.append(f'<circle class="last" cx="{points[-1][0]}" cy="{points[-1][1]}" r="2.5"/>')
    return _svg(SMALL_WIDTH, SMALL_HEIGHT, title, description, body)


def thin_points(times: Sequence[int], values: Sequence[float], most: int = MAX_POINTS) -> list[tuple[int, float]]:
    """Keep the point furthest from the median in each stretch, so that no peak is lost, and the last point.

    Examples
    --------
    >>> thin_points(range(6), [1, 9, 1, 1, 1, 2], 3)
    [(1, 9), (3, 1), (5, 2)]
    """
    points = list(zip(times, values, strict=True))
    if len(points) <= most:
        return points
    middle = sorted(values)[len(values) // 2]
    size = math.ceil(len(points) / most)
    stretches = [points[k : k + size] for k in range(0, len(points), size)]
    kept = [max(reversed(stretch), key=lambda point: abs(point[1] - middle)) for stretch in stretches]
    return kept if kept[-1] == points[-1] else [*kept[:-1], points[-1]]


def _svg(width: int, height: int, title: str, description: str, body: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}: {escape(description)}">'
        f"<title>{escape(title)}</title><desc>{escape(description)}</desc>{''.join(body)}</svg>"
    )


def _y_axis(axis: Axis, left: float, right: float, format_value: Callable[[float], str], most: int = 4) -> list[str]:
    parts = []
    for tick in axis.ticks(most):
        parts.append(f'<path class="grid" d="M{left} {axis(tick)}H{right}"/>')
        parts.append(
            f'<text class="tick end" x="{left - 5}" y="{axis(tick) + 3.5:.1f}">{escape(format_value(tick))}</text>'
        )
    return parts


def _x_axis(axis: Axis, bottom: float, format_value: Callable[[float], str], name: str) -> list[str]:
    parts = [f'<path class="axis" d="M{axis.begin} {bottom}H{axis.end}"/>']
    for tick in axis.ticks(8):
        parts.append(f'<path class="axis" d="M{axis(tick)} {bottom}v4"/>')
        parts.append(f'<text class="tick mid" x="{axis(tick)}" y="{bottom + 16}">{escape(format_value(tick))}</text>')
    parts.append(f'<text class="tick mid" x="{(axis.begin + axis.end) / 2}" y="{bottom + 33}">{escape(name)}</text>')
    return parts


def _days(axis: Axis, bottom: float) -> list[str]:
    parts = [f'<path class="axis" d="M{axis.begin} {bottom}H{axis.end}"/>']
    days = range(math.ceil(axis.low / _DAY_S) * _DAY_S, int(axis.high) + 1, _DAY_S)
    step = max(1, math.ceil(len(days) / 9))
    for place, at in enumerate(days):
        parts.append(f'<path class="axis" d="M{axis(at)} {bottom}v4"/>')
        if place % step == 0 and axis(at) < axis.end - 20:
            parts.append(f'<text class="tick mid" x="{axis(at)}" y="{bottom + 16}">{_day(at)}</text>')
    parts.append(f'<text class="tick mid" x="{(axis.begin + axis.end) / 2}" y="{bottom + 33}">day (00:00 UTC)</text>')
    return parts


def _key(x: float, y: float, entries: Sequence[tuple[str, str]]) -> list[str]:
    parts = []
    for kind, text in entries:
        if kind in ("current", "threshold"):
            parts.append(f'<path class="{kind}" d="M{x:g} {y + 6:g}h18"/>')
        else:
            parts.append(f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="18" height="11"/>')
        parts.append(f'<text class="tick" x="{x + 23:g}" y="{y + 9.5:g}">{escape(text)}</text>')
        x += 34 + 6.2 * len(text)
    return parts


def _path(points: Sequence[Point]) -> str:
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in points)


def _runs(times: Sequence[int]) -> list[list[int]]:
    """Indices of consecutive hours: a line is not drawn over a gap."""
    runs: list[list[int]] = []
    for place, at in enumerate(times):
        if runs and at - times[runs[-1][-1]] == 3_600:
            runs[-1].append(place)
        else:
            runs.append([place])
    return runs


def _day(at: float) -> str:
    day = datetime.fromtimestamp(at, UTC)
    return f"{day.day} {day:%b}"
