"""Proving a trace: what was recorded is compared with what is there, and what can be computed is computed again."""
