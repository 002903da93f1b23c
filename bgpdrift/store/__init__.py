"""The database: schema, migrations and queries; SQLite by default, PostgreSQL by URL.

Several processes share it, each with one connection. Writes are short, keyed and committed together with the writer's
cursor, so that work done twice changes nothing.
"""

from bgpdrift.errors import StoreBusyError, StoreError
from bgpdrift.store.database import Cursor, StateCursor
from bgpdrift.store.incidents import IncidentChanges, IncidentRow
from bgpdrift.store.migrate import migrate
from bgpdrift.store.scores import ScoreRow, WindowKey
from bgpdrift.store.store import Store, open_store
from bgpdrift.store.verdicts import VerdictRow
from bgpdrift.store.windows import WindowRow

__all__ = [
    "Cursor",
    "IncidentChanges",
    "IncidentRow",
    "ScoreRow",
    "StateCursor",
    "Store",
    "StoreBusyError",
    "StoreError",
    "VerdictRow",
    "WindowKey",
    "WindowRow",
    "migrate",
    "open_store",
]
