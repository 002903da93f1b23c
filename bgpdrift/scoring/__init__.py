"""Windows in, scores out, with the active model: what the detector services share."""
