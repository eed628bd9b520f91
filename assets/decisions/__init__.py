"""What people decide about batches, kept as appended rows."""
