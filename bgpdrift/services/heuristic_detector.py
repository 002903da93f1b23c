"""The service of the heuristic detector: rules with learned thresholds. All of its work is `scoring`."""

from bgpdrift.services import runtime
from bgpdrift.services.scoring import build_for

NAME = "heuristic_detector"
MODEL = "heuristic"

if __name__ == "__main__":
    runtime.run(NAME, build_for(MODEL, NAME), lambda settings: settings.detectors.poll_s)
