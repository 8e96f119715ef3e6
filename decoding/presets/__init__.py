"""Presets: the samplers of other engines, with their parameters, defaults and order.

    presets.tgi   presets.transformers   presets.vllm
    presets.sglang   presets.llama_cpp   presets.mlx_lm

Owns: a function a peer, which turns that peer's own parameters into a `Pipeline`, and the few rules
that only one peer has. A parameter that is not about logits (what to stop at, how long a text may
be) is not one here. Seeds of the draw and whether it is greedy belong to the sampler.
Knows nothing of: randomness, models, the peers' code. None of them need be installed.
"""

from decoding.presets.llama_cpp import llama_cpp
from decoding.presets.mlx_lm import mlx_lm
from decoding.presets.sglang import sglang
from decoding.presets.tgi import tgi
from decoding.presets.transformers import transformers
from decoding.presets.vllm import vllm

__all__ = ["llama_cpp", "mlx_lm", "sglang", "tgi", "transformers", "vllm"]
