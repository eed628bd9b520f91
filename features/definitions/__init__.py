"""Definitions of feature views: which one computed which rows, and that no reader gets rows of two."""
