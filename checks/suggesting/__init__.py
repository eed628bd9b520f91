"""Errors found without rules: cells that look wrong beside the rest of their table. Pure."""
