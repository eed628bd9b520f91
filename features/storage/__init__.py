"""Bytes and Delta logs: what a commit records, which files it holds, and the index over all commits of a lake."""
