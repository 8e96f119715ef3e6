"""JSON values under a schema: shapes of objects and arrays, and the states of their texts."""
