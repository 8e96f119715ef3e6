"""Samplers: a pipeline, a backend and a seed turn logits into tokens."""

from decoding.sampling.batch import Alternative, BatchSampler, Processed, Sample, Sampler, sample

__all__ = ["Alternative", "BatchSampler", "Processed", "Sample", "Sampler", "sample"]
