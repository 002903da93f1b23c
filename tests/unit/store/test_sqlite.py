"""Properties of SQLite alone: a file, a log, locks between processes."""

import sqlite3
import stat
import subprocess
import sys
import threading

import pytest
from sqlalchemy import text

from bgpdrift.commands.doctor_checks import check_store
from bgpdrift.errors import StoreBusyError, StoreError
from bgpdrift.settings import load
from bgpdrift.store import Cursor, migrate, open_store
from bgpdrift.store.engine import DURABLE, WRITE
from bgpdrift.store.migrate import alembic_config
from bgpdrift.store.revisions import REVISIONS
from bgpdrift.store.wal import keep_wal_small, wal_bytes


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "below" / "store.sqlite3"


@pytest.fixture
def store(path):
    migrate(f"sqlite:///{path}")
    with open_store(f"sqlite:///{path}", busy_timeout_s=0.2) as opened:
        yield opened


def window(minute, collector="rrc00"):
    return {"window_start": 60 * minute, "collector": collector, "messages": minute}


def test_a_new_database_is_readable_by_its_owner_only(store, path):
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) & 0o027 == 0


def test_opening_a_missing_database_does_not_create_it(path):
    with pytest.raises(StoreError, match="doctor --migrate"):
        open_store(f"sqlite:///{path}")
    assert not path.exists()


@pytest.mark.parametrize("name", ["feature%2Flogin", "a?b=c", "a#b", "a b", "Zürich", "a%", "file:x"])
def test_the_database_is_in_the_data_directory_whatever_its_name(tmp_path, name):
    settings = load(env={"BGPDRIFT_DATA_DIR": str(tmp_path / name)})

    migrate(settings.store_url)

    with open_store(settings.store_url) as opened:
        opened.write_windows([window(1)], Cursor("a", 1))
        assert opened.latest_window_start() == 60
        assert opened.name == f"sqlite:///{tmp_path / name / 'bgpdrift.sqlite3'}"
    assert [entry.name for entry in tmp_path.iterdir()] == [name]
    assert (tmp_path / name / "bgpdrift.sqlite3").is_file()
    assert check_store(settings).level == "ok"


@pytest.mark.parametrize("url", ["sqlite:///:memory:", "sqlite://", "mysql://x/y", "nonsense"])
def test_an_unusable_url_is_refused_with_what_is_expected(url):
    with pytest.raises(StoreError, match="expected"):
        migrate(url)


def test_a_file_that_is_no_database_is_called_damaged(path):
    path.parent.mkdir(parents=True)
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(StoreError, match="damaged"):
        open_store(f"sqlite:///{path}")


def test_a_connection_is_set_up_as_documented(store):
    with store.reading() as connection:
        found = {name: connection.execute(text(f"PRAGMA {name}")).scalar() for name in ("journal_mode", "foreign_keys")}
    assert found == {"journal_mode": "wal", "foreign_keys": 1}


def test_windows_with_a_cursor_are_flushed_and_other_writes_are_not(store):
    """A power loss must not take back windows whose segments were deleted; PRAGMA synchronous 2 is FULL."""

    def synchronous(durable):
        with store.writing(durable=durable) as connection:
            options = connection.get_execution_options()
            assert options[WRITE]
            assert bool(options.get(DURABLE)) is durable
            return connection.execute(text("PRAGMA synchronous")).scalar()

    assert [synchronous(durable) for durable in (True, False, True)] == [2, 1, 2]


def test_a_locked_database_is_busy_and_then_works_again(store, path):
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreBusyError, match="locked"):
        store.write_windows([window(1)], Cursor("a", 1))
    assert store.windows_after(0, 10) == [], "readers do not wait"
    other.execute("ROLLBACK")
    other.close()

    store.write_windows([window(1)], Cursor("a", 1))
    assert len(store.windows_after(0, 10)) == 1


def test_a_full_disk_is_busy_and_keeps_the_database_whole(store):
    with store.reading() as connection:
        pages = connection.execute(text("PRAGMA page_count")).scalar()
    driver = store._engine.raw_connection()
    driver.cursor().execute(f"PRAGMA max_page_count={pages + 2}")
    driver.close()

    with pytest.raises(StoreBusyError, match="full"):
        store.write_windows([window(minute) for minute in range(2000)], Cursor("a", 1))
    assert store.read_position("a") == 0


def test_a_long_log_is_emptied_once_readers_pause(store, path):
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM scores").fetchone()
    store.write_windows([window(minute) for minute in range(3000)], None)
    assert wal_bytes(path) > 200_000
    with store._writer.connect() as connection:
        assert keep_wal_small(connection, limit_bytes=1000)
        assert wal_bytes(path) > 200_000, "a reader still uses it"
        reader.execute("ROLLBACK")
        reader.close()
        assert keep_wal_small(connection, limit_bytes=1000)
    assert wal_bytes(path) == 0


def test_the_revisions_are_those_of_the_scripts():
    from alembic.script import ScriptDirectory

    script = ScriptDirectory.from_config(alembic_config())
    assert tuple(reversed([step.revision for step in script.walk_revisions()])) == REVISIONS


def test_threads_share_one_store(store):
    failures = []

    def work(number):
        try:
            for minute in range(20):
                store.write_windows([window(minute, f"rrc{number:02}")], None)
                store.windows_after(0, 5)
        except Exception as error:
            failures.append(error)

    with_patience = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in with_patience:
        thread.start()
    for thread in with_patience:
        thread.join(60)
    assert failures == []
    assert store.counts()["feature_windows"] == 60


STRESS = """
import sys
from bgpdrift.store import Cursor, migrate, open_store
url, number, steps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
migrate(url)
store = open_store(url)
name, seen = f"rrc{number:02}", 0
for step in range(steps):
    rows = [{"window_start": 60 * (10 * step + i), "collector": name, "messages": step} for i in range(10)]
    store.write_windows(rows, Cursor(name, step + 1) if number % 2 else None)
    seen = max([seen, *(row["id"] for row in store.windows_after(seen, 200))])
print("done", flush=True)
"""


@pytest.mark.system
def test_eight_processes_write_and_read_one_file_and_lose_nothing(path):
    """All of them also migrate at once, into a directory that does not exist yet."""
    url, steps = f"sqlite:///{path}", 40
    command = [sys.executable, "-c", STRESS, url]
    running = [
        subprocess.Popen([*command, str(n), str(steps)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for n in range(8)
    ]
    try:
        ended = [(process.communicate(timeout=90), process.returncode) for process in running]
    finally:
        for process in running:
            if process.poll() is None:
                process.kill()
                process.wait()
    assert [code for _, code in ended] == [0] * 8, [output[1][-500:] for output, _ in ended]
    with open_store(url) as store:
        assert store.counts()["feature_windows"] == 8 * steps * 10
        assert [store.read_position(f"rrc{n:02}") for n in (1, 3, 5, 7)] == [steps] * 4
