"""What an outer manager (systemd, a container's runtime) is told of the whole, by sd_notify.

READY once all that is wanted is up for the first time; RELOADING until the last service has its new settings, then READY
again; STATUS when it changes. Source: sd_notify(3). Whether there is such a manager is the `Notifier`'s to know.
"""

from bgpdrift.process.sd_notify import Notifier


class Outward:
    """Knows what was told last."""

    def __init__(self, notifier: Notifier) -> None:
        self.notifier = notifier
        self.was_ready = False
        """Whether everything was up once."""
        self._reloading = self._stops = False
        self._said = ""

    def reloading(self, monotonic_s: float) -> None:
        """Tell that services are about to be restarted for changed settings."""
        if self.was_ready and not self._reloading:
            self._reloading = True
            self.notifier.send(RELOADING="1", MONOTONIC_USEC=str(int(monotonic_s * 1e6)))

    def tell(self, up: int, wanted: int, settled: bool) -> bool:
        """Tell what has changed; gives True when all were up for the first time.

        Parameters
        ----------
        up, wanted : int
            Services that are, and those that should be.
        settled : bool
            No round of restarts is under way.
        """
        text = f"{up} of {wanted} services ready"
        first = up == wanted and not self.was_ready and not self._stops
        if first:
            self.was_ready = True
            self.notifier.report_ready(text)
        if self._reloading and settled:
            self._reloading = False
            self.notifier.report_ready(text)
        if text != self._said:
            self._said = text
            self.notifier.report_status(text)
        return first

    def stopping(self) -> None:
        """Tell that all is going down; from now on nothing is ready, only STATUS follows."""
        self._reloading, self._stops = False, True
        self.notifier.report_stopping()
