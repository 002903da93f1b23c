"""How often a failed service is started again, and after which wait. Pure: the caller passes the time and a random number.

The budget counts the time a service spent READY: a failure is dropped from it after ``period_s`` seconds of ready time.
Counted this way, a slow machine resets nothing: a service that needs a minute to start and then dies is in a crash loop as
surely as one that dies in 10 ms. Every cause (exit, signal, hang, not ready in time, cannot be started) uses the same
budget.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class RestartPolicy:
    """The limits, from the settings.

    Attributes
    ----------
    limit : int
        Restarts within ``period_s`` of ready time; the next failure is a crash loop.
    period_s : float
        See ``limit``; seconds.
    backoff_max_s : float
        Longest wait within the budget; seconds.
    crashloop_retry_s : float
        Wait between the attempts of a crash loop; seconds.
    first_backoff_s : float
        Wait before the second restart; it doubles with each further one. The first restart is immediate.
    """

    limit: int = 5
    period_s: float = 60.0
    backoff_max_s: float = 10.0
    crashloop_retry_s: float = 60.0
    first_backoff_s: float = 0.5


@dataclass(frozen=True)
class Failure:
    """One failure: the ready time of the service so far, and the monotonic time; seconds."""

    at_ready_s: float
    at: float


@dataclass(frozen=True)
class RestartBudget:
    """The failures that count, oldest first."""

    failures: tuple[Failure, ...] = ()
    ready_s: float = 0.0

    def after_failure(self, policy: RestartPolicy, ready_for_s: float, now: float) -> "RestartBudget":
        """Return the budget after the failure of a process that was READY for ``ready_for_s``; ``now`` is monotonic.

        Examples
        --------
        >>> budget = RestartBudget().after_failure(RestartPolicy(), ready_for_s=0.0, now=10.0)
        >>> len(budget.failures)
        1
        >>> len(budget.after_failure(RestartPolicy(period_s=60.0), ready_for_s=61.0, now=99.0).failures)
        1
        """
        ready_s = self.ready_s + ready_for_s
        counted = [failure for failure in self.failures if ready_s - failure.at_ready_s < policy.period_s]
        # More than limit + 1 failures change no decision, and a crash loop of a year must not grow a list.
        return RestartBudget((*counted, Failure(ready_s, now))[-(policy.limit + 1) :], ready_s)

    def is_spent(self, policy: RestartPolicy) -> bool:
        """Whether there are more failures than the policy allows."""
        return len(self.failures) > policy.limit

    def delay_s(self, policy: RestartPolicy, random: float) -> float:
        """Return the seconds to wait before the next attempt.

        Parameters
        ----------
        policy : RestartPolicy
            The limits.
        random : float
            A random number from 0 to 1, so that services that failed together are not started together.

        Examples
        --------
        >>> budget, delays = RestartBudget(), []
        >>> for n in range(6):
        ...     budget = budget.after_failure(RestartPolicy(), ready_for_s=0.0, now=float(n))
        ...     delays.append(budget.delay_s(RestartPolicy(), random=1.0))
        >>> delays
        [0.0, 0.5, 1.0, 2.0, 4.0, 60.0]
        """
        if self.is_spent(policy):
            return policy.crashloop_retry_s * (0.9 + 0.1 * random)
        count = len(self.failures)
        if count <= 1:
            return 0.0
        longest_s = min(policy.backoff_max_s, policy.first_backoff_s * 2.0 ** (count - 2))
        return longest_s * (0.5 + 0.5 * random)

    def summary(self) -> str:
        """Return the number of failures and the seconds between the first and the last.

        Examples
        --------
        >>> RestartBudget((Failure(0.0, 5.0), Failure(0.0, 17.2))).summary()
        '2 in 12 s'
        """
        span_s = self.failures[-1].at - self.failures[0].at if self.failures else 0.0
        return f"{len(self.failures)} in {span_s:.0f} s"
