"""Programs that train models: each fits, judges and publishes one. They share files and the store with the rest."""
