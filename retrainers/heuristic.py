"""``retrain_heuristic``: manual retraining of the rules. It comes with the retraining pipeline; until then it says so."""

import sys

EXIT_USAGE = 2


def main() -> int:
    """Say that this part comes later; exit code 2."""
    print("retrain_heuristic: comes with the retraining pipeline; this version only runs the services", file=sys.stderr)
    return EXIT_USAGE


if __name__ == "__main__":
    sys.exit(main())
