"""Tools for tests of samplers and processors, a user's own included.

`laws`        checks that every processor and sampler must pass.
`strategies`  Hypothesis strategies for logits, histories and processors.
`exact`       the exact distribution of a sampler.
`models`      models without weights, whose logits depend on the prefix alone.
"""
