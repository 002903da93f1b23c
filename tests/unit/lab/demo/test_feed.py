"""The demo's feed as a real process: none is left behind, held or not, and one that says nothing is not waited for."""

import contextlib
import os
import sys
from pathlib import Path

import pytest

from bgpdrift.errors import BgpdriftError
from bgpdrift.lab.demo.feed import running_feed

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


def interrupted(folder: Path, held: bool) -> int:
    """Run a feed until Ctrl-C; its process id."""
    pid = folder / "pid"
    with (
        contextlib.suppress(KeyboardInterrupt),
        running_feed(command(PID.format(str(pid)) + WAITS), folder / "log") as feed,
    ):
        assert feed.url == "ws://here"
        if held:
            feed.hold()
        raise KeyboardInterrupt
    return int(pid.read_text())


@pytest.mark.parametrize("held", [False, True], ids=["running", "held"])
def test_a_feed_is_gone_after_an_interruption(tmp_path: Path, held: bool):
    assert not is_there(interrupted(tmp_path, held))


def test_holding_and_letting_go_twice_is_once(tmp_path: Path):
    with running_feed(command(WAITS), tmp_path / "log") as feed:
        feed.hold()
        feed.hold()
        assert feed.held
        feed.go()
        feed.go()
        assert not feed.held
        assert not feed.ended
    assert feed.ended


def test_a_feed_that_ends_at_once_is_reported_with_what_it_said(tmp_path: Path):
    broken = command("import sys; sys.exit('no such scenario')")
    with (
        pytest.raises(BgpdriftError, match="did not start: no such scenario"),
        running_feed(broken, tmp_path / "log"),
    ):
        pass


def test_a_feed_that_says_nothing_is_given_up(tmp_path: Path):
    silent = command("import signal; signal.pause()")
    with (
        pytest.raises(BgpdriftError, match=r"nothing within 0\.1 s"),
        running_feed(silent, tmp_path / "log", limit_s=0.1),
    ):
        pass
