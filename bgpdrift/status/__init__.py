"""``check_drift_status``: the state of the models and what needs a person now.

`records`, `files` and `supervised` read store, directories and supervisor. `facts` is what the decision needs of the first two,
also as a file of the drift monitor. `decision` decides what needs a person, by the rules of `actions`; `attention` reads what
it needs and asks it. `view` builds the document of `snapshot`, `table` draws it, and `program` is the command.
"""


def main() -> int:
    """Run ``check_drift_status`` and return its exit code."""
    import sys

    from bgpdrift import logs
    from bgpdrift.entry_point import run_program
    from bgpdrift.status.program import run

    logs.configure(stream=sys.stderr)
    return run_program("check_drift_status", run)
