"""Samplers: a pipeline, a backend and a seed turn logits into tokens."""

from decoding.sampling.batch import Alternative, BatchSampler, Sample, Sampler, sample

__all__ = ["Alternative", "BatchSampler", "Sample", "Sampler", "sample"]
