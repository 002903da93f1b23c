"""Ends every program: the message and the exit code for causes other than its result.

This module decides the message and exit code for a closed pipe, a full output device, Ctrl-C, a deleted working
directory and an unexpected exception. The programs decide the exit codes of their own errors (`bgpdrift.errors`).
"""

import contextlib
import os
import sys
from collections.abc import Callable

from bgpdrift import terminal
from bgpdrift.formatting import escape_control

EXIT_OK, EXIT_FAILED, EXIT_INTERRUPTED = 0, 1, 130


def run_program(name: str, run: Callable[[], int | None]) -> int:
    """Run a program and return its exit code; no exception leaves.

    A reader that closes the pipe (``head``, ``less``) ends the program quietly with 0. A device that takes no more output,
    and any exception but ``SystemExit``, is one line on standard error and 1. The traceback goes to a file that the line
    names.

    Parameters
    ----------
    name : str
        The program, for messages.
    run : callable
        The program; returns its exit code, None for 0, or raises ``SystemExit``.
    """
    output, errors = terminal.prepare_streams()
    code, cause = _run(run)
    _flush()
    if output is not None and output.problem is not None:
        if not isinstance(output.problem, BrokenPipeError):
            print_line(name, f"standard output: {output.problem.strerror}")
            code = EXIT_FAILED
        elif cause is not None:
            code = EXIT_OK
    elif isinstance(cause, Exception) and (errors is None or errors.problem is None):
        print_line(name, _explain(cause))
    _discard_unwritten_output()
    return code


def print_line(name: str, text: str) -> None:
    """Print a message of a program on standard error; nothing if that is full or closed."""
    with contextlib.suppress(OSError):
        print(f"{name}: {' '.join(escape_control(line.strip()) for line in text.splitlines())}", file=sys.stderr)


def _run(run: Callable[[], int | None]) -> tuple[int, BaseException | None]:
    """Return the exit code and the exception that ended the program; None if it ended without one."""
    stdout = sys.stdout
    try:
        return run() or EXIT_OK, None
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
            return EXIT_FAILED, None
        # When the reader closes the pipe, Click wraps the streams and ends with 1.
        return int(end.code or EXIT_OK), None if sys.stdout is stdout else end
    except KeyboardInterrupt as interrupt:
        return EXIT_INTERRUPTED, interrupt
    except Exception as error:
        return EXIT_FAILED, error


def _explain(error: Exception) -> str:
    if isinstance(error, FileNotFoundError) and not _has_working_directory():
        return "the working directory was deleted; change to one that exists"
    return f"{_describe(error)}; {_write_traceback(error)}"


def _describe(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        place = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
        return f"{place}{error.strerror}"
    message = str(error)
    return f"unexpected {type(error).__name__}{f': {message}' if message else ''}"


def _write_traceback(error: Exception) -> str:
    import tempfile
    import traceback  # both are slow to import and needed only here

    try:
        descriptor, path = tempfile.mkstemp(prefix="bgpdrift-traceback-", suffix=".txt")
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.writelines(traceback.format_exception(error))
    except OSError as problem:
        return f"its traceback could not be written: {problem.strerror}"
    return f"its traceback is in {path}"


def _has_working_directory() -> bool:
    try:
        os.getcwd()  # noqa: PTH109 - the question is the system's
    except OSError:
        return False
    return True


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()


def _discard_unwritten_output() -> None:
    """Send output that cannot be written to ``/dev/null``, because Python would report it again at its end."""
    for stream, descriptor in ((sys.stdout, 1), (sys.stderr, 2)):
        try:
            stream.flush()
        except (OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, descriptor)
            os.close(null)
