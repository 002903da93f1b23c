"""Evaluation: how good detectors are on labelled minutes, simulated incidents, and in a store with known truth."""
