"""The intermediate form of compiled JSON Schemas, and the states of texts read under them."""
