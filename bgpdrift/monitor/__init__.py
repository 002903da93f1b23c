"""The drift monitor's application: folding, checks, retraining requests and runs, probation."""
