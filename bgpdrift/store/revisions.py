"""The schema of this program, and the messages about another one. A test compares the list with `migrations/`."""

REVISIONS: tuple[str, ...] = ("0001", "0002", "0003", "0004")
"""All revisions, oldest first; the last one is what this program needs."""


def explain_revision(found: str | None) -> str | None:
    """Return what is wrong with a database's revision and how to repair it; None if nothing is.

    Examples
    --------
    >>> explain_revision(REVISIONS[-1]) is None
    True
    >>> explain_revision(None)
    'no tables yet; `bgpdrift doctor --migrate` creates them'
    """
    needed = REVISIONS[-1]
    if found == needed:
        return None
    if found is None:
        return "no tables yet; `bgpdrift doctor --migrate` creates them"
    if found in REVISIONS:
        return f"schema {found} found, {needed} expected; stop all services, then `bgpdrift doctor --migrate`"
    return f"schema {found} found, which is newer than this program ({needed}); install the bgpdrift that wrote it"
