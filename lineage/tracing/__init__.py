"""Trace, impact, verification, row provenance."""
