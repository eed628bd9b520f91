"""What models predicted: the log, ids, look-up, attachments."""
