"""Commands about predictions: which there are, and why one is as it is."""
