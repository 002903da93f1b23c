"""`bgpdrift features`: print the feature windows of files, one JSON object per line with the columns of features.md."""

from pathlib import Path

import click

from bgpdrift.commands.reading import exit_if_damaged, lenient_option
from bgpdrift.terminal import echo, echo_json


@click.command("features")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--per-peer", default=0, show_default=True, help="Also print windows of the N busiest peers.")
@click.option(
    "--warm-up", type=click.Path(path_type=Path), help="MRT table dump (RIB) loaded into the routing state first."
)
@lenient_option
def command(files: tuple[Path, ...], per_peer: int, warm_up: Path | None, lenient: bool) -> None:
    """Print the feature windows of RIS Live recordings, spool segments or MRT FILES, in time order.

    Each line has window_start (epoch seconds, UTC), the collector and the columns. The last window of a file may be
    incomplete. What cannot be read is named on standard error and counted in parse_errors.
    """
    import msgspec

    from bgpdrift.bgp.problems import ProblemReport
    from bgpdrift.bgp.sources import open_table, read_in_time_order
    from bgpdrift.features.aggregator import Aggregator
    from bgpdrift.features.clock_report import describe_clock
    from bgpdrift.features.file_windows import read_windows
    from bgpdrift.settings import load
    from bgpdrift.store.window_columns import FEATURE_NAMES, QUALITY_NAMES

    settings = msgspec.structs.replace(load().windows, per_peer=per_peer)
    aggregator = Aggregator(settings)
    table, report = ProblemReport(), ProblemReport()
    if warm_up is not None:
        problems = table.open(str(warm_up))
        aggregator.warm_up(open_table(warm_up, problems=problems), problems)
    names = ("window_start", "collector", "peer", *FEATURE_NAMES, *QUALITY_NAMES)
    encode = msgspec.json.Encoder().encode
    unusable = 0
    for row in read_windows(read_in_time_order(files, report=report), aggregator, report):
        unusable += 0 if row["peer"] else row["parse_errors"]
        echo_json(encode({name: row[name] for name in names if name != "peer" or row[name]}))
    if unusable > report.total:
        echo(f"bgpdrift: {unusable - report.total:,} prefixes or timestamps could not be used", err=True)
    for name, clock in aggregator.clocks().items():
        if problem := describe_clock(name, clock):
            echo(f"bgpdrift features: {problem}", err=True)
    exit_if_damaged([table, report], lenient=lenient)
