"""Text: formats, normal forms, predicates, personal data."""
