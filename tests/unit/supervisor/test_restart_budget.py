"""The restart budget counts ready time, drops old failures, and always allows another attempt."""

from supervisor.restart_budget import RestartBudget, RestartPolicy

POLICY = RestartPolicy(
    limit=3, period_s=60.0, backoff_max_s=10.0, crashloop_retry_s=60.0, long_limit=12, long_period_s=3600.0
)


def failed(times: int, ready_for_s: float, every_s: float = 1.0) -> RestartBudget:
    budget = RestartBudget()
    for number in range(times):
        budget = budget.after_failure(POLICY, ready_for_s, now=number * every_s)
    return budget


def test_the_budget_is_spent_by_one_failure_more_than_the_limit():
    assert not failed(3, ready_for_s=0.0).is_spent(POLICY)
    assert failed(4, ready_for_s=0.0).is_spent(POLICY)


def test_a_service_that_never_becomes_ready_spends_its_budget_whatever_the_time_between_failures():
    assert failed(4, ready_for_s=0.0, every_s=3600.0).is_spent(POLICY)


def test_failures_are_dropped_after_enough_ready_time():
    assert not failed(100, ready_for_s=301.0, every_s=301.0).is_spent(POLICY)
    assert not failed(12, ready_for_s=20.1).is_spent(POLICY)  # never more than 3 in 60 s of ready time
    assert failed(12, ready_for_s=10.0).is_spent(POLICY)


def test_a_service_that_fails_after_some_minutes_each_time_spends_the_budget_of_the_longer_period():
    assert not failed(12, ready_for_s=180.0, every_s=181.0).is_spent(POLICY)
    assert failed(13, ready_for_s=180.0, every_s=181.0).is_spent(POLICY)
    assert failed(13, ready_for_s=180.0, every_s=181.0).summary(POLICY) == "13 in 2172 s"


def test_the_wait_within_the_budget_depends_on_the_failures_in_ready_time_alone():
    assert failed(12, ready_for_s=180.0, every_s=181.0).delay_s(POLICY, random=1.0) == 0.0


def test_a_crash_loop_of_the_longer_period_is_over_when_its_failures_are_old():
    budget = failed(13, ready_for_s=180.0, every_s=181.0)  # the last at 2,172 s
    assert not budget.is_recovered(POLICY, ready_for_s=600.0, now=2_800.0)
    assert budget.is_recovered(POLICY, ready_for_s=1_500.0, now=3_672.0)


def test_the_first_restart_is_immediate_and_the_waits_double():
    delays = [failed(times, 0.0).delay_s(POLICY, random=1.0) for times in (1, 2, 3, 4, 50)]
    assert delays == [0.0, 0.5, 1.0, 60.0, 60.0]


def test_the_random_number_shortens_a_wait_but_not_to_zero():
    assert 0.0 < failed(3, 0.0).delay_s(POLICY, random=0.0) < failed(3, 0.0).delay_s(POLICY, random=1.0)


def test_a_long_crash_loop_does_not_grow_the_list_of_failures():
    assert len(failed(10_000, ready_for_s=0.0).failures) == POLICY.long_limit + 1
