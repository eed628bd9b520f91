"""Databases as upstreams: tables and queries, read by what has changed."""
