"""Readers of labelled data sets and of ground truth."""
