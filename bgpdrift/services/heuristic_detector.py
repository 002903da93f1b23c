"""The service of the heuristic detector: rules with learned thresholds. All of its work is `scoring`."""

from bgpdrift.scoring.detector_worker import build_for
from bgpdrift.services import runtime

NAME = "heuristic_detector"
MODEL = "heuristic"

if __name__ == "__main__":
    runtime.run(NAME, build_for(MODEL, NAME), lambda settings: settings.detectors.poll_s)
