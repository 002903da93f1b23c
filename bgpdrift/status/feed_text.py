"""Writes the report on the feed for people. Pure.

This module decides which figures fit on 80 columns, and which clocks are worth a line. Names and errors come from the feed;
they are escaped.
"""

from collections.abc import Iterator

from bgpdrift.formatting import escape_control, format_duration, format_time
from bgpdrift.status.feed import CollectorReport, FeedReport, ReceivedFrames
from bgpdrift.store.cursor_states import CollectorClock

SKEW_SHOWN_S = 10.0
"""A clock this far ahead of arrival, or a feed this late, is worth a remark."""
MAX_LIVE_S = 86_400.0
"""A larger distance between message times and arrival is a replay of the past, and no skew."""


def write_report(report: FeedReport) -> str:
    """Write the whole report."""
    lines = [*_describe_received(report.received, report.at)]
    if report.event_time is not None:
        lines.append(f"event time  {format_time(report.event_time)} UTC, middle of {len(report.collectors)} collectors")
    lines += _describe_held(report)
    if report.collectors:
        lines += ["", f"{'COLLECTOR':<16} {'LAST FRAME':>11} {'SKEW':>9} {'HELD':>6} {'REFUSED':>8}"]
        lines += [line for row in report.collectors for line in _describe_collector(row, report.at)]
    if report.problem:
        lines += ["", f"! {escape_control(report.problem)}"]
    return "\n".join(lines)


def list_wrong_clocks(report: FeedReport) -> list[str]:
    """List the collectors whose clocks differ from the clock of this machine, and the steps and peers that differ from others.

    Examples
    --------
    >>> fast = CollectorReport(collector="rrc00", clock=CollectorClock(skew_s=479.2))
    >>> list_wrong_clocks(FeedReport(collectors=(fast, CollectorReport(collector="rrc01"))))
    ['rrc00: its clock is ahead by 479 s']
    """
    wrong = []
    for row in report.collectors:
        clock = row.clock or CollectorClock()
        remarks = list(_list_clock_remarks(clock))
        if remarks:
            wrong.append(f"{escape_control(row.collector)}: {'; '.join(remarks)}")
    return wrong


def _describe_received(received: ReceivedFrames | None, now: float) -> Iterator[str]:
    if received is None:
        return
    yield f"feed        {escape_control(received.url)}, {received.state or 'unknown'}"
    last = "none" if received.last_frame_at is None else f"{format_duration(now - received.last_frame_at)} ago"
    yield f"frames      {received.rate:,.0f}/s, {received.frames:,} in all, the last {last}"
    if received.lag_s is not None:
        if abs(received.lag_s) > MAX_LIVE_S:
            yield f"lag         a replay of {format_time(received.last_event_time or 0.0)} UTC"
        else:
            yield f"lag         {received.lag_s:,.1f} s"
    if received.silent_collectors:
        yield f"silent      {escape_control(' '.join(received.silent_collectors))}"
    if received.dropped or received.unreadable:
        yield f"lost        {received.dropped:,} frames dropped, {received.unreadable:,} unreadable"
    if received.last_error:
        yield f"last error  {escape_control(received.last_error)}"


def _describe_held(report: FeedReport) -> Iterator[str]:
    yield f"held back   {report.held:,} messages wait for a confirmation of their time"
    for what, counts in (("released", report.released), ("refused", report.refused)):
        for reason, number in sorted(counts.items(), key=lambda item: -item[1]):
            yield f"{what:<11} {number:,} because {reason}"


def _describe_collector(row: CollectorReport, now: float) -> list[str]:
    clock = row.clock or CollectorClock()
    last = "-" if row.last_frame_at is None else f"{format_duration(now - row.last_frame_at)} ago"
    is_replay = clock.skew_s is not None and abs(clock.skew_s) > MAX_LIVE_S
    skew = "-" if clock.skew_s is None else "replay" if is_replay else f"{clock.skew_s:+.1f} s"
    name = escape_control(row.collector)
    figures = f"{name:<16} {last:>11} {skew:>9} {clock.held:>6,} {clock.n_refused:>8,}"
    return [figures, *(f"  {remark}" for remark in _list_remarks(row, clock))]


def _list_remarks(row: CollectorReport, clock: CollectorClock) -> Iterator[str]:
    if row.is_silent:
        yield "silent"
    yield from _list_clock_remarks(clock)


def _list_clock_remarks(clock: CollectorClock) -> Iterator[str]:
    if clock.skew_s is not None and SKEW_SHOWN_S < clock.skew_s <= MAX_LIVE_S:
        yield f"its clock is ahead by {clock.skew_s:,.0f} s"
    if clock.steps_ahead or clock.steps_back:
        yield f"its clock went ahead {clock.steps_ahead} and back {clock.steps_back} times"
    for peer, skew_s in clock.peers.items():
        yield f"peer {escape_control(peer)} {skew_s:+,.0f} s"
