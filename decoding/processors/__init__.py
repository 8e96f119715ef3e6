"""All processors: frozen dataclasses with parameters, definition and lowering, one idea a file.

Owns: parameters, their ranges, the definition, and what each processor lowers to.
Knows nothing of: other processors, the order they run in, requests or models.
"""

from decoding.processors.adaptive_p import AdaptiveP
from decoding.processors.at_least import AtLeast
from decoding.processors.bitmask import Bitmask, BitmaskBias
from decoding.processors.cutoffs import EpsilonCutoff, EtaCutoff
from decoding.processors.dry import Dry
from decoding.processors.dynamic_temperature import DynamicTemperature
from decoding.processors.encoder_repetition_penalty import EncoderRepetitionPenalty
from decoding.processors.grammar_mask import GrammarMask
from decoding.processors.guidance import ClassifierFreeGuidance
from decoding.processors.gumbel_watermark import GumbelWatermark
from decoding.processors.length import (
    ExponentialLengthDecay,
    ForcedFirstToken,
    ForcedLastToken,
    MinTokens,
)
from decoding.processors.logit_bias import LogitBias
from decoding.processors.min_p import MinP
from decoding.processors.mirostat import Mirostat1, Mirostat2
from decoding.processors.nan_policy import NaNPolicy
from decoding.processors.ngrams import EncoderNoRepeatNgram, NoRepeatNgram
from decoding.processors.penalties import FrequencyPenalty, PresencePenalty, RepetitionPenalty
from decoding.processors.prefix_function import PrefixFunction
from decoding.processors.renormalise import Renormalise
from decoding.processors.scoped import Scoped
from decoding.processors.sequence_bias import BadWords, SequenceBias
from decoding.processors.synthid_watermark import SynthIdWatermark
from decoding.processors.temperature import Temperature
from decoding.processors.token_sets import AllowedTokens, BeginSuppressTokens, SuppressTokens
from decoding.processors.top_h import TopH
from decoding.processors.top_k import TopK
from decoding.processors.top_n_sigma import TopNSigma
from decoding.processors.top_p import TopP
from decoding.processors.typical_p import TypicalP
from decoding.processors.watermark import Watermark
from decoding.processors.xtc import Xtc

__all__ = [
    "AdaptiveP",
    "AllowedTokens",
    "AtLeast",
    "BadWords",
    "BeginSuppressTokens",
    "Bitmask",
    "BitmaskBias",
    "ClassifierFreeGuidance",
    "Dry",
    "DynamicTemperature",
    "EncoderNoRepeatNgram",
    "EncoderRepetitionPenalty",
    "EpsilonCutoff",
    "EtaCutoff",
    "ExponentialLengthDecay",
    "ForcedFirstToken",
    "ForcedLastToken",
    "FrequencyPenalty",
    "GrammarMask",
    "GumbelWatermark",
    "LogitBias",
    "MinP",
    "MinTokens",
    "Mirostat1",
    "Mirostat2",
    "NaNPolicy",
    "NoRepeatNgram",
    "PrefixFunction",
    "PresencePenalty",
    "Renormalise",
    "RepetitionPenalty",
    "Scoped",
    "SequenceBias",
    "SuppressTokens",
    "SynthIdWatermark",
    "Temperature",
    "TopH",
    "TopK",
    "TopNSigma",
    "TopP",
    "TypicalP",
    "Watermark",
    "Xtc",
]
