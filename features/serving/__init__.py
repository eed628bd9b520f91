"""Features as models read them: as-of joins, training sets, online reads."""
