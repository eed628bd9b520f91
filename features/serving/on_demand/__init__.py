"""On-demand views: how they are declared, defined in the lake, planned into a join and computed."""
