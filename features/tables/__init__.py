"""Versioned Delta tables: the lake, reads and transactions at exact versions, key index, partitions, kinds."""
