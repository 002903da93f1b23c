"""The feed of the demo as a real process: it always ends with the demo, and one that prints nothing is given up."""

import contextlib
import os
import sys
from pathlib import Path

import pytest

from bgpdrift.errors import BgpdriftError
from bgpdrift.lab.demo.feed import running_feed
from helpers.until import until

WAITS = "print('listening on ws://here', flush=True); import signal; signal.pause()"
PID = "import os; open({!r}, 'w').write(str(os.getpid())); "


def command(code: str) -> list[str]:
    return [sys.executable, "-S", "-c", code]


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def interrupted(folder: Path, paused: bool) -> int:
    """Run a feed until Ctrl-C; its process id."""
    pid = folder / "pid"
    with (
        contextlib.suppress(KeyboardInterrupt),
        running_feed(command(PID.format(str(pid)) + WAITS), folder / "log") as feed,
    ):
        assert feed.url == "ws://here"
        if paused:
            feed.pause()
        raise KeyboardInterrupt
    return int(pid.read_text())


@pytest.mark.parametrize("paused", [False, True], ids=["running", "paused"])
def test_the_process_ends_after_an_interruption(tmp_path: Path, paused: bool):
    assert not is_there(interrupted(tmp_path, paused))


def test_pausing_and_resuming_twice_is_the_same_as_once(tmp_path: Path):
    with running_feed(command(WAITS), tmp_path / "log") as feed:
        feed.pause()
        feed.pause()
        assert feed.is_paused
        feed.resume()
        feed.resume()
        assert not feed.is_paused
        assert not feed.has_ended
    assert feed.has_ended


def test_a_feed_that_ends_at_once_is_reported_with_its_error(tmp_path: Path):
    broken = command("import sys; sys.exit('no such scenario')")
    with (
        pytest.raises(BgpdriftError, match="did not start: no such scenario"),
        running_feed(broken, tmp_path / "log"),
    ):
        pass


def test_a_feed_without_output_is_given_up(tmp_path: Path):
    silent = command("import signal; signal.pause()")
    with (
        pytest.raises(BgpdriftError, match=r"no output within 0\.1 s"),
        running_feed(silent, tmp_path / "log", limit_s=0.1),
    ):
        pass


def test_a_hold_reaches_the_process(tmp_path: Path):
    code = "import sys; print('listening on ws://here', flush=True); open('log.txt', 'w').write(sys.stdin.readline())"
    with running_feed(command(code.replace("log.txt", str(tmp_path / "hold"))), tmp_path / "log") as feed:
        feed.hold(1_800_000_000)
        until(lambda: feed.has_ended, 20.0, "the feed reads the hold and ends")
    assert float((tmp_path / "hold").read_text()) == 1_800_000_000
