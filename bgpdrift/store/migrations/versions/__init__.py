"""One file for each step, named by its revision. A released file never changes."""
