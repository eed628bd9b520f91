"""Who read which rows, from the tables' own logs."""
