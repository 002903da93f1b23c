"""``check_drift_status``: whether the models still fit, what is being done about it, and what a person must do now.

`facts` is what is said, `records`, `files` and `supervised` read it, `view` puts it together, `todo` decides what needs a
person, `table` draws it, `program` is the command. Only those that read touch anything.
"""


def main() -> int:
    """Run ``check_drift_status``; gives the exit code."""
    from bgpdrift.status.program import run

    return run()
