"""`bgpdrift replay`: serve files as a RIS Live server."""

from pathlib import Path

import click

from bgpdrift.commands.reading import exit_if_damaged, lenient_option
from bgpdrift.terminal import echo


@click.command("replay")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--listen", default="127.0.0.1:0", show_default=True, help="Address and port; port 0 means a free one.")
@click.option("--speed", default="1", show_default=True, help="Seconds of event time per second, or `max`.")
@click.option("--loop", is_flag=True, help="Start again at the end, with later timestamps and new ids.")
@click.option("--from-now", is_flag=True, help="Shift the timestamps so that the first is the present time.")
@click.option("--collector", default="", help="Collector of MRT files, e.g. rrc00.")
@click.option("--drop-slow", is_flag=True, help="Close a client that reads nothing for 2 s, as RIS Live does.")
@click.option("--exit-when-done", is_flag=True, help="End after the last frame; otherwise the connections stay open.")
@lenient_option
def command(
    files: tuple[Path, ...],
    listen: str,
    speed: str,
    loop: bool,
    from_now: bool,
    collector: str,
    drop_slow: bool,
    exit_when_done: bool,
    lenient: bool,
) -> None:
    """Serve FILES (RIS Live JSON lines, spool segments or their directory, MRT) as a RIS Live server.

    A client with a name (`?client=NAME`) that reconnects continues a few seconds before it was lost; the replay pauses
    meanwhile. What could not be read is named on standard error at the end.
    """
    from bgpdrift.bgp.problems import ProblemReport
    from bgpdrift.bgp.replay_run import parse_address, parse_speed, serve
    from bgpdrift.bgp.replay_server import ReplayServer
    from bgpdrift.bgp.replay_source import ReplaySource

    report = ProblemReport()
    source = ReplaySource(files, collector, loop=loop, from_now=from_now, report=report)
    server = ReplayServer(
        source,
        speed=parse_speed(speed),
        collectors=[collector] if collector else [],
        drop_slow_s=2.0 if drop_slow else None,
        exit_when_done=exit_when_done,
        on_done=lambda frames: echo(f"done: {frames} frames"),
    )
    serve(server, *parse_address(listen), announce=lambda url: echo(f"listening on {url}"))
    exit_if_damaged([report], lenient=lenient)
