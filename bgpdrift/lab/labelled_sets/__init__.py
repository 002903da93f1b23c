"""Labelled data sets: reading them and the truth beside them."""
