"""What is done with the rows of a training set: splits that cannot leak, comparison, export, loading into a trainer."""
