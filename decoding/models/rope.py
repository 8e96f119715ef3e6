"""Computes the frequencies of rotary embeddings, plain or scaled for long contexts."""

from __future__ import annotations

import math

from decoding.errors import MissingDependencyError
from decoding.models.config import LlamaConfig

try:
    import torch
    from torch import Tensor
except ImportError as error:
    raise MissingDependencyError("torch", "torch") from error


def inverse_frequencies(config: LlamaConfig) -> Tensor:
    """The angle per position for each pair of dimensions: `(head_dim / 2,)` float32.

    theta ** (−2i / head_dim), scaled as `RopeScaling` says; float32 in every step, as transformers.
    """
    exponents = torch.arange(0, config.head_dim, 2).float() / config.head_dim
    frequencies = 1.0 / (config.rope_theta**exponents)
    scaling = config.rope_scaling
    if scaling is None:
        return frequencies
    if scaling.kind == "divisors":
        return frequencies / torch.tensor(scaling.divisors)
    slow = frequencies / scaling.factor
    if scaling.kind == "linear":
        return slow
    wavelengths = 2 * math.pi / frequencies
    low, high = scaling.low_frequency_factor, scaling.high_frequency_factor
    share = (scaling.original_context_length / wavelengths - low) / (high - low)
    blended = (1 - share) * slow + share * frequencies
    kept = torch.where(wavelengths < scaling.original_context_length / high, frequencies, blended)
    return torch.where(wavelengths > scaling.original_context_length / low, slow, kept)
