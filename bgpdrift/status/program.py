"""The command ``check_drift_status``.

Exit codes: 0 nothing needs a person · 10 a decision is needed (incident, approval request, drift that nothing handles, missing
model) · 1 the system does not work as a whole (store, services, data) · 2 invalid arguments or settings.
"""

import argparse
import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from bgpdrift.attention import EXIT_OK, EXIT_USAGE
from bgpdrift.clock import Clock, SystemClock
from bgpdrift.detector_registry import find
from bgpdrift.entry_point import print_line
from bgpdrift.errors import BgpdriftError, InputError
from bgpdrift.formatting import escape_json
from bgpdrift.settings import Settings, load
from bgpdrift.status.snapshot import Status
from bgpdrift.terminal import make_console


def run(
    argv: Sequence[str] | None = None, clock: Clock | None = None, sleep: Callable[[float], None] = time.sleep
) -> int:
    """Run the command and return its exit code."""
    options = _build_parser().parse_args(argv)
    try:
        return _print_repeatedly(options, load(), clock or SystemClock(), sleep)
    except BgpdriftError as error:
        print_line("check_drift_status", str(error))
        return EXIT_USAGE


def read_status(settings: Settings, now: float, model: str = "") -> Status:
    """Read everything once and build the document; ``model`` limits it to one model."""
    from bgpdrift.status import files, records, supervised, view
    from bgpdrift.status.attention import find_disk_problem

    status = view.build(
        records.read(
            settings.store_url,
            min(records.MAX_WAIT_S, settings.store.busy_timeout_s),
            warming_minutes=settings.windows.warming_minutes,
        ),
        files.read_files(settings.artifacts_path, settings.logs_path),
        supervised.ask(settings.data_path),
        settings,
        now,
        find_disk_problem(settings),
    )
    return msgspec.structs.replace(status, **status.only(model)) if model else status


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="check_drift_status",
        description="Print the state of the models, what is being done about drift, and what needs you.",
        epilog="Exit codes: 0 nothing needs you; 10 a decision is needed; 1 the system does not work as a whole (store, "
        "services, data, disk); 2 invalid arguments or settings; 3 no supervisor runs.",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object; docs/check-drift-status.md")
    parser.add_argument("--model", type=_parse_model, default="", help="print only this model, with all its measures")
    parser.add_argument(
        "--svg", type=Path, metavar="FILE", help="also draw the output into an SVG file, 80 columns wide"
    )
    parser.add_argument("--watch", action="store_true", help="repeat until Ctrl-C")
    parser.add_argument(
        "--interval", type=_parse_seconds, default=5.0, metavar="S", help="seconds between two; default 5"
    )
    return parser


def _parse_model(text: str) -> str:
    try:
        return find(text).name if text else ""
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _parse_seconds(text: str) -> float:
    value = float(text)
    if not 0.5 <= value <= 86_400:
        raise argparse.ArgumentTypeError(f"expected 0.5 to 86400 seconds, found {text}")
    return value


def _print_repeatedly(
    options: argparse.Namespace, settings: Settings, clock: Clock, sleep: Callable[[float], None]
) -> int:
    code = EXIT_OK
    try:
        while True:
            status = read_status(settings, clock.now(), options.model)
            code = status.exit_code
            _print_status(status, options)
            if not options.watch:
                return code
            sleep(options.interval)
    except KeyboardInterrupt:
        return code


def _print_status(status: Status, options: argparse.Namespace) -> None:
    if options.svg is not None:
        save_svg(status, options.svg, options.model)
    if options.json:
        sys.stdout.write(escape_json(status.as_json().decode()) + "\n")
        sys.stdout.flush()
        return
    from bgpdrift.status.table import draw

    console = make_console()
    if options.watch and console.is_terminal:
        console.clear()
    draw(status, console, options.model)
    if options.watch and not console.is_terminal:
        console.print()


def save_svg(status: Status, path: Path, model: str = "", width: int = 80) -> None:
    """Draw the status into an SVG file that loads nothing from the network.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    import io

    from bgpdrift.status.table import draw

    console = make_console(record=True, width=width, force_terminal=True, file=io.StringIO())
    draw(status, console, model)
    svg = re.sub(r"@font-face \{.*?\}", "", console.export_svg(title="check_drift_status"), flags=re.DOTALL)
    try:
        path.write_text(svg, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error
