"""One idea a file: frozen dataclasses that state the mathematics of a processor.

Owns: parameters, their ranges, the definition, and what each processor lowers to.
Knows nothing of: other processors, the order they run in, requests or models.
"""

from decoding.processors.bitmask import Bitmask, BitmaskBias
from decoding.processors.gumbel_watermark import GumbelWatermark
from decoding.processors.logit_bias import LogitBias
from decoding.processors.min_p import MinP
from decoding.processors.penalties import FrequencyPenalty, PresencePenalty, RepetitionPenalty
from decoding.processors.synthid_watermark import SynthIdWatermark
from decoding.processors.temperature import Temperature
from decoding.processors.top_k import TopK
from decoding.processors.top_p import TopP
from decoding.processors.typical_p import TypicalP
from decoding.processors.watermark import Watermark

__all__ = [
    "Bitmask",
    "BitmaskBias",
    "FrequencyPenalty",
    "GumbelWatermark",
    "LogitBias",
    "MinP",
    "PresencePenalty",
    "RepetitionPenalty",
    "SynthIdWatermark",
    "Temperature",
    "TopK",
    "TopP",
    "TypicalP",
    "Watermark",
]
