"""Upstream notification: what the supervisor reports to its own manager (systemd, a container runtime) by sd_notify.

READY when all wanted services are up for the first time, RELOADING until the last service has its new settings and then
READY again, STATUS when it changes, WATCHDOG while the loop runs. Without a manager the `Notifier` sends nothing.

References
----------
sd_notify(3), sd_watchdog_enabled(3).
"""

import os
from collections.abc import Mapping

from bgpdrift.process.sd_notify import Notifier


class UpstreamNotifier:
    """Sends each change once."""

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier
        self.was_ready = False
        """Whether all wanted services were up once."""
        self._is_reloading = self._is_stopping = False

    def report_reloading(self, monotonic_s: float) -> None:
        """Report that services will be restarted for changed settings."""
        if self.was_ready and not self._is_reloading:
            self._is_reloading = True
            self._notifier.send(RELOADING="1", MONOTONIC_USEC=str(int(monotonic_s * 1e6)))

    def report_services(self, up: int, wanted: int, restart_over: bool) -> bool:
        """Report what has changed; True if all services are up for the first time.

        Parameters
        ----------
        up, wanted : int
            Number of services that are up, and that should be.
        restart_over : bool
            Whether no rolling restart is in progress.
        """
        status = f"{up} of {wanted} services ready"
        first_time = up == wanted and not self.was_ready and not self._is_stopping
        if first_time:
            self.was_ready = True
        if first_time or (self._is_reloading and restart_over):
            self._is_reloading = self._is_reloading and not restart_over
            self._notifier.report_ready(status)
        self._notifier.report_status(status)
        return first_time

    def report_alive(self) -> None:
        """Report that the event loop runs."""
        self._notifier.send(WATCHDOG="1")

    def report_stopping(self) -> None:
        """Report that all services are being stopped; afterwards only STATUS is sent."""
        self._is_reloading, self._is_stopping = False, True
        self._notifier.report_stopping()

    def close(self) -> None:
        """Close the socket."""
        self._notifier.close()


def find_watchdog_interval_s(env: Mapping[str, str]) -> float | None:
    """Return half of the time that a manager allows between two WATCHDOG messages of this process; None without one.

    Examples
    --------
    >>> find_watchdog_interval_s({"WATCHDOG_USEC": "30000000"}), find_watchdog_interval_s({})
    (15.0, None)
    >>> find_watchdog_interval_s({"WATCHDOG_USEC": "soon"})
    >>> find_watchdog_interval_s({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "0"})
    """
    watchdog_us, pid = env.get("WATCHDOG_USEC", ""), env.get("WATCHDOG_PID", str(os.getpid()))
    is_for_us = watchdog_us.isdigit() and int(watchdog_us) > 0 and pid == str(os.getpid())
    return int(watchdog_us) / 2e6 if is_for_us else None
