"""What the planner knows without looking: what a step may watch, and what was seen of it before."""
