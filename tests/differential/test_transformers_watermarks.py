"""Watermarks against transformers, and green lists against torch.

Where we differ on purpose is a test of its own, with the reason.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from profiles import spread

from decoding.history import History
from decoding.models import LanguageModel
from decoding.parameters import GenerationParameters
from decoding.pipeline import chain
from decoding.processors import LogitBias, SynthIdWatermark, Watermark
from decoding.testing.laws import log_softmax
from decoding.watermark import (
    BayesianDetector,
    LastToken,
    Scheme,
    SelfHash,
    SynthId,
    detect,
    detect_synthid,
    lefthash,
    transformers_selfhash,
)
from decoding.watermark.scheme import unpacked
from decoding.watermark.shuffle import in_shuffled_prefix, packed_prefix, shuffled_prefix

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
process = pytest.importorskip("transformers.generation.logits_process")

KEYS = (654, 400, 836, 123, 340, 443, 597, 160, 57, 29, 590, 639)


def theirs(scheme: Scheme, vocab_size: int) -> dict[str, Any]:
    kind = "selfhash" if isinstance(scheme.seeding, SelfHash) else "lefthash"
    return {
        "greenlist_ratio": scheme.gamma,
        "bias": scheme.delta,
        "hashing_key": scheme.key,
        "seeding_scheme": kind,
        "context_width": scheme.seeding.width,
    }


def their_detector(scheme: Scheme, vocab_size: int, *, unique: bool = False) -> Any:
    config = SimpleNamespace(vocab_size=vocab_size, bos_token_id=-1, is_encoder_decoder=False)
    return transformers.WatermarkDetector(config, "cpu", theirs(scheme, vocab_size), unique)


@pytest.mark.parametrize("size", spread([1, 2, 10, 1000, 50257, 128256], 2))
def test_the_shuffle_is_randperm(size: int) -> None:
    seeds = [0, 1, 77429315, 2**32 - 1, 2**32, 2**40 + 17, 2**64 - 2]
    if size <= 1000:
        seeds += [int(seed) for seed in np.random.default_rng(size).integers(0, 2**63, 40)]
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        want = torch.randperm(size, generator=generator).numpy()
        for count in {0, size // 4, size // 2, size}:
            assert np.array_equal(shuffled_prefix(seed, size, count), want[:count])
            bits = unpacked(packed_prefix(seed, size, count), size)
            assert np.array_equal(np.flatnonzero(bits), np.sort(want[:count]))
            green = set(want[:count].tolist())
            for item in (0, size // 3, size - 1, size, -1, *want[max(0, count - 1) : count + 1]):
                assert in_shuffled_prefix(seed, size, count, int(item)) == (int(item) in green)


@pytest.mark.parametrize(
    "scheme",
    spread(
        [
            lefthash(),
            lefthash(0.5, 1.5, key=35317),
            lefthash(context_width=3),
            transformers_selfhash(),
            transformers_selfhash(0.4, context_width=4),
            transformers_selfhash(0.25, 3.0, key=2**31 - 1, context_width=2),
        ],
        2,
    ),
    ids=repr,
)
def test_the_bias_is_identical(scheme: Scheme) -> None:
    generator = np.random.default_rng(1)
    vocab_size = 200
    peer = process.WatermarkLogitsProcessor(vocab_size, "cpu", **theirs(scheme, vocab_size))
    for _ in range(8):
        logits = generator.standard_normal((3, vocab_size)).astype(np.float32)
        seen = generator.integers(0, vocab_size, (3, 6))
        got = Watermark(scheme)(logits, History.of(seen.tolist()))
        want = peer(torch.from_numpy(seen), torch.from_numpy(logits)).numpy()
        assert np.array_equal(got, want)


@pytest.mark.parametrize(
    ("scheme", "unique"),
    spread(
        [
            (lefthash(), False),
            (lefthash(), True),
            (lefthash(0.5), True),
            (lefthash(context_width=3), False),
            (transformers_selfhash(), False),
            (transformers_selfhash(), True),
            (transformers_selfhash(0.4, context_width=3), False),
        ],
        2,
    ),
    ids=repr,
)
def test_the_detectors_agree(scheme: Scheme, unique: bool) -> None:
    generator = np.random.default_rng(2)
    for length in (12, 60, 200):
        tokens = generator.integers(0, 90, length)
        peer = their_detector(scheme, 90, unique=unique)
        want = peer(torch.from_numpy(tokens[np.newaxis]), return_dict=True)
        got = detect(tokens.tolist(), scheme, 90, counts_repeats=not unique)
        assert got.scored == want.num_tokens_scored[0]
        assert got.green == want.num_green_tokens[0]
        assert got.z == pytest.approx(float(want.z_score[0]), abs=1e-9)
        assert got.fraction == pytest.approx(float(want.green_fraction[0]), abs=1e-12)


def test_one_coin_counts_once() -> None:
    # theirs tells apart n-grams whose colour is the same by definition: here only 3 and 5 matter
    scheme = lefthash(context_width=2)
    tokens = [1, 3, 5, 2, 3, 5]
    peer = their_detector(scheme, 90, unique=True)
    want = peer(torch.tensor([tokens]), return_dict=True)
    assert want.num_tokens_scored[0] == 4
    assert detect(tokens, scheme, 90).scored == 3


def test_a_context_that_is_just_long_enough_is_marked() -> None:
    # theirs waits for `context_width` tokens also where the candidate is one of the window
    scheme = transformers_selfhash(0.5, context_width=2)
    logits = np.zeros((1, 50), np.float32)
    peer = process.WatermarkLogitsProcessor(50, "cpu", **theirs(scheme, 50))
    assert (peer(torch.tensor([[7]]), torch.from_numpy(logits)) == 0).all()
    assert Watermark(scheme)(logits, History.of([[7]])).any()


def synthid(scheme: SynthId) -> Any:
    return process.SynthIDTextWatermarkLogitsProcessor(
        scheme.ngram_len,
        list(scheme.keys),
        scheme.table_size,
        scheme.table_seed,
        scheme.history_size,
        torch.device("cpu"),
        skip_first_ngram_calls=scheme.skips_first,
    )


@pytest.mark.parametrize(
    "scheme",
    spread(
        [
            SynthId(KEYS),
            SynthId(KEYS, ngram_len=2, table_size=1009, table_seed=42),
            SynthId(KEYS[:3], ngram_len=3, skips_first=True),
            SynthId(KEYS, ngram_len=2, history_size=3),
            SynthId((2**62 + 11, 3)),
        ],
        2,
    ),
    ids=repr,
)
def test_synthid_scores_are_equal(scheme: SynthId) -> None:
    generator = np.random.default_rng(3)
    peer, single, ours = synthid(scheme), synthid(scheme), SynthIdWatermark(scheme)
    prompts = [[5, 6, 7], [1, 2, 3]]
    generated: list[list[int]] = [[], []]
    for _ in range(40):
        # In float64, as they lose digits to 1 − mass; in float32 the probabilities are compared.
        logits = 3 * generator.standard_normal((2, 60))
        logits[:, 50:] = -np.inf
        history = History.of(prompts, generated)
        seen = torch.tensor([[*p, *g] for p, g in zip(prompts, generated, strict=True)])
        want = peer(seen, torch.from_numpy(logits)).numpy()
        got = log_softmax(ours(logits, history))
        alive = want > -1e30
        assert np.array_equal(alive, got > -np.inf)
        np.testing.assert_allclose(got[alive], log_softmax(want)[alive], rtol=0, atol=1e-5)
        narrow = logits.astype(np.float32)
        want = single(seen, torch.from_numpy(narrow)).softmax(-1).numpy()
        got = np.exp(log_softmax(ours(narrow, history)))
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-5)
        for row in generated:
            row.append(int(generator.integers(0, 4)))  # few tokens, so that contexts repeat


@pytest.mark.parametrize("scheme", [SynthId(KEYS), SynthId(KEYS, ngram_len=2, history_size=5)])
def test_synthid_means_are_equal(scheme: SynthId) -> None:
    peer = synthid(scheme)
    tokens = np.random.default_rng(4).integers(0, 12, 150)
    batch = torch.from_numpy(tokens[np.newaxis])
    g = peer.compute_g_values(batch)[0].numpy()
    mask = peer.compute_context_repetition_mask(batch)[0].numpy().astype(bool)
    got = detect_synthid(tokens.tolist(), scheme)
    assert got.scored == mask.sum()
    assert got.mean == pytest.approx(g[mask].mean(), abs=1e-12)
    weights = np.linspace(10, 1, scheme.depth)
    weighted = (g[mask] * weights).sum() / (weights.sum() * mask.sum())
    assert got.weighted_mean == pytest.approx(weighted, abs=1e-12)


@pytest.mark.slow  # their model imports all that models share
def test_bayesian_posteriors_are_equal() -> None:
    config = transformers.BayesianDetectorConfig(watermarking_depth=6, base_rate=0.3)
    peer = transformers.BayesianDetectorModel(config).double()
    likelihood = peer.likelihood_model_watermarked
    generator = np.random.default_rng(9)
    for deviation in (0.01, 1.0, 4.0):
        with torch.no_grad():
            for parameter in (likelihood.beta, likelihood.delta):
                parameter.copy_(torch.from_numpy(generator.normal(0, deviation, parameter.shape)))
        ours = BayesianDetector.from_transformers(peer.state_dict())
        g, mask = generator.integers(0, 2, (20, 30, 6)), generator.random((20, 30)) < 0.6
        with torch.no_grad():
            (want,) = peer(torch.from_numpy(g).double(), torch.from_numpy(mask).double())
        odds = np.array([ours.log_odds(text[kept]) for text, kept in zip(g, mask, strict=True)])
        np.testing.assert_allclose(1 / (1 + np.exp(-odds)), want.numpy(), rtol=0, atol=1e-6)


@pytest.mark.slow
def test_bayesian_detection_is_equal() -> None:
    """Repeated contexts, and all from the end token on, are left out by theirs; ours is told."""
    scheme, end = SynthId(KEYS, ngram_len=3), 5
    peer = transformers.BayesianDetectorModel(
        transformers.BayesianDetectorConfig(watermarking_depth=scheme.depth)
    ).double()
    with torch.no_grad():
        peer.likelihood_model_watermarked.beta.add_(3.0)
    their_detect = transformers.SynthIDTextWatermarkDetector(
        peer, synthid(scheme), SimpleNamespace(eos_token_id=end)
    )
    ours = BayesianDetector.from_transformers(peer.state_dict())
    texts = np.random.default_rng(5).integers(0, 12, (5, 60))
    texts[:, 40] = end
    with torch.no_grad():
        (want,) = their_detect(torch.from_numpy(texts))
    got = [ours.posterior(row[: row.index(end)], scheme) for row in texts.tolist()]
    np.testing.assert_allclose(got, want.numpy(), rtol=0, atol=1e-6)


@pytest.mark.model
class TestModel:
    PROMPT = "Once upon a time there was a lighthouse keeper who"
    TOKENS = 50

    def test_ours_is_detected_by_theirs(self, smollm2: LanguageModel) -> None:
        from decoding import generate

        width = smollm2.logits_width
        assert width is not None
        scheme = lefthash(0.25, 4.0)
        endless = LogitBias(dict.fromkeys(smollm2.eos_token_ids, -np.inf))
        parameters = GenerationParameters(max_new_tokens=self.TOKENS, do_sample=True, seed=5)
        marked, plain = (
            generate(smollm2, self.PROMPT, parameters, pipeline=pipeline)
            for pipeline in (chain(endless, Watermark(scheme, width)), chain(endless))
        )
        detector = their_detector(scheme, width, unique=True)
        for response, is_marked in ((marked, True), (plain, False)):
            tokens = [token.id for token in response.tokens]
            found = detector(torch.tensor([tokens]), z_threshold=4.0, return_dict=True)
            ours = detect(tokens, scheme, width)
            assert bool(found.prediction[0]) is is_marked
            assert ours.z == pytest.approx(float(found.z_score[0]), abs=1e-9)
            assert (ours.p_value < 1e-6) is is_marked

    def test_theirs_is_detected_by_ours(self, smollm2: LanguageModel) -> None:
        width = smollm2.logits_width
        assert width is not None
        assert smollm2.tokenizer is not None
        scheme = Scheme(LastToken(), 0.25, 4.0)
        peer = process.WatermarkLogitsProcessor(width, "cpu", **theirs(scheme, width))
        prompt = smollm2.tokenizer.encode(self.PROMPT)
        forward: Any = smollm2.forward
        (state,), logits = forward.prefill([prompt])
        generator = torch.Generator().manual_seed(0)
        tokens = list(prompt)
        for _ in range(self.TOKENS):
            scores = peer(torch.tensor([tokens]), logits.float())
            drawn = int(torch.multinomial(scores.softmax(-1), 1, generator=generator))
            tokens.append(drawn)
            logits = forward.extend([state], [[drawn]])
        generated = tokens[len(prompt) :]
        found = detect(generated, scheme, width, prompt=prompt)
        assert found.z > 5
        assert found.p_value < 1e-6
        assert found.colours[0] is not None
