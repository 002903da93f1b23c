"""Retention: what is old enough, and that deleting pauses between batches."""

from bgpdrift.store.retention import DAY_S, SWEEP_EVERY_S, Sweeper, horizons


class Table:
    """Rows that expire, by table; records the requests."""

    def __init__(self, rows, newest):
        self.rows, self.newest, self.asked = dict(rows), newest, []

    def newest_window_start(self):
        return self.newest

    def delete_expired(self, table, before, batch):
        self.asked.append((table, before))
        gone = min(self.rows.get(table, 0), batch)
        self.rows[table] = self.rows.get(table, 0) - gone
        return gone


def test_a_replay_of_old_data_is_not_deleted_as_old():
    limits = horizons({}, newest_event=1_357_000_000, wall_now=1_795_000_000)
    assert limits["feature_windows"] == 1_357_000_000 - 90 * DAY_S


def test_a_clock_that_runs_ahead_deletes_nothing_early():
    limits = horizons({}, newest_event=9_000_000_000, wall_now=1_795_000_000)
    assert limits["scores"] == 1_795_000_000 - 90 * DAY_S


def test_without_windows_no_data_goes():
    assert "scores" not in horizons({}, newest_event=None, wall_now=1.0)


def test_a_step_deletes_one_batch_and_then_waits_an_hour(clock):
    store = Table({"scores": 25}, newest=int(clock.now()))
    sweeper = Sweeper(store, {}, clock, batch=10)

    assert [sweeper.step() for _ in range(4)] == [10, 10, 5, 0]
    asked = len(store.asked)
    assert sweeper.step() == 0
    assert len(store.asked) == asked

    clock.advance(seconds=SWEEP_EVERY_S)
    store.rows["verdicts"] = 3
    assert sweeper.step() == 3
