"""`assay contract`: drafts, differences, exchange, a delivery checked."""
