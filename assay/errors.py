"""The errors a person is meant to read. A leaf: every folder may import it, it imports nothing."""


class AssayError(Exception):
    """Something a user can act on. The message says what happened, where, and what to do next, never a cell value."""
