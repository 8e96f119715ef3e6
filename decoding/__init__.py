"""A decoding and sampling engine: logits in, tokens and their details out."""

from decoding._version import __version__
from decoding.backends import warmup
from decoding.details import Details, FinishReason, Response, StreamEvent, Token
from decoding.engine import Engine
from decoding.errors import DecodingError
from decoding.explain import explain
from decoding.generate import generate, generate_async, stream, stream_async
from decoding.generation import Generation
from decoding.history import History
from decoding.kernels.backends import Backend
from decoding.models import LanguageModel, load
from decoding.parameters import GenerationParameters, Grammar
from decoding.pipeline import Pipeline, chain, pipeline_of
from decoding.processors import (
    Bitmask,
    BitmaskBias,
    FrequencyPenalty,
    GumbelWatermark,
    LogitBias,
    MinP,
    PresencePenalty,
    RepetitionPenalty,
    SynthIdWatermark,
    Temperature,
    TopK,
    TopP,
    TypicalP,
    Watermark,
)
from decoding.request import Request
from decoding.sampling import BatchSampler, Sample, Sampler, sample
from decoding.typing import Processor

__all__ = [
    "Backend",
    "BatchSampler",
    "Bitmask",
    "BitmaskBias",
    "DecodingError",
    "Details",
    "Engine",
    "FinishReason",
    "FrequencyPenalty",
    "Generation",
    "GenerationParameters",
    "Grammar",
    "GumbelWatermark",
    "History",
    "LanguageModel",
    "LogitBias",
    "MinP",
    "Pipeline",
    "PresencePenalty",
    "Processor",
    "RepetitionPenalty",
    "Request",
    "Response",
    "Sample",
    "Sampler",
    "StreamEvent",
    "SynthIdWatermark",
    "Temperature",
    "Token",
    "TopK",
    "TopP",
    "TypicalP",
    "Watermark",
    "__version__",
    "chain",
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
