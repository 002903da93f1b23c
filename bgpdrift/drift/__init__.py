"""Whether a detector still fits. For now the hourly histograms that every later drift measure is made of."""
