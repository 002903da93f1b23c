"""The service of the isolation forest: waits for a model and abstains until one was trained. All of its work is `scoring`."""

from bgpdrift.scoring.detector_worker import build_for
from bgpdrift.services import runtime

NAME = "isolation_forest_detector"
MODEL = "isolation_forest"

if __name__ == "__main__":
    runtime.run(NAME, build_for(MODEL, NAME), lambda settings: settings.detectors.poll_s)
