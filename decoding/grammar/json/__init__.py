"""JSON texts under a schema: shapes of arrays and objects, and the records kernels follow."""
