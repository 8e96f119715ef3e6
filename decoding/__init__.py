"""A decoding and sampling engine: logits in, tokens and their details out.

`decoding` exports what most programs use. All processors are in `decoding.processors`; the records
that functions return are in the package of the function: `decoding.inspect`, `decoding.sampling`,
`decoding.wire`, `decoding.engine`. `docs/reference.md` lists every public name.
"""

from typing import TYPE_CHECKING

from decoding._version import __version__
from decoding.engine.generation import Generation
from decoding.engine.loop import Engine
from decoding.engine.request import Request
from decoding.engine.request_pipeline import pipeline_of
from decoding.errors import DecodingError
from decoding.generate import generate, generate_async, stream, stream_async
from decoding.history import History
from decoding.kernels.backends import Backend
from decoding.models import LanguageModel, load
from decoding.parameters import GenerationParameters
from decoding.pipeline import Pipeline, chain
from decoding.processors import (
    Bitmask,
    Dry,
    FrequencyPenalty,
    GrammarMask,
    LogitBias,
    MinP,
    NoRepeatNgram,
    PresencePenalty,
    RepetitionPenalty,
    Temperature,
    TopK,
    TopP,
    TypicalP,
    Watermark,
    Xtc,
)
from decoding.request_grammar import Grammar
from decoding.sampling.backends import warmup
from decoding.sampling.batch import BatchSampler, Sample, Sampler, sample
from decoding.typing import Processor
from decoding.wire.details import FinishReason, Response, StreamEvent, Token

__all__ = [
    "Backend",
    "BatchSampler",
    "Bitmask",
    "DecodingError",
    "Dry",
    "Engine",
    "FinishReason",
    "FrequencyPenalty",
    "Generation",
    "GenerationParameters",
    "Grammar",
    "GrammarMask",
    "History",
    "LanguageModel",
    "LogitBias",
    "MinP",
    "NoRepeatNgram",
    "Pipeline",
    "PresencePenalty",
    "Processor",
    "RepetitionPenalty",
    "Request",
    "Response",
    "Sample",
    "Sampler",
    "StreamEvent",
    "Temperature",
    "Token",
    "TopK",
    "TopP",
    "TypicalP",
    "Watermark",
    "Xtc",
    "__version__",
    "chain",
    "compare",
    "explain",
    "generate",
    "generate_async",
    "load",
    "pipeline_of",
    "sample",
    "stream",
    "stream_async",
    "warmup",
]

if TYPE_CHECKING:
    from decoding.inspect.compare import compare
    from decoding.inspect.explain import explain
else:  # A type checker reads each processor's type from `decoding.processors`.

    def __getattr__(name: str) -> object:
        """The other processors, as in `decoding.processors`; and what most programs do not use."""
        from decoding import processors

        if name in ("compare", "explain", "inspect"):
            from importlib import import_module

            inspect = import_module("decoding.inspect")
            return inspect if name == "inspect" else getattr(inspect, name)
        if name in processors.__all__:
            return getattr(processors, name)
        raise AttributeError(f"module 'decoding' has no attribute {name!r}", name=name)
