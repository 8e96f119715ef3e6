"""Tools for tests of samplers and processors, a user's own included.

`laws`        what every processor must obey, as assertions.
`strategies`  Hypothesis strategies that aim at the hard places: ties, edges, masks.
`exact`       the law of a sampler, computed rather than estimated.
`models`      models without weights, whose logits depend on the prefix alone.

Owns: statements about the rest of the library. May import anything; nothing imports it.
"""
