"""Offline proof bundles and their verifier."""
