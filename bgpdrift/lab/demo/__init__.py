"""The demo: the whole system runs on a simulated Internet, and its results are compared with the ground truth."""
