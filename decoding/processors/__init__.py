"""All logits processors: frozen dataclasses, called on logits or lowered to instructions.

Owns: parameters, their ranges, the definition, and what each processor lowers to.
Knows nothing of: other processors, the order they run in, requests or models.
A class states its `facts` (`decoding.facts`): tables, flags, fields of requests and the laws of
`decoding.testing` are made of them. A new processor is a file of its own and a line here.
"""

from decoding.facts import Stating
from decoding.processors.adaptive_p import AdaptiveP as AdaptiveP
from decoding.processors.at_least import AtLeast as AtLeast
from decoding.processors.bitmask import Bitmask as Bitmask
from decoding.processors.bitmask import BitmaskBias as BitmaskBias
from decoding.processors.cutoffs import EpsilonCutoff as EpsilonCutoff
from decoding.processors.cutoffs import EtaCutoff as EtaCutoff
from decoding.processors.dry import Dry as Dry
from decoding.processors.dynamic_temperature import DynamicTemperature as DynamicTemperature
from decoding.processors.encoder_repetition_penalty import (
    EncoderRepetitionPenalty as EncoderRepetitionPenalty,
)
from decoding.processors.grammar_mask import GrammarMask as GrammarMask
from decoding.processors.guidance import ClassifierFreeGuidance as ClassifierFreeGuidance
from decoding.processors.gumbel_watermark import GumbelWatermark as GumbelWatermark
from decoding.processors.length import ExponentialLengthDecay as ExponentialLengthDecay
from decoding.processors.length import ForcedFirstToken as ForcedFirstToken
from decoding.processors.length import ForcedLastToken as ForcedLastToken
from decoding.processors.length import MinTokens as MinTokens
from decoding.processors.logit_bias import LogitBias as LogitBias
from decoding.processors.min_k import MinK as MinK
from decoding.processors.min_p import MinP as MinP
from decoding.processors.mirostat import Mirostat1 as Mirostat1
from decoding.processors.mirostat import Mirostat2 as Mirostat2
from decoding.processors.nan_policy import NaNPolicy as NaNPolicy
from decoding.processors.ngrams import EncoderNoRepeatNgram as EncoderNoRepeatNgram
from decoding.processors.ngrams import NoRepeatNgram as NoRepeatNgram
from decoding.processors.p_less import PLess as PLess
from decoding.processors.penalties import FrequencyPenalty as FrequencyPenalty
from decoding.processors.penalties import PresencePenalty as PresencePenalty
from decoding.processors.penalties import RepetitionPenalty as RepetitionPenalty
from decoding.processors.prefix_function import PrefixFunction as PrefixFunction
from decoding.processors.renormalise import Renormalise as Renormalise
from decoding.processors.scoped import Scoped as Scoped
from decoding.processors.sequence_bias import BadWords as BadWords
from decoding.processors.sequence_bias import SequenceBias as SequenceBias
from decoding.processors.smooth_sampling import SmoothSampling as SmoothSampling
from decoding.processors.synthid_watermark import SynthIdWatermark as SynthIdWatermark
from decoding.processors.tail_free import TailFree as TailFree
from decoding.processors.temperature import Temperature as Temperature
from decoding.processors.token_sets import AllowedTokens as AllowedTokens
from decoding.processors.token_sets import BeginSuppressTokens as BeginSuppressTokens
from decoding.processors.token_sets import SuppressTokens as SuppressTokens
from decoding.processors.top_a import TopA as TopA
from decoding.processors.top_h import TopH as TopH
from decoding.processors.top_k import TopK as TopK
from decoding.processors.top_n_sigma import TopNSigma as TopNSigma
from decoding.processors.top_p import TopP as TopP
from decoding.processors.typical_p import TypicalP as TypicalP
from decoding.processors.watermark import Watermark as Watermark
from decoding.processors.xtc import Xtc as Xtc

PROCESSORS: tuple[type[Stating], ...] = tuple(
    item for item in list(globals().values()) if hasattr(item, "facts")
)
"""Every class of processors."""

__all__ = [item.__name__ for item in PROCESSORS]
