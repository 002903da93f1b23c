"""Code that several tests share: generated windows, oracles, and waiting for a condition."""
