"""The simulated feed of the demo: a process that can be paused and resumed, and that always ends with the demo.

A pause stops the process (SIGSTOP): its connection stays open and no event time passes. `pacing` decides when to pause.
"""

import contextlib
import select
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from bgpdrift.errors import BgpdriftError

START_LIMIT_S, END_LIMIT_S = 60.0, 5.0


class Feed:
    """A running feed.

    Parameters
    ----------
    process : Popen
        The process of the feed.
    url : str
        The address on which it listens.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", url: str) -> None:
        self._process, self.url, self.is_paused = process, url, False

    @property
    def has_ended(self) -> bool:
        """Whether the process has exited."""
        return self._process.poll() is not None

    def pause(self) -> None:
        """Stop event time."""
        if not self.is_paused:
            self._process.send_signal(signal.SIGSTOP)
            self.is_paused = True

    def resume(self) -> None:
        """Let event time continue."""
        if self.is_paused:
            self._process.send_signal(signal.SIGCONT)
            self.is_paused = False


@contextlib.contextmanager
def running_feed(command: Sequence[str], log: Path, limit_s: float = START_LIMIT_S) -> Iterator[Feed]:
    """Start a feed, and end its process on exit, paused or not.

    Raises
    ------
    BgpdriftError
        The feed did not print its address within `limit_s` seconds.
    """
    with log.open("wb") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, start_new_session=True)  # noqa: S603
        assert process.stdout is not None
        try:
            has_output = bool(select.select([process.stdout], [], [], limit_s)[0])
            line = process.stdout.readline().decode().strip() if has_output else f"no output within {limit_s:g} s"
            if not line.startswith("listening on "):
                raise BgpdriftError(
                    f"the simulated feed did not start: {log.read_text().strip() or line or 'its process ended'}"
                )
            yield Feed(process, line.removeprefix("listening on "))
        finally:
            _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGCONT)  # a stopped process handles TERM only after CONT
    try:
        process.wait(END_LIMIT_S)
    except BaseException as error:  # also a second Ctrl-C
        process.kill()
        process.wait()
        if not isinstance(error, subprocess.TimeoutExpired):
            raise
    finally:
        if process.stdout is not None:
            process.stdout.close()
