"""``bgpdrift decode``: print the BGP messages of files, one JSON object per line."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bgpdrift.commands.reading import exit_if_damaged, lenient_option

if TYPE_CHECKING:
    from bgpdrift.bgp.problems import Problems
    from bgpdrift.bgp.sources import PeekableStream


@click.command(name="decode")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option(
    "--collector", help="Collector of MRT files, which do not contain its name. [default: guessed by the file name]"
)
@lenient_option
def command(files: tuple[str, ...], collector: str | None, lenient: bool) -> None:
    """Print every message of RIS Live recordings, spool segments or MRT FILES, one JSON object per line.

    Files may be plain, gzip, bzip2 or zstd; - is standard input. An unreadable line or record is printed with kind
    "corrupt". The numbers by reason, and what was passed over, are printed on standard error.
    """
    import msgspec

    from bgpdrift.bgp.problems import ProblemReport
    from bgpdrift.bgp.sources import STDIN
    from bgpdrift.errors import InputError
    from bgpdrift.formatting import escape_json

    for name in files:
        if name != STDIN and not Path(name).exists():
            raise InputError(f"{name}: expected a file, found none")
    encoder = msgspec.json.Encoder()
    report = ProblemReport()
    out = sys.stdout.buffer
    for name in files:
        for row in rows(name, collector, report.open(name)):
            out.write(escape_json(encoder.encode(row).decode()).encode() + b"\n")
    out.flush()
    exit_if_damaged([report], lenient=lenient)


def rows(name: str, collector: str | None, problems: "Problems") -> Iterator[dict[str, Any]]:
    """Read one file as objects to print."""
    from bgpdrift.bgp.sources import (
        detect_format,
        guess_collector,
        open_stream,
        refuse_spread_json,
        unknown_format_error,
    )

    with open_stream(name) as stream:
        kind = detect_format(stream.head)
        if kind == "mrt":
            yield from _mrt_rows(stream, collector or guess_collector(name), problems)
        elif kind in ("json", "text"):
            refuse_spread_json(name, stream.head)
            yield from _json_rows(stream, problems)
        elif kind is None:
            raise unknown_format_error(name)
        elif stream.problem:
            problems.add(0, stream.problem)
            yield {"kind": "corrupt", "reason": stream.problem}


def _json_rows(stream: "PeekableStream", problems: "Problems") -> Iterator[dict[str, Any]]:
    from bgpdrift.bgp.frame_fields import frame_fields
    from bgpdrift.bgp.ris_frames import Corrupt, FrameDecoder
    from bgpdrift.bgp.sources import split_lines

    problems.unit = "line"
    decoder = FrameDecoder()
    number = 0
    for number, line in enumerate(split_lines(stream), start=1):
        if line.strip():
            frame, details = decoder.decode_full(line)
            if isinstance(frame, Corrupt):
                problems.add(number, frame.reason.partition(":")[0])
            yield frame_fields(frame, details)
    if stream.problem:
        problems.add(number, stream.problem)
        yield {"kind": "corrupt", "reason": stream.problem}


def _mrt_rows(stream: "PeekableStream", collector: str, problems: "Problems") -> Iterator[dict[str, Any]]:
    from bgpdrift.bgp.frame_fields import frame_fields
    from bgpdrift.bgp.mrt import read_stream
    from bgpdrift.bgp.ris_salvage import Details

    for message, found in read_stream(stream, collector, problems):
        yield from _corrupt(problems)
        details = Details(found.med, found.aggregator, list(found.communities), found.session)
        yield frame_fields(message, details)
    yield from _corrupt(problems)


def _corrupt(problems: "Problems") -> Iterator[dict[str, Any]]:
    """Return the problems since the last message, and remove them from the list to keep it short."""
    for offset, reason in problems.first:
        yield {"kind": "corrupt", "offset": offset, "reason": reason}
    problems.first.clear()
