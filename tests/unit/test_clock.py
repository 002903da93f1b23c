"""Only a test advances the fake clock; the system clock advances its wall time and its monotonic time."""

from bgpdrift.clock import FakeClock, SystemClock


def test_a_jump_of_the_wall_clock_leaves_monotonic_time_alone():
    clock = FakeClock(now=1000.0)
    clock.advance(seconds=1, minutes=1, hours=1)
    clock.jump(-86_400)

    assert clock.monotonic() == 3661.0
    assert clock.now() == 1000.0 + 3661.0 - 86_400


def test_the_system_clock_tells_both_times():
    clock = SystemClock()
    first = clock.monotonic()
    assert clock.monotonic() >= first
    assert clock.now() > 1_700_000_000
