"""`bgpdrift features`: print the feature windows of files, one JSON object per line with the columns of features.md."""

from pathlib import Path

import click


@click.command("features")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--per-peer", default=0, show_default=True, help="Also print windows of the N busiest peers.")
@click.option(
    "--warm-up", type=click.Path(path_type=Path), help="MRT table dump (RIB) loaded into the routing state first."
)
def command(files: tuple[Path, ...], per_peer: int, warm_up: Path | None) -> None:
    """Print the feature windows of RIS Live recordings, spool segments or MRT FILES, in time order.

    Each line has window_start (epoch seconds, UTC), the collector and the columns. The last window of a file may be
    incomplete.
    """
    import msgspec

    from bgpdrift.bgp.sources import open_source, read_in_time_order
    from bgpdrift.features.aggregator import Aggregator
    from bgpdrift.settings import load
    from bgpdrift.store.window_columns import FEATURE_NAMES, QUALITY_NAMES

    settings = msgspec.structs.replace(load().windows, per_peer=per_peer)
    aggregator = Aggregator(settings)
    if warm_up is not None:
        aggregator.warm_up(open_source(warm_up))
    names = ("window_start", "collector", "peer", *FEATURE_NAMES, *QUALITY_NAMES)
    encode = msgspec.json.Encoder().encode

    def show(rows: list[dict[str, object]]) -> None:
        for row in rows:
            click.echo(encode({name: row[name] for name in names if name != "peer" or row[name]}))

    chunk = []
    for message in read_in_time_order(files):
        chunk.append(message)
        if len(chunk) == 4096:
            show(aggregator.add(chunk))
            chunk = []
    show(aggregator.add(chunk))
    show(aggregator.flush())
