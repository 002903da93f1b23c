"""Fixtures for all tests."""

import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import structlog
from hypothesis import HealthCheck, settings

from bgpdrift.clock import FakeClock
from helpers import windows as generated_windows

# No example may fail for being slow on a busy machine; in CI the same examples run every time.
settings.register_profile(
    "bgpdrift", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=bool(os.environ.get("CI"))
)
settings.load_profile("bgpdrift")

SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real BGP captures beside the checkout; a user's checkout has none, CI must have them."""
    if not SHARED.is_dir():
        reason = f"no real BGP data beside the checkout ({SHARED})"
        if os.environ.get("CI"):
            pytest.fail(reason + ", and this is CI")
        pytest.skip(reason)
    return SHARED


@pytest.fixture(scope="session")
def shared_cases() -> Path:
    """Inputs that once failed, beside the checkout; a user's checkout has none, CI must have them."""
    cases = SHARED.parent / "cases"
    if not cases.is_dir():
        reason = f"no fault cases beside the checkout ({cases})"
        if os.environ.get("CI"):
            pytest.fail(reason + ", and this is CI")
        pytest.skip(reason)
    return cases


@pytest.fixture(scope="session")
def windows() -> ModuleType:
    """Return the module that generates windows."""
    return generated_windows


@pytest.fixture
def clock() -> FakeClock:
    """A clock that only the test advances."""
    return FakeClock()


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep a developer's own settings and files out of the tests."""
    for variable in list(os.environ):
        if variable.startswith("BGPDRIFT_") or variable == "NOTIFY_SOCKET":
            monkeypatch.delenv(variable)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def _no_logs_into_a_closed_stream() -> Iterator[None]:
    """A command configures logging for its process; the next test must not write into the stream of the last."""
    yield
    structlog.reset_defaults()
