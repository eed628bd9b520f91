"""Profiles: statistics of a table that can be merged, and the sketches behind them."""
