"""Questions to the index: the graph around a node, differences between versions."""
