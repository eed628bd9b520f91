"""Assay: data quality, versioned features and lineage that carries the version actually read."""
