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
@click.option("--force", is_flag=True, help="Serve also what the system here would ignore.")
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
    force: bool,
    exit_when_done: bool,
    lenient: bool,
) -> None:
    """Serve FILES (RIS Live JSON lines, spool segments or their directory, MRT) as a RIS Live server.

    A client with a name (`?client=NAME`) that reconnects continues a few seconds before it was lost; the replay pauses
    meanwhile. What could not be read is named on standard error at the end.

    Before it starts, the command compares the recording with the store of this directory, states what will be ignored, and
    refuses a recording that is older than all of it. `bgpdrift store reset-time` makes room for it.
    """
    from bgpdrift.bgp.problems import ProblemReport
    from bgpdrift.bgp.replay_run import parse_address, parse_speed, serve
    from bgpdrift.bgp.replay_server import ReplayServer
    from bgpdrift.bgp.replay_source import ReplaySource

    if not from_now:
        _announce(files, collector, force=force)
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


def _announce(files: tuple[Path, ...], collector: str, *, force: bool) -> None:
    """State what the replay will do to the system of this directory; refuse one that does nothing.

    Raises
    ------
    InputError
        Every message would be ignored, and ``force`` is not set.
    """
    from bgpdrift.bgp.problems import ProblemReport
    from bgpdrift.bgp.replay_source import ReplaySource
    from bgpdrift.clock import SystemClock
    from bgpdrift.errors import InputError
    from bgpdrift.formatting import format_time
    from bgpdrift.settings import load
    from bgpdrift.status.replay_notice import describe, read_stored_span, scan

    stored = read_stored_span(load())
    recording = scan(ReplaySource(files, collector, report=ProblemReport()), stored.closed, SystemClock())
    if recording is None:
        return
    for line in describe(recording, stored):
        echo(f"bgpdrift replay: {line}", err=True)
    if recording.changes_nothing and not force:
        raise InputError(
            "replay: every message is older than the windows in the store here, so that nothing would happen; stop the services "
            f"and run `bgpdrift store reset-time --to {format_time(recording.first).replace(' ', 'T')}`, "
            "use another data_dir, shift the times with --from-now, or serve other systems with --force"
        )
