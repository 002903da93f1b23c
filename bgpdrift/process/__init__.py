"""What every process needs: notification, locks, identity, durable files, child processes, transition tables."""
