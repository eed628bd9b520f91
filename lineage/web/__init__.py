"""The governance console: pages to search the lineage, see a neighbourhood, follow a prediction and prove it."""
