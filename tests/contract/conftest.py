"""The databases every contract test runs on: SQLite always, PostgreSQL when a server is named."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from bgpdrift.clock import FakeClock
from bgpdrift.store import Store, migrate, open_store

# Read before the fixture that removes BGPDRIFT_ variables.
POSTGRESQL = os.environ.get("BGPDRIFT_TEST_POSTGRESQL_URL", "")


@contextmanager
def postgresql_database(template: str = "template1") -> Iterator[str]:
    """A database on the server, removed afterwards."""
    name = f"bgpdrift_{uuid.uuid4().hex[:12]}"
    server = create_engine(POSTGRESQL, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template}"))
    try:
        yield make_url(POSTGRESQL).set(database=name).render_as_string(hide_password=False)
    finally:
        with server.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        server.dispose()


@pytest.fixture(scope="session")
def migrated() -> Iterator[str]:
    """Name of a PostgreSQL database with the schema, of which a copy takes less time than a migration."""
    with postgresql_database() as url:
        migrate(url)
        yield str(make_url(url).database)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database of each kind, removed afterwards; it is empty unless the test uses ``store``."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'store.sqlite3'}"
        return
    if not POSTGRESQL:
        pytest.skip("BGPDRIFT_TEST_POSTGRESQL_URL names no server")
    template = request.getfixturevalue("migrated") if "store" in request.fixturenames else "template1"
    with postgresql_database(template) as made:
        yield made


@pytest.fixture
def store(url: str, clock: FakeClock) -> Iterator[Store]:
    """An open store with the schema of this program."""
    migrate(url)
    with open_store(url, clock=clock) as opened:
        yield opened
