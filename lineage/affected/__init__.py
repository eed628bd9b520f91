"""What a bad file, or bad rows, led to: the predictions one by one, followed row by row."""
