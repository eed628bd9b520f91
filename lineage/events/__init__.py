"""OpenLineage out: events, facets, names, redaction."""
