"""The demo: the whole system on a simulated Internet, judged by what it found."""
