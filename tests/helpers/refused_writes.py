"""A store that refuses one write transaction, and the comparison of all tables of two stores."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Literal

from sqlalchemy import Connection

from bgpdrift.clock import Clock
from bgpdrift.errors import StoreBusyError, StoreError
from bgpdrift.store import Store
from bgpdrift.store.engine import make_engine, parse_url
from bgpdrift.store.schema import metadata

Kind = Literal["refused", "unanswered", "fatal"]
KINDS: tuple[Kind, ...] = ("refused", "unanswered", "fatal")
"""Nothing is written and the service tries again; the answer is lost; nothing is written and the process ends."""


class Refusal:
    """Counts the write transactions of a run, over all its stores, and refuses one of them."""

    def __init__(self, number: int = 0, kind: Kind = "refused") -> None:
        self.number, self.kind, self.writes = number, kind, 0

    @contextmanager
    def around(self, transaction: AbstractContextManager[Connection]) -> Iterator[Connection]:
        """Run a write transaction, or refuse it."""
        self.writes += 1
        is_refused = self.writes == self.number
        with transaction as connection:
            yield connection
            if is_refused and self.kind == "refused":
                raise StoreBusyError("the store refuses this write", 0.0)
            if is_refused and self.kind == "fatal":
                raise StoreError("the store cannot take this write")
        if is_refused:
            raise StoreBusyError("the answer to this write is lost", 0.0)


class RefusingStore(Store):
    """A store whose writes follow a `Refusal`."""

    def __init__(self, url: str, clock: Clock, refusal: Refusal) -> None:
        super().__init__(make_engine(parse_url(url), 5.0), clock)
        self._refusal = refusal

    @contextmanager
    def writing(self, durable: bool = False) -> Iterator[Connection]:
        """As the store, unless the transaction is refused."""
        with self._refusal.around(super().writing(durable)) as connection:
            yield connection


def read_tables(store: Store) -> dict[str, list[dict[str, Any]]]:
    """Read all rows of all tables, by the name of the table."""
    return {
        table.name: store.rows(table.select().order_by(*table.primary_key.columns)) for table in metadata.sorted_tables
    }
