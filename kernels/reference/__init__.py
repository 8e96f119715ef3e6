"""The reference: every operation in float64 for one row, written from its definition."""
