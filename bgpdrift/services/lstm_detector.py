"""The service of the LSTM autoencoder: waits for a model and abstains until one was trained. All of its work is `scoring`."""

from bgpdrift.services import runtime
from bgpdrift.services.scoring import build_for

NAME = "lstm_detector"
MODEL = "lstm"

if __name__ == "__main__":
    runtime.run(NAME, build_for(MODEL, NAME), lambda settings: settings.detectors.poll_s)
