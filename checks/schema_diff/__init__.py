"""A delivery against its contract and against the batch before it."""
