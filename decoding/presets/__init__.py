"""Presets: make a pipeline from another engine's parameters, with its defaults and order.

    presets.tgi   presets.transformers   presets.vllm
    presets.sglang   presets.llama_cpp   presets.mlx_lm

Each function takes the parameters of one engine and returns a `Pipeline`. Parameters that do not
change logits (stop strings, lengths) are not taken; seeds and greedy decoding belong to `Sampler`.
The engines need not be installed.
"""

from decoding.presets.llama_cpp import llama_cpp
from decoding.presets.mlx_lm import mlx_lm
from decoding.presets.sglang import sglang
from decoding.presets.tgi import tgi
from decoding.presets.transformers import transformers
from decoding.presets.vllm import vllm

__all__ = ["llama_cpp", "mlx_lm", "sglang", "tgi", "transformers", "vllm"]
