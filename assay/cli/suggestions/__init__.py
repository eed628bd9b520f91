"""`assay suggest`: doubted cells, and what becomes of one that is accepted."""
