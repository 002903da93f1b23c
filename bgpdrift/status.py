"""``check_drift_status``: whether the models still fit. It comes with the drift decision; until then it says so."""

import sys

EXIT_USAGE = 2


def main() -> int:
    """Say that this part comes later; exit code 2."""
    print(
        "check_drift_status: comes with the drift decision; "
        "`python run_all_services.py status` shows the services until then",
        file=sys.stderr,
    )
    return EXIT_USAGE


if __name__ == "__main__":
    sys.exit(main())
