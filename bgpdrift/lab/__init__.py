"""Research and demonstration: the simulated Internet, the demo, labelled data sets, evaluation and score logs."""
