"""The simulated feed of the demo: a process that can be held and let go, and that is gone afterwards however it ends.

Holding stops the process itself: its connection stays, its clock of events stands. Decides nothing about when.
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
        The feed; its first line says where it listens.
    url : str
        Where.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", url: str) -> None:
        self._process, self.url, self.held = process, url, False

    @property
    def ended(self) -> bool:
        """Whether the process is gone."""
        return self._process.poll() is not None

    def hold(self) -> None:
        """Let its time stand still."""
        if not self.held:
            self._process.send_signal(signal.SIGSTOP)
            self.held = True

    def go(self) -> None:
        """Let its time pass again."""
        if self.held:
            self._process.send_signal(signal.SIGCONT)
            self.held = False


@contextlib.contextmanager
def running_feed(command: Sequence[str], log: Path, limit_s: float = START_LIMIT_S) -> Iterator[Feed]:
    """Start a feed and end it, held or not.

    Raises
    ------
    BgpdriftError
        It did not say within ``limit_s`` where it listens.
    """
    with log.open("wb") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, start_new_session=True)  # noqa: S603
        assert process.stdout is not None
        try:
            said = bool(select.select([process.stdout], [], [], limit_s)[0])
            line = process.stdout.readline().decode().strip() if said else f"nothing within {limit_s:g} s"
            if not line.startswith("listening on "):
                raise BgpdriftError(
                    f"the simulated feed did not start: {log.read_text().strip() or line or 'it ended'}"
                )
            yield Feed(process, line.removeprefix("listening on "))
        finally:
            _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGCONT)  # one that is held could not hear it
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
