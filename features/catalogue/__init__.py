"""What features there are: described, with their values in numbers, and who uses them."""
