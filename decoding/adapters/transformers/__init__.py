"""transformers: a logits processor, this library's loop in `generate`, any CausalLM as a model.

    model.generate(**inputs, logits_processor=[processor(pipeline)])
    model.generate(**inputs, custom_generate=custom_generate(parameters, tokenizer=tokenizer))
    decoding.generate(language_model(model, tokenizer), "Hello", parameters)

Written for transformers 5.0 and later; tested with 5.24. Needs torch, too.
"""

from decoding.adapters.transformers.cached import TransformersModel, TransformersState, forward
from decoding.adapters.transformers.generation import CustomGenerate, custom_generate
from decoding.adapters.transformers.language_model import (
    TransformersTokenizer,
    language_model,
    tokenizer,
)
from decoding.adapters.transformers.processor import PipelineProcessor, processor

__all__ = [
    "CustomGenerate",
    "PipelineProcessor",
    "TransformersModel",
    "TransformersState",
    "TransformersTokenizer",
    "custom_generate",
    "forward",
    "language_model",
    "processor",
    "tokenizer",
]
