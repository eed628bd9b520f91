"""Column lineage: from Polars expressions, from SQL, and paths through the graph."""
