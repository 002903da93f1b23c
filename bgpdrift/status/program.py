"""The command ``check_drift_status``: parse, look, print, exit code; again and again with ``--watch``.

Exit codes: 0 nothing needs a person · 10 a model drifts and nothing is done about it, or a question waits · 1 what is shown
cannot be relied on (no store, no monitor, no data) · 2 bad usage or settings.
"""

import argparse
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

import msgspec

from bgpdrift import logs
from bgpdrift.clock import Clock, SystemClock
from bgpdrift.detector_registry import find
from bgpdrift.errors import BgpdriftError, InputError
from bgpdrift.settings import Settings, load
from bgpdrift.status.snapshot import EXIT_OK, EXIT_USAGE, Status

PLAIN = str.maketrans({"–": "-", "−": "-", "…": "~", "·": "|", "×": "x", "≥": ">", "≤": "<"})


def run(
    argv: Sequence[str] | None = None, clock: Clock | None = None, sleep: Callable[[float], None] = time.sleep
) -> int:
    """Run the command; gives the exit code."""
    options = _parser().parse_args(argv)
    logs.configure(stream=sys.stderr)
    try:
        return _loop(options, load(), clock or SystemClock(), sleep)
    except BgpdriftError as error:
        print(f"check_drift_status: {error}", file=sys.stderr)
        return EXIT_USAGE
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader (head, less) has enough
        return EXIT_OK


def look(settings: Settings, now: float, model: str = "") -> Status:
    """Read everything once and put it together; ``model`` for one only."""
    from bgpdrift.status import files, records, supervised, view

    found = view.build(
        records.read(settings.store_url, min(records.PATIENCE_S, settings.store.busy_timeout_s)),
        files.look(settings.artifacts_path, settings.logs_path),
        supervised.ask(settings.data_path),
        settings,
        now,
    )
    return msgspec.structs.replace(found, **found.only(model)) if model else found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="check_drift_status",
        description="Whether the models still fit, what is being done about it, and what needs you.",
        epilog="Exit codes: 0 nothing needs you; 10 a drift nothing deals with, or a question that waits; "
        "1 what is shown cannot be relied on (no store, no monitor, no data); 2 bad usage or settings.",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object; its fields: docs/drift.md")
    parser.add_argument("--model", type=_model_name, default="", help="only this model, with all its measures")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="also draw it into a file, 80 columns wide")
    parser.add_argument("--watch", action="store_true", help="again and again, until Ctrl-C")
    parser.add_argument("--interval", type=_seconds, default=5.0, metavar="S", help="seconds between two; default 5")
    return parser


def _model_name(text: str) -> str:
    try:
        return find(text).name if text else ""
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _seconds(text: str) -> float:
    value = float(text)
    if not 0.5 <= value <= 86_400:
        raise argparse.ArgumentTypeError(f"expected 0.5 to 86400 seconds, found {text}")
    return value


def _loop(options: argparse.Namespace, settings: Settings, clock: Clock, sleep: Callable[[float], None]) -> int:
    code = EXIT_OK
    try:
        while True:
            status = look(settings, clock.now(), options.model)
            code = status.exit_code
            _show(status, options)
            if not options.watch:
                return code
            sleep(options.interval)
    except KeyboardInterrupt:
        return code


def _show(status: Status, options: argparse.Namespace) -> None:
    if options.svg is not None:
        save_picture(status, options.svg, options.model)
    if options.json:
        sys.stdout.write(status.as_json().decode() + "\n")
        sys.stdout.flush()
        return
    from rich.console import Console

    from bgpdrift.status.table import draw

    console = Console(highlight=False, file=_translating(sys.stdout))
    if options.watch and console.is_terminal:
        console.clear()
    draw(status, console, options.model)
    if options.watch and not console.is_terminal:
        console.print()


def save_picture(status: Status, path: Path, model: str = "", width: int = 80) -> None:
    """Draw the status as an SVG file that needs nothing from the network.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    import io

    from rich.console import Console

    from bgpdrift.status.table import draw

    console = Console(record=True, width=width, highlight=False, force_terminal=True, file=io.StringIO())
    draw(status, console, model)
    picture = re.sub(r"@font-face \{.*?\}", "", console.export_svg(title="check_drift_status"), flags=re.DOTALL)
    try:
        path.write_text(picture, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error


def _translating(stream: IO[str]) -> IO[str]:
    """Give the stream, or where it cannot say all characters, one that says them in ASCII."""
    encoding = (getattr(stream, "encoding", None) or "utf-8").lower()
    return stream if encoding.startswith("utf") else _Ascii(stream)  # type: ignore[return-value]


class _Ascii:
    """A stream that writes ASCII."""

    encoding = "ascii"

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return self._stream.write(text.translate(PLAIN).encode("ascii", "replace").decode())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
