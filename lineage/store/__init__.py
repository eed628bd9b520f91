"""Events, kept and indexed."""
