"""Declarations to steps, without Dagster: what runs, in which order, and what is stale."""
