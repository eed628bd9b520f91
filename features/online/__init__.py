"""Latest values, kept ready: of each feature set one packed row per entity, built from pinned versions and swapped whole."""
