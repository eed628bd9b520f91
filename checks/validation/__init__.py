"""One batch against one contract: the scan, the verdicts of its rules, the report."""
