"""Pipelines that between them have every instruction, by name."""

from __future__ import annotations

from decoding import chain
from decoding.processors import (
    Dry,
    DynamicTemperature,
    EpsilonCutoff,
    EtaCutoff,
    FrequencyPenalty,
    LogitBias,
    MinP,
    NoRepeatNgram,
    PLess,
    PresencePenalty,
    RepetitionPenalty,
    SuppressTokens,
    Temperature,
    TopA,
    TopH,
    TopK,
    TopNSigma,
    TopP,
    TypicalP,
    Watermark,
    Xtc,
)
from decoding.watermark import philox

SIX = {
    "top-k and top-p": chain(Temperature(0.8), TopK(50), TopP(0.9)),
    "top-p of flat rows": chain(RepetitionPenalty(1.2), Temperature(1.3), TopP(0.95)),
    "min-p": chain(FrequencyPenalty(0.3), PresencePenalty(0.2), Temperature(0.7), MinP(0.05)),
    "typical-p": chain(TypicalP(0.9), Temperature(0.9)),
    "deviation and DRY": chain(Dry(0.8), NoRepeatNgram(3), TopNSigma(1.5)),
    "XTC and eta": chain(EtaCutoff(1e-3), Xtc(0.5, 0.02, seed=3), LogitBias({7: 2.0})),
}
"""Those of the long trial."""

ALL = {
    **SIX,
    "none": chain(),
    "exactly k": chain(TopK(300, keep_ties=False)),
    "the likeliest": chain(TopK(1)),
    "top-p alone": chain(TopP(0.5)),
    "top-h": chain(TopH(0.4)),
    "epsilon": chain(EpsilonCutoff(2e-3)),
    "top-a": chain(TopA(0.2)),
    "p-less": chain(PLess()),
    "XTC with a floor": chain(Xtc(1.0, 0.01, min_tokens_to_keep=3, exempt=(3, 9))),
    "dynamic temperature": chain(DynamicTemperature(0.5, 1.5), MinP(0.02)),
    "green list": chain(Watermark(philox(), vocab_size=600), SuppressTokens((2, 650))),
}
