"""The simulated feed of the demo: a process that stops at an event time, can be paused, and always ends with the demo.

The feed sends no frame of the event time of a hold or later, so that what the services know at that point does not depend
on the speed of the machine. A pause stops the process (SIGSTOP) at any event time, because the services are behind. In both
cases the connection stays open. `history` and `pacing` decide when to hold and pause.
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

    def hold(self, moment: float) -> None:
        """Let event time pass until `moment` and no further; infinity removes the limit."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # the process has ended, see `has_ended`
            self._process.stdin.write(f"{moment}\n".encode())
            self._process.stdin.flush()

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
        process = subprocess.Popen(  # noqa: S603 - our own program
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, start_new_session=True
        )
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
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
