"""The reference in plain Python: every operation for one row in float64, by its definition."""
