"""What must hold: contracts, rules, one-scan validation, profiles."""
