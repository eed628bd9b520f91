"""Commands about features: what there is, values, definitions, and their backfill."""
