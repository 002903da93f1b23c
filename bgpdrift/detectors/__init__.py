"""The detectors: the heuristic, the isolation forest and the LSTM behind one interface, pure and vectorised."""
