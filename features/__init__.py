"""What models read: versioned tables, snapshots, feature views, as-of joins, training sets, embeddings."""
