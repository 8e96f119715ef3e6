"""Public values survive pickle and copies."""

import copy
import dataclasses
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, find, settings

import decoding
from decoding import watermark
from decoding.engine.stopping import StopStrings
from decoding.history import History
from decoding.processors import PROCESSORS as PROCESSOR_CLASSES
from decoding.processors import __all__ as processor_names
from decoding.processors.adaptive_p import AdaptivePState
from decoding.processors.mirostat import MirostatState
from decoding.testing.strategies import made_of_fields
from decoding.vocabulary import Vocabulary
from decoding.watermark import (
    ContextHash,
    GumbelScheme,
    LastToken,
    MinHash,
    Permuted,
    Scheme,
    SelfHash,
    SkipGram,
    SynthId,
    Thresholded,
    TokenSum,
)


def flat(rows: list[list[int]]) -> Any:
    return np.zeros((len(rows), 5))


def plus_one(history: History) -> list[int]:
    return [len(history.row(0)) + 1]


def unconditional(history: History) -> Any:
    return np.zeros((len(history), 5))


PROCESSORS: list[Any] = [
    decoding.AdaptiveP(0.5),
    decoding.AllowedTokens((1, 2)),
    decoding.AtLeast(decoding.TopP(0.5), 2),
    decoding.BadWords([(1, 2)]),
    decoding.BeginSuppressTokens((1,)),
    decoding.Bitmask.of([1, 40]),
    decoding.BitmaskBias.of([1, 40], 2.0),
    decoding.ClassifierFreeGuidance(1.5, unconditional),
    decoding.Dry(0.8, breakers=(1,)),
    decoding.DynamicTemperature(1.0, 0.5),
    decoding.EncoderNoRepeatNgram(2),
    decoding.EncoderRepetitionPenalty(1.5),
    decoding.EpsilonCutoff(0.1),
    decoding.EtaCutoff(0.1),
    decoding.ExponentialLengthDecay(1, 1.5, (2,)),
    decoding.ForcedFirstToken(1),
    decoding.ForcedLastToken((1,), 3),
    decoding.FrequencyPenalty(0.5),
    decoding.GumbelWatermark(GumbelScheme(7)),
    decoding.LogitBias({1: 2.0, 3: -np.inf}),
    decoding.MinP(0.1),
    decoding.MinTokens(2, (1,)),
    decoding.Mirostat1(),
    decoding.Mirostat2(),
    decoding.NaNPolicy(),
    decoding.NoRepeatNgram(2),
    decoding.PrefixFunction(plus_one),
    decoding.PresencePenalty(0.5),
    decoding.Renormalise(),
    decoding.RepetitionPenalty(1.2),
    decoding.Scoped(decoding.PresencePenalty(0.5), "prompt", 4, (1,)),
    decoding.SequenceBias({(1, 2): 0.5}),
    decoding.SuppressTokens((1,)),
    decoding.SynthIdWatermark(SynthId((1, 2))),
    decoding.Temperature(0.7),
    decoding.TopH(0.5),
    decoding.TopK(3),
    decoding.TopNSigma(1.0),
    decoding.TopP(0.9),
    decoding.TypicalP(0.9),
    decoding.Watermark(Scheme(LastToken()), 9),
    decoding.Xtc(0.5, seed=3),
]
# A processor whose parameters are the numbers of a request's fields needs no line above.
PROCESSORS += [
    # Any one of them: shrinking it would take a second.
    find(made, lambda _: True, settings=settings(phases=[Phase.generate], database=None))
    for kind in PROCESSOR_CLASSES
    if not any(type(item) is kind for item in PROCESSORS)
    if (made := made_of_fields(kind)) is not None
]
NO_GRAMMAR = {"GrammarMask"}
"""The pickling of compiled grammars is tested with them."""

PIPELINE = decoding.chain(*PROCESSORS)
ASKED = decoding.GenerationParameters(
    seed=2**64 - 1,
    do_sample=True,
    stop=["a"],
    logit_bias={1: -np.inf},
    bad_words_ids=[[1, 2]],
    details=True,
    max_new_tokens=3,
    top_n_tokens=2,
    grammar=decoding.Grammar("json", {"type": "object"}),
)
RESPONSE = decoding.generate(
    flat, [1, 2], dataclasses.replace(ASKED, stop=(), grammar=None, bad_words_ids=())
)
EVENTS = list(decoding.stream(flat, [1], decoding.GenerationParameters(max_new_tokens=2)))
[SAMPLE] = decoding.sample(
    np.zeros((1, 5)), History.empty(1), [decoding.Sampler(decoding.Mirostat2(), 1, 2)]
)
TEXT = [1, 2, 3, 1, 2, 4] * 5

VALUES: dict[str, Any] = {
    "Backend": decoding.Backend.NUMPY,
    "Comparison": decoding.inspect.compare(decoding.TopK(2), decoding.TopP(0.5), np.zeros((1, 5))),
    "Details": RESPONSE.details,
    "FinishReason": RESPONSE.finish_reason,
    "GenerationParameters": ASKED,
    "Grammar": ASKED.grammar,
    "LanguageModel": decoding.LanguageModel(forward=flat, eos_token_ids=frozenset({1})),
    "Pipeline": PIPELINE,
    "Request": decoding.Request([1, 2], ASKED, decoding.TopP(0.5)),
    "Response": RESPONSE,
    "Sample": SAMPLE,
    "Sampler": decoding.Sampler(PIPELINE, 5, 2),
    "StreamEvent": EVENTS[-1],
    "Token": RESPONSE.tokens[0],
    "explanation": decoding.inspect.explain(decoding.TopK(2), np.zeros((1, 5))),
    "stops": StopStrings(("a", "ab")),
    "mirostat state": MirostatState(1.0),
    "adaptive-p state": AdaptivePState(1.0, 2.0),
    **{type(item).__name__: item for item in PROCESSORS},
}
WATERMARKS: dict[str, Any] = {
    "BayesianDetector": watermark.BayesianDetector(0.5, (0.1, 0.2), ((), (0.3,))),
    "ContextHash": ContextHash(2),
    "Detection": watermark.detect(TEXT, Scheme(LastToken()), 9),
    "Detector": watermark.Detector(Scheme(LastToken()), 9),
    "GumbelDetection": watermark.detect_gumbel(TEXT, GumbelScheme(7)),
    "GumbelScheme": GumbelScheme(7),
    "LastToken": LastToken(),
    "MinHash": MinHash(),
    "Permuted": Permuted(),
    "Scheme": Scheme(LastToken()),
    "SelfHash": SelfHash(),
    "SkipGram": SkipGram(),
    "SynthId": SynthId((1, 2)),
    "SynthIdDetection": watermark.detect_synthid(TEXT, SynthId((1, 2))),
    "Thresholded": Thresholded(),
    "TokenSum": TokenSum(),
    "Window": watermark.detect(TEXT, Scheme(LastToken()), 9, window_sizes=[5]).window,
}
FUNCTIONS = {
    name
    for module in (decoding, watermark)
    for name in module.__all__
    if callable(getattr(module, name)) and not isinstance(getattr(module, name), type)
}
NO_VALUES = {
    "BatchSampler": "runs",
    "Colouring": "a protocol",
    "DecodingError": "errors have tests of their own",
    "Engine": "runs",
    "Generation": "runs",
    "History": "arrays, which `==` does not compare; below",
    "Processor": "a protocol",
    "Seeding": "a protocol",
    "__version__": "text",
}


def pickled(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))  # our own bytes


TWICE: list[Callable[[Any], Any]] = [pickled, copy.copy, copy.deepcopy]


def test_every_public_name_is_in_a_table() -> None:
    listed = FUNCTIONS | set(NO_VALUES) | NO_GRAMMAR | set(VALUES) | set(WATERMARKS)
    assert {*decoding.__all__, *watermark.__all__} - listed == set()
    assert set(processor_names) - NO_GRAMMAR == {type(item).__name__ for item in PROCESSORS}


@pytest.mark.parametrize("name", [*VALUES, *WATERMARKS])
@pytest.mark.parametrize("via", TWICE)
def test_a_value_survives(name: str, via: Callable[[Any], Any]) -> None:
    value = VALUES.get(name, WATERMARKS.get(name))
    assert value is not None
    twin = via(value)
    assert twin == value
    assert type(twin) is type(value)
    assert repr(twin) == repr(value)
    assert via(twin) == value


@pytest.mark.parametrize("via", TWICE)
def test_a_sampler_draws_the_same_after_it(via: Callable[[Any], Any]) -> None:
    logits = np.random.default_rng(0).standard_normal((1, 60))
    history = History.of([[1, 2, 1]], [[2]])
    sampler = decoding.Sampler(decoding.chain(decoding.Dry(1.0), decoding.TopP(0.9)), 5, 3)
    assert decoding.sample(logits, history, [via(sampler)]) == decoding.sample(
        logits, history, [sampler]
    )


@pytest.mark.parametrize("via", TWICE)
def test_a_history_survives(via: Callable[[Any], Any]) -> None:
    history = History.of([[1, 2], [3]], [[4], []])
    twin = via(history)
    for entry in dataclasses.fields(History):
        assert np.array_equal(getattr(twin, entry.name), getattr(history, entry.name))


@pytest.mark.parametrize("via", TWICE)
def test_a_vocabulary_survives(via: Callable[[Any], Any]) -> None:
    vocabulary = Vocabulary([b"a", b"</s>"], frozenset({1}))
    twin = via(vocabulary)
    assert (twin.token_bytes, twin.special_token_ids) == ([b"a", b"</s>"], frozenset({1}))
