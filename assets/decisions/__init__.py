"""What people decide about batches, kept as appended rows. The step that validates a batch applies them."""
