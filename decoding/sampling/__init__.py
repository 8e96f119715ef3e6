"""Samplers: a pipeline, a backend and a seed turn logits into tokens."""

from decoding.sampling.backends import Execution
from decoding.sampling.batch import Alternative, BatchSampler, Processed, Sample, Sampler, sample

__all__ = ["Alternative", "BatchSampler", "Execution", "Processed", "Sample", "Sampler", "sample"]
