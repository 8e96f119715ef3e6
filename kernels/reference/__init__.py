"""The oracle: one row at a time, float64, straight from the definitions, never optimised."""
