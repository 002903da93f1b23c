"""The output of commands: standard streams that can write every character, and the Rich console.

This module decides what is written instead of a character that the encoding of a terminal lacks, and that text in a
console cannot control the terminal. Every command prints with `echo` or `echo_json` after `prepare_streams`, or on a
console of `make_console`; none calls `click.echo` or `print`.
"""

import codecs
import io
import os
import sys
from typing import IO, TYPE_CHECKING, Any

from bgpdrift.formatting import escape_control, escape_json, escape_lines

if TYPE_CHECKING:
    from rich.console import Console

SUBSTITUTES = {
    "–": "-",
    "—": "-",
    "−": "-",
    "…": "~",
    "·": "|",
    "×": "x",
    "±": "~",
    "≥": ">",
    "≤": "<",
    "→": ">",
    "✓": "+",
    "█": "#",
    "░": ".",
    "\N{NO-BREAK SPACE}": " ",
    "‘": "'",
    "’": "'",
    "“": '"',
    "”": '"',
}
"""ASCII characters of one column for those that commands use; any other is written as ``?``."""
_ERRORS, _ASCII = "bgpdrift", "bgpdrift_ascii"


class OutputFile(io.FileIO):
    """A standard output or standard error that remembers the error with which a write failed."""

    problem: OSError | None = None
    """The last error."""

    def write(self, data: Any) -> int:
        """Write bytes."""
        try:
            return super().write(data)
        except OSError as error:
            self.problem = error
            raise


def prepare_streams() -> tuple[OutputFile | None, OutputFile | None]:
    """Let standard output and standard error write any text in the encoding that the terminal has; for entry points.

    A standard descriptor that the caller closed is opened on ``/dev/null``, so that no other file gets its number.

    Returns
    -------
    (OutputFile or None, OutputFile or None)
        Standard output and standard error; None where the program prints on something else.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the kernel gives the lowest free number, which is this one
    sys.stdout, output = _replace_stream(sys.stdout, 1)
    sys.stderr, errors = _replace_stream(sys.stderr, 2)
    return output, errors


def _replace_stream(stream: Any, descriptor: int) -> tuple[Any, OutputFile | None]:
    if stream is None:  # the caller closed it
        return open(os.devnull, "w", encoding="utf-8"), None  # noqa: PTH123 - open until the program ends
    if not isinstance(stream, io.TextIOWrapper):
        return stream, None
    try:
        is_standard = stream.fileno() == descriptor
    except OSError:
        is_standard = False
    if not is_standard:
        prepare_stream(stream)
        return stream, None
    output = OutputFile(descriptor, "wb", closefd=False)
    is_buffered = isinstance(stream.buffer, io.BufferedWriter)
    replaced = io.TextIOWrapper(
        io.BufferedWriter(output) if is_buffered else output,
        encoding=stream.encoding,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
    prepare_stream(replaced)
    return replaced, output


def prepare_stream(stream: io.TextIOWrapper) -> None:
    """Let a text stream write any text: characters that its encoding lacks become ASCII characters."""
    codecs.register_error(_ERRORS, _substitute)
    if codecs.lookup(stream.encoding).name == "ascii":
        # Under its own name Click takes ASCII for a mistake and writes UTF-8.
        codecs.register(_find_codec)
        stream.reconfigure(encoding=_ASCII, errors=_ERRORS)
    else:
        stream.reconfigure(errors=_ERRORS)


def echo(text: str = "", *, err: bool = False, nl: bool = True) -> None:
    """Print text for people, without characters that control the terminal; lines stay lines."""
    import click

    click.echo(escape_lines(text), err=err, nl=nl)


def echo_json(document: bytes) -> None:
    """Print a JSON document for programs; characters that control a terminal are written as JSON escapes."""
    import click

    click.echo(escape_json(document.decode()))


def make_console(*, file: IO[str] | None = None, stderr: bool = False, **options: Any) -> "Console":
    """Build the console of a command.

    Strings are printed as they are: brackets are no markup, numbers are not coloured, and characters that control a
    terminal are shown as escape sequences. Styles come from `rich.text.Text`.
    """
    from collections.abc import Iterator

    from rich.console import Console
    from rich.segment import Segment
    from rich.text import Text

    class PlainConsole(Console):
        def on_broken_pipe(self) -> None:
            raise

        def render_str(self, text: str, **options: Any) -> Text:
            return super().render_str(escape_lines(text), **options)

        def render(self, *arguments: Any, **options: Any) -> Iterator[Segment]:
            # Also what a caller put into a `Text` without escaping it.
            for segment in super().render(*arguments, **options):
                if segment.control:
                    yield segment
                else:
                    yield Segment(escape_lines(segment.text), segment.style)

    return PlainConsole(file=file, stderr=stderr, **{"highlight": False, "markup": False, "emoji": False, **options})


def _substitute(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    parts = []
    for character in error.object[error.start : error.end]:
        escaped = escape_control(character)
        parts.append(escaped if escaped != character else SUBSTITUTES.get(character, "?"))
    return "".join(parts), error.end


def _find_codec(name: str) -> codecs.CodecInfo | None:
    if name != _ASCII:
        return None
    ascii_ = codecs.lookup("ascii")
    return codecs.CodecInfo(
        ascii_.encode,
        ascii_.decode,
        ascii_.streamreader,
        ascii_.streamwriter,
        ascii_.incrementalencoder,
        ascii_.incrementaldecoder,
        name=_ASCII,
    )
