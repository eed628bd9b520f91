"""`assay lineage search`: what a text names."""
