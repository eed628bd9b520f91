"""Versioned Delta tables: lake, log, transactions, commit metadata, snapshots, pins, vacuum."""
