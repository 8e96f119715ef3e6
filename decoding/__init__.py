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
    AllowedTokens,
    AtLeast,
    BadWords,
    BeginSuppressTokens,
    Bitmask,
    BitmaskBias,
    ClassifierFreeGuidance,
    Dry,
    DynamicTemperature,
    EncoderNoRepeatNgram,
    EncoderRepetitionPenalty,
    EpsilonCutoff,
    EtaCutoff,
    ExponentialLengthDecay,
    ForcedFirstToken,
    ForcedLastToken,
    FrequencyPenalty,
    LogitBias,
    MinP,
    MinTokens,
    NaNPolicy,
    NoRepeatNgram,
    PrefixFunction,
    PresencePenalty,
    Renormalise,
    RepetitionPenalty,
    Scoped,
    SequenceBias,
    SuppressTokens,
    Temperature,
    TopH,
    TopK,
    TopNSigma,
    TopP,
    TypicalP,
    Xtc,
)
from decoding.processors.adaptive_p import AdaptiveP
from decoding.processors.feedback import Feedback
from decoding.processors.mirostat import Mirostat1, Mirostat2
from decoding.request import Request
from decoding.sampling import BatchSampler, Sample, Sampler, sample
from decoding.typing import Processor

__all__ = [
    "AdaptiveP",
    "AllowedTokens",
    "AtLeast",
    "Backend",
    "BadWords",
    "BatchSampler",
    "BeginSuppressTokens",
    "Bitmask",
    "BitmaskBias",
    "ClassifierFreeGuidance",
    "DecodingError",
    "Details",
    "Dry",
    "DynamicTemperature",
    "EncoderNoRepeatNgram",
    "EncoderRepetitionPenalty",
    "Engine",
    "EpsilonCutoff",
    "EtaCutoff",
    "ExponentialLengthDecay",
    "Feedback",
    "FinishReason",
    "ForcedFirstToken",
    "ForcedLastToken",
    "FrequencyPenalty",
    "Generation",
    "GenerationParameters",
    "Grammar",
    "History",
    "LanguageModel",
    "LogitBias",
    "MinP",
    "MinTokens",
    "Mirostat1",
    "Mirostat2",
    "NaNPolicy",
    "NoRepeatNgram",
    "Pipeline",
    "PrefixFunction",
    "PresencePenalty",
    "Processor",
    "Renormalise",
    "RepetitionPenalty",
    "Request",
    "Response",
    "Sample",
    "Sampler",
    "Scoped",
    "SequenceBias",
    "StreamEvent",
    "SuppressTokens",
    "Temperature",
    "Token",
    "TopH",
    "TopK",
    "TopNSigma",
    "TopP",
    "TypicalP",
    "Xtc",
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
