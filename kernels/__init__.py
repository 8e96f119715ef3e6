"""Arrays in, arrays out: the numerical ground of the library.

Owns: the opcodes a pipeline lowers to, Philox words, and the implementations of every processor.
Knows nothing of: vocabularies, models, requests, configuration, or any class above it.

`reference`  float64, one row, written from the definitions; slow, obvious, the oracle.
`vector`     NumPy, always available; checked against `reference` by property.
"""
