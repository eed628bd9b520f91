"""What is to be done now, what waits for what, and what a change would bring: the planner and its memory."""
