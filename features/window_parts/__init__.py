"""Aggregates over long windows out of parts: what an entity's events of one partition come to, kept and combined."""
