"""Follows JSON texts under a schema: shapes of arrays and objects, and kernels' records."""
