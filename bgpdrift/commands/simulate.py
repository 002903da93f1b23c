"""`bgpdrift simulate`: a simulated Internet, served as RIS Live or written to a file, with its ground truth."""

import click


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--scenario", default="calm", metavar="NAME|FILE", help="calm, short, week, or a TOML or JSON file")
@click.option("--start", metavar="TIME", help="event time of the start: a date (UTC) or epoch seconds")
@click.option("--duration", metavar="LENGTH", help="event time simulated, e.g. 36h or 7d")
@click.option("--days", type=float, help="--duration in days")
@click.option("--seed", type=int, help="seed of everything random")
@click.option("--collectors", metavar="NAMES", help="route collectors, e.g. rrc00,rrc01")
@click.option("--peers", type=int, help="peers per collector")
@click.option("--prefixes", type=int, help="approximate number of prefixes")
@click.option("--rate", type=float, help="messages per minute without incidents, all collectors together")
@click.option(
    "--incident",
    "incidents",
    multiple=True,
    metavar="KIND@+WHEN/LENGTH",
    help="add an incident, e.g. worm@+30h/2h:level=12; repeatable",
)
@click.option(
    "--regime",
    "regimes",
    multiple=True,
    metavar="KIND=VALUE@+WHEN",
    help="add a regime, e.g. level=2@+5d/12h; repeatable",
)
@click.option(
    "--reset", "resets", multiple=True, metavar="@+WHEN", help="add a session reset, e.g. @+20h:peer=2; repeatable"
)
@click.option("--table", "table", is_flag=True, help="sessions come up at the start and transfer their tables")
@click.option("--listen", metavar="HOST:PORT", help="serve as RIS Live over WebSocket; port 0 takes a free port")
@click.option(
    "--speed", default="1", metavar="N|max", show_default=True, help="seconds of event time per second, with --listen"
)
@click.option("--exit-when-done", is_flag=True, help="with --listen: exit when everything is sent")
@click.option(
    "--hold",
    is_flag=True,
    help="with --listen: read event times (epoch seconds) from standard input, one a line; frames from there on wait",
)
@click.option("--out", metavar="FILE", help="write to a file (.gz and .zst are compressed), - for standard output")
@click.option(
    "--format",
    "form",
    type=click.Choice(["json", "mrt"]),
    default="json",
    show_default=True,
    help="format of the file of --out",
)
@click.option(
    "--truth", metavar="FILE", help="write the ground truth as JSON, at the start and again with totals at the end"
)
def command(
    scenario: str,
    start: str | None,
    duration: str | None,
    days: float | None,
    seed: int | None,
    collectors: str | None,
    peers: int | None,
    prefixes: int | None,
    rate: float | None,
    incidents: tuple[str, ...],
    regimes: tuple[str, ...],
    resets: tuple[str, ...],
    table: bool,
    listen: str | None,
    speed: str,
    exit_when_done: bool,
    hold: bool,
    out: str | None,
    form: str,
    truth: str | None,
) -> None:
    """Simulate an Internet with incidents and drift.

    Either --listen (serve it as RIS Live does) or --out (write it to a file). Options change the scenario; --incident,
    --regime and --reset add to it. Kinds of incident: worm, leak, hijack, subprefix, outage, silence, flapping. Kinds of
    regime: level, path, peers.
    """
    from bgpdrift.errors import InputError
    from bgpdrift.lab.simulation import run
    from bgpdrift.lab.simulation.scenario_text import build_scenario

    if (listen is None) == (out is None):
        raise InputError("simulate: expected either --listen HOST:PORT or --out FILE")
    if duration is not None and days is not None:
        raise InputError("simulate: --duration and --days set the same value; expected one of them")
    if listen is not None and form == "mrt":
        raise InputError("simulate: --format mrt is allowed only with --out, because RIS Live sends JSON")
    changed = {
        "start": start,
        "duration": f"{days * 86_400:f}" if days is not None else duration,
        "seed": seed,
        "collectors": collectors.split(",") if collectors is not None else None,
        "peers": peers,
        "prefixes": prefixes,
        "rate": rate,
        "table_at_start": table or None,
    }
    chosen = build_scenario(scenario, {k: v for k, v in changed.items() if v is not None}, incidents, regimes, resets)
    if listen is not None:
        run.serve(chosen, listen, speed, truth, exit_when_done, hold=hold)
    else:
        assert out is not None
        run.write(chosen, out, form, truth)
