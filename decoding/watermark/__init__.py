"""Watermark schemes, their keys, and the detection of a scheme in token ids.

The processors that embed these watermarks are in `decoding.processors`. Texts are sequences of
token ids; nothing here needs logits or a model.
"""

from decoding.watermark.bayesian import BayesianDetector, fit_bayesian
from decoding.watermark.detect import Detection, Detector, Window, detect, false_positive_rate
from decoding.watermark.detect_synthid import SynthIdDetection, detect_synthid, g_values
from decoding.watermark.gumbel import GumbelDetection, GumbelScheme, detect_gumbel
from decoding.watermark.presets import (
    lefthash,
    minhash,
    philox,
    selfhash,
    skipgram,
    tgi,
    transformers_selfhash,
)
from decoding.watermark.scheme import Colouring, Permuted, Scheme, Thresholded
from decoding.watermark.seeding import (
    ContextHash,
    LastToken,
    MinHash,
    Seeding,
    SelfHash,
    SkipGram,
    TokenSum,
)
from decoding.watermark.synthid import SynthId

__all__ = [
    "BayesianDetector",
    "Colouring",
    "ContextHash",
    "Detection",
    "Detector",
    "GumbelDetection",
    "GumbelScheme",
    "LastToken",
    "MinHash",
    "Permuted",
    "Scheme",
    "Seeding",
    "SelfHash",
    "SkipGram",
    "SynthId",
    "SynthIdDetection",
    "Thresholded",
    "TokenSum",
    "Window",
    "detect",
    "detect_gumbel",
    "detect_synthid",
    "false_positive_rate",
    "fit_bayesian",
    "g_values",
    "lefthash",
    "minhash",
    "philox",
    "selfhash",
    "skipgram",
    "tgi",
    "transformers_selfhash",
]
