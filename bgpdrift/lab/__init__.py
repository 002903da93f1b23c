"""For research and demonstration: simulated Internet, demo, labelled data sets, evaluation, score logs."""
