"""Contracts compared, and exchanged: ODCS documents, Python source."""
