"""The service of the LSTM autoencoder: waits for a model and abstains until one was trained. All of its work is `scoring`."""

from bgpdrift.scoring.detector_worker import build_for
from bgpdrift.services import runtime

NAME = "lstm_detector"
MODEL = "lstm"

if __name__ == "__main__":
    runtime.run(NAME, build_for(MODEL, NAME), lambda settings: settings.detectors.poll_s)
