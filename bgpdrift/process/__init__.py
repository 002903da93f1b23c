"""Mechanisms that all processes share: notification, locks, identity, durable files, child processes, transition tables."""
