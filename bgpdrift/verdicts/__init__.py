"""From scores to incidents: calibration of scores, votes to verdicts, verdicts to incidents, labels to figures."""
