"""`bgpdrift feed`: what arrives, how late, from which collectors, and what their clocks do."""

import sys

import click

from bgpdrift.terminal import echo, echo_json


@click.command("feed")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(as_json: bool) -> None:
    """Show the feed: rate, lag, skew of the clocks, silent collectors, and messages held back, released or refused.

    Exit code 1 means that figures are missing or old; the last line names the reason.
    """
    import msgspec

    from bgpdrift import settings
    from bgpdrift.clock import SystemClock
    from bgpdrift.status.feed import read_feed
    from bgpdrift.status.feed_text import write_report

    report = read_feed(settings.load_existing(), SystemClock().now())
    if as_json:
        echo_json(msgspec.json.encode(report))
    else:
        echo(write_report(report))
    sys.exit(1 if report.problem else 0)
