"""``bgpdrift decode``: print the BGP messages of files, one JSON object per line."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from bgpdrift.bgp.mrt_framing import Problems
    from bgpdrift.bgp.sources import PeekableStream


@click.command(name="decode")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option(
    "--collector", help="Collector of MRT files, which do not contain its name. [default: guessed by the file name]"
)
def command(files: tuple[str, ...], collector: str | None) -> None:
    """Print every message of RIS Live recordings, spool segments or MRT FILES, one JSON object per line.

    Files may be plain, gzip, bzip2 or zstd; - is standard input. An unreadable line or record is printed with kind
    "corrupt", and their number on standard error.
    """
    import msgspec

    from bgpdrift.bgp.sources import STDIN
    from bgpdrift.errors import InputError

    for name in files:
        if name != STDIN and not Path(name).exists():
            raise InputError(f"{name}: expected a file, found none")
    encoder = msgspec.json.Encoder()
    out = sys.stdout.buffer
    for name in files:
        corrupt = 0
        for row in rows(name, collector):
            corrupt += row["kind"] == "corrupt"
            out.write(encoder.encode(row) + b"\n")
        if corrupt:
            click.echo(f"bgpdrift: {name}: {corrupt} lines or records could not be read", err=True)
    out.flush()


def rows(name: str, collector: str | None) -> Iterator[dict[str, Any]]:
    """Read one file as objects to print."""
    from bgpdrift.bgp.sources import detect_format, guess_collector, open_stream, unknown_format_error

    with open_stream(name) as stream:
        kind = detect_format(stream.head)
        if kind == "mrt":
            yield from _mrt_rows(stream, collector or guess_collector(name))
        elif kind in ("json", "text"):
            yield from _json_rows(stream)
        elif kind is None:
            raise unknown_format_error(name)


def _json_rows(stream: "PeekableStream") -> Iterator[dict[str, Any]]:
    from bgpdrift.bgp.frame_fields import frame_fields
    from bgpdrift.bgp.ris_frames import FrameDecoder
    from bgpdrift.bgp.sources import split_lines

    decoder = FrameDecoder()
    for line in split_lines(stream):
        if line.strip():
            yield frame_fields(*decoder.decode_full(line))
    if stream.problem:
        yield {"kind": "corrupt", "reason": stream.problem}


def _mrt_rows(stream: "PeekableStream", collector: str) -> Iterator[dict[str, Any]]:
    from bgpdrift.bgp.frame_fields import frame_fields
    from bgpdrift.bgp.mrt import read_stream
    from bgpdrift.bgp.mrt_framing import Problems
    from bgpdrift.bgp.ris_salvage import Details

    problems = Problems()
    for message, attributes in read_stream(stream, collector, problems):
        yield from _corrupt(problems)
        yield frame_fields(message, Details(attributes.med, attributes.aggregator, list(attributes.communities)))
    yield from _corrupt(problems)


def _corrupt(problems: "Problems") -> Iterator[dict[str, Any]]:
    """Return the problems since the last message, and remove them from the list to keep it short."""
    for offset, reason in problems.first:
        yield {"kind": "corrupt", "offset": offset, "reason": reason}
    problems.first.clear()
