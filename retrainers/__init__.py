"""Programs that train models: each fits, evaluates and publishes one model. They use the files and the store of the services."""
