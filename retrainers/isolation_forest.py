"""``retrain_isolation_forest``: manual retraining of the forest. It comes with the retraining pipeline."""

import sys

EXIT_USAGE = 2


def main() -> int:
    """Say that this part comes later; exit code 2."""
    print(
        "retrain_isolation_forest: comes with the retraining pipeline; this version only runs the services",
        file=sys.stderr,
    )
    return EXIT_USAGE


if __name__ == "__main__":
    sys.exit(main())
