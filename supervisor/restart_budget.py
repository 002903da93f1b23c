"""Decides how often a failed service is restarted, and after which wait. Pure: the caller passes time and a random number.

The budget counts the time a service spent READY: a failure is dropped from it after ``period_s`` seconds of ready time.
Therefore a slow start does not reset the budget: a service that needs a minute to start and then dies is in a crash loop
just like one that dies in 10 ms. Every cause (exit, signal, hang, not ready in time, cannot be started) uses the same
budget.

A second count has a longer period of monotonic time, because a service that works for some minutes between two failures
never exceeds the first.
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
    long_limit : int
        Restarts within ``long_period_s`` of time, whether ready or not; the next failure is a crash loop.
    long_period_s : float
        See ``long_limit``; seconds.
    """

    limit: int = 5
    period_s: float = 60.0
    backoff_max_s: float = 10.0
    crashloop_retry_s: float = 60.0
    first_backoff_s: float = 0.5
    long_limit: int = 12
    long_period_s: float = 3600.0


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
        >>> len(budget.after_failure(RestartPolicy(), ready_for_s=61.0, now=3610.0).failures)
        1
        """
        budget = RestartBudget((*self.failures, Failure(self.ready_s + ready_for_s, now)), self.ready_s + ready_for_s)
        counted = [
            failure
            for failure in budget.failures
            if budget._is_recent(failure, policy) or now - failure.at < policy.long_period_s
        ]
        # More failures change no decision, and a crash loop of a year must not grow a list.
        return RestartBudget(tuple(counted[-(max(policy.limit, policy.long_limit) + 1) :]), budget.ready_s)

    def is_spent(self, policy: RestartPolicy) -> bool:
        """Whether there are more failures than the policy allows, in ready time or in the longer period."""
        return self._is_spent_in_ready_time(policy) or self._is_spent_at(
            policy, self.failures[-1].at if self.failures else 0.0
        )

    def is_recovered(self, policy: RestartPolicy, ready_for_s: float, now: float) -> bool:
        """Whether a crash loop is over for a service that has been READY for ``ready_for_s``; ``now`` is monotonic.

        Examples
        --------
        >>> policy = RestartPolicy(limit=9, long_limit=1, period_s=60.0, long_period_s=600.0)
        >>> budget = RestartBudget((Failure(0.0, 0.0), Failure(300.0, 310.0)), 300.0)
        >>> budget.is_recovered(policy, 100.0, 410.0), budget.is_recovered(policy, 300.0, 610.0)
        (False, True)
        """
        return ready_for_s >= policy.period_s and not self._is_spent_at(policy, now)

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
        count = len(self._list_recent(policy))
        if count <= 1:
            return 0.0
        longest_s = min(policy.backoff_max_s, policy.first_backoff_s * 2.0 ** (count - 2))
        return longest_s * (0.5 + 0.5 * random)

    def summary(self, policy: RestartPolicy) -> str:
        """Return the number of failures that count, and the seconds between the first and the last.

        Examples
        --------
        >>> RestartBudget((Failure(0.0, 5.0), Failure(0.0, 17.2))).summary(RestartPolicy())
        '2 in 12 s'
        """
        failures = self.failures
        if self._is_spent_in_ready_time(policy) or not self.is_spent(policy):
            failures = self._list_recent(policy)[-(policy.limit + 1) :]
        span_s = failures[-1].at - failures[0].at if failures else 0.0
        return f"{len(failures)} in {span_s:.0f} s"

    def _is_recent(self, failure: Failure, policy: RestartPolicy) -> bool:
        return self.ready_s - failure.at_ready_s < policy.period_s

    def _list_recent(self, policy: RestartPolicy) -> tuple[Failure, ...]:
        return tuple(failure for failure in self.failures if self._is_recent(failure, policy))

    def _is_spent_in_ready_time(self, policy: RestartPolicy) -> bool:
        return len(self._list_recent(policy)) > policy.limit

    def _is_spent_at(self, policy: RestartPolicy, now: float) -> bool:
        return sum(now - failure.at < policy.long_period_s for failure in self.failures) > policy.long_limit
