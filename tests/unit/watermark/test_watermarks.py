"""Green lists, seeds, detectors and tails: what a person can check."""

from __future__ import annotations

import math
import pickle
from decimal import Decimal, getcontext
from typing import Any

import numpy as np
import pytest
from profiles import amount, spread

from decoding.engine.request_pipeline import pipeline_of
from decoding.errors import ParameterError
from decoding.generate import generate
from decoding.history import History
from decoding.kernels.colours import tokens_below
from decoding.kernels.program import Opcode
from decoding.models import LanguageModel
from decoding.parameters import GenerationParameters
from decoding.pipeline import Fused, chain
from decoding.processors import (
    GumbelWatermark,
    RepetitionPenalty,
    SynthIdWatermark,
    Watermark,
)
from decoding.watermark import (
    Detector,
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
    detect,
    detect_gumbel,
    false_positive_rate,
    lefthash,
    minhash,
    philox,
    selfhash,
    skipgram,
    tgi,
    transformers_selfhash,
)
from decoding.watermark.prf import GREEN, token_word
from decoding.watermark.scheme import MILLIONTH_PRIME, unpacked
from decoding.watermark.shuffle import packed_prefix, shuffled_prefix
from decoding.watermark.tails import binomial_tail, gamma_tail, normal_tail

PRESETS = [
    tgi({}),
    lefthash(),
    selfhash(),
    minhash(),
    skipgram(),
    transformers_selfhash(context_width=3),
    philox(context_width=2),
]


class TestLists:
    def test_a_green_list_is_its_front(self) -> None:
        green = lefthash(0.3).green([1, 2, 5], 10)
        assert np.flatnonzero(green).tolist() == [4, 7, 8]

    @pytest.mark.parametrize("size", spread([1, 2, 31, 32, 33, 1000], 3))
    @pytest.mark.parametrize("colouring", [Permuted(), Thresholded()], ids=repr)
    @pytest.mark.parametrize("gamma", [0.25, 0.5])
    def test_membership_is_the_list(self, colouring: Any, gamma: float, size: int) -> None:
        for seed in (0, 5, 2**64 - 2):
            green = unpacked(colouring.packed(seed, gamma, size), size)
            by_token = [colouring.is_green(seed, gamma, size, token) for token in range(size)]
            assert green.tolist() == by_token
            assert not colouring.is_green(seed, gamma, size, size)

    def test_with_and_without_numba_they_are_the_same(self) -> None:
        pytest.importorskip("numba")
        from decoding.watermark.shuffle import _compiled, _first_of_list, _partners, mt19937_words

        compiled = _compiled()
        assert compiled is not None
        for seed, size, count in ((0, 1000, 999), (7, 1000, 250), (77429315, 50257, 25128)):
            partners = _partners(mt19937_words(seed, count), size)
            order = np.arange(size, dtype=np.int32)
            compiled(order, partners)
            assert np.array_equal(order[:count], _first_of_list(partners.tolist(), size))

    @pytest.mark.parametrize(
        "gamma",
        [0.01, 0.25, *(pytest.param(gamma, marks=pytest.mark.slow) for gamma in (0.5, 0.9))],
    )
    def test_a_packed_list_is_the_prefix_of_the_shuffle(self, gamma: float) -> None:
        for size in (1, 2, 31, 32, 33, 64, 65, 623, 1249, 80_000):
            seed, count = 15485863 * size, int(size * gamma)
            green = np.flatnonzero(unpacked(packed_prefix(seed, size, count), size + 40))
            assert np.array_equal(green, np.sort(shuffled_prefix(seed, size, count)))

    def test_a_thresholded_list_has_the_stated_share(self) -> None:
        scheme = philox(0.3)
        share = np.mean([scheme.green([context], 4000).mean() for context in range(50)])
        assert share == pytest.approx(0.3, abs=0.005)
        assert scheme.share(4000) == pytest.approx(0.3)
        assert np.array_equal(scheme.green([9], 100), scheme.green([9], 4000)[:100])

    @pytest.mark.parametrize("bound", [1, 2**31, 3 * 2**30 + 7, 2**32 - 1, 2**32])
    @pytest.mark.parametrize("size", [1, 31, 32, 33, 1001])
    def test_words_are_those_of_the_reference(self, size: int, bound: int) -> None:
        seed = 123456789012345678
        words = tokens_below(seed, size, GREEN, bound)
        bits = np.unpackbits(words.astype("<i4").view(np.uint8), bitorder="little")
        assert len(words) == (size + 31) // 32
        assert not bits[size:].any()
        assert bits[:size].tolist() == [
            token_word(seed, token, GREEN) < bound for token in range(size)
        ]


class TestSeeds:
    @pytest.mark.parametrize(
        ("seeding", "window", "seed"),
        [
            (LastToken(3), [1, 2, 5], 7 * 5),
            (TokenSum(3), [1, 2, 5], 7 * 8),
            (LastToken(), [2**62], 7 * 2**62 - 1 * (2**64 - 1)),
        ],
    )
    def test_products(self, seeding: Any, window: list[int], seed: int) -> None:
        assert seeding.seed(window, 7) == seed

    def test_tables(self) -> None:
        table = shuffled_prefix(2971215073, 1_000_003, 1_000_003).astype(object) + 1
        key = MILLIONTH_PRIME
        window = [17, 1_000_003 + 4, 9]
        entries = [table[key * token % 1_000_003] for token in window]
        assert MinHash(3).seed(window, key) == min(entries)
        assert SkipGram(3).seed(window, key) == entries[0]
        products = [key * table[token % 1_000_003] * table[9] for token in window]
        wrapped = [(item + 2**63) % 2**64 - 2**63 for item in products]
        assert SelfHash(3).seed(window, key) == min(wrapped) % (2**64 - 1)

    def test_a_product_beyond_64_bits_wraps(self) -> None:
        # as torch's does: 2⁶³ · F² − F² is −F² modulo 2⁶⁴ where F is even
        table = shuffled_prefix(2971215073, 1_000_003, 1_000_003)
        token = int(np.flatnonzero(table % 2 == 1)[0])
        entry = int(table[token]) + 1
        assert SelfHash(1).seed([token], 2**63 - 1) == 2**64 - 1 - entry**2

    @pytest.mark.parametrize(
        ("make", "name"),
        [
            (lambda: LastToken(0), "width"),
            (lambda: lefthash(0.0), "gamma"),
            (lambda: lefthash(1.0), "gamma"),
            (lambda: lefthash(delta=math.inf), "delta"),
            (lambda: lefthash(key=-1), "key"),
            (lambda: Scheme(LastToken(), candidates=0), "candidates"),
            (lambda: lefthash().green([], 9), "context"),
            (lambda: lefthash().green([1], 0), "vocab_size"),
            (lambda: selfhash().green([1, 2, 3], 9), "seeding"),
            (lambda: tgi({"WATERMARK_GAMMA": "much"}), "WATERMARK_GAMMA"),
            (lambda: tgi({"WATERMARK_GAMMA": "2"}), "gamma"),
            (lambda: Watermark(lefthash(), 0), "vocab_size"),
            (lambda: Detector(lefthash(), 0), "vocab_size"),
            (lambda: detect([1, 2], lefthash(), 9, window_sizes=[0]), "window_sizes"),
            (lambda: SynthId(()), "keys"),
            (lambda: SynthId((1,), ngram_len=1), "ngram_len"),
            (lambda: SynthId((1,), table_size=0), "table_size"),
            (lambda: SynthId((1,), history_size=0), "history_size"),
            (lambda: GumbelScheme(2**64), "key"),
            (lambda: GumbelScheme(1, context_width=0), "context_width"),
            (lambda: false_positive_rate(3.0, 0, 0.25), "scored"),
        ],
    )
    def test_what_is_outside_its_range_is_refused(self, make: Any, name: str) -> None:
        with pytest.raises(ParameterError, match=f"^{name}"):
            make()


class TestEmbedding:
    def test_the_last_token_of_the_row_itself_counts(self) -> None:
        # TGI seeds the shorter row of a batch with padding
        logits = np.zeros((2, 40), np.float32)
        mark = Watermark(tgi({}))
        together = mark(logits, History.of([[5], [1, 2, 3, 9]]))
        assert np.array_equal(together[:1], mark(logits[:1], History.of([[5]])))
        assert not np.array_equal(together[0], together[1])

    @pytest.mark.parametrize("scheme", PRESETS, ids=repr)
    def test_too_short_a_context_is_left_alone(self, scheme: Scheme) -> None:
        logits = np.zeros((1, 64), np.float32)
        context = list(range(scheme.context_width))
        if context:
            assert not Watermark(scheme)(logits, History.of([context[1:]])).any()
        assert Watermark(scheme)(logits, History.of([context])).any()

    def test_padded_logits_are_left_alone(self) -> None:
        history = History.of([[5]])
        wide = Watermark(lefthash(0.9), 10)(np.zeros((1, 64)), history)
        assert not wide[0, 10:].any()
        assert np.array_equal(wide[:, :10], Watermark(lefthash(0.9))(np.zeros((1, 10)), history))

    def test_a_selfhash_tries_the_likeliest_only(self) -> None:
        scheme = Scheme(SelfHash(2), 0.9, 1.0, candidates=3)
        row = np.array([[0.0, 5.0, 3.0, 3.0, 3.0, -np.inf]])
        green = Watermark(scheme).green(row[0], np.array([4], np.int32))
        assert set(np.flatnonzero(green)) <= {1, 2, 3}
        for token in np.flatnonzero(green):
            assert scheme.is_green([4], int(token), 6)

    @pytest.mark.parametrize("scheme", PRESETS, ids=repr)
    def test_what_lowers(self, scheme: Scheme) -> None:
        assert Watermark(scheme).lower() is None
        lowered = Watermark(scheme, 40).lower()
        if scheme.seeding.reads_candidate:
            assert lowered is None
            return
        assert lowered is not None
        assert [item.opcode for item in lowered] == [Opcode.BITMASK_BIAS]

    def test_copies_begin_with_no_lists(self) -> None:
        mark = Watermark(lefthash(), 40)
        before = mark(np.zeros((1, 40)), History.of([[3]]))
        again = pickle.loads(pickle.dumps(mark))  # our own bytes
        assert again == mark
        assert np.array_equal(again(np.zeros((1, 40)), History.of([[3]])), before)

    def test_a_row_without_support_passes_through(self) -> None:
        dead = np.full((1, 9), -np.inf, np.float32)
        history = History.of([[1]], [[2, 3, 4, 5]])
        for scheme in PRESETS:
            assert np.array_equal(Watermark(scheme)(dead, history), dead)
        for processor in (SynthIdWatermark(SynthId((1, 2))), GumbelWatermark(GumbelScheme(1))):
            assert np.array_equal(processor(dead, history), dead)


class TestRequests:
    PARAMETERS = GenerationParameters(watermark=True, repetition_penalty=1.2)

    def test_it_comes_first(self) -> None:
        assert pipeline_of(self.PARAMETERS, 50) == chain(
            Watermark(tgi(), 50), RepetitionPenalty(1.2)
        )
        (fused,) = pipeline_of(self.PARAMETERS, 50).segments
        assert isinstance(fused, Fused)

    def test_without_a_known_width_it_is_that_of_the_logits(self) -> None:
        first = pipeline_of(self.PARAMETERS).processors[0]
        assert first == Watermark(tgi())

    @pytest.mark.parametrize("width", [None, 300])
    def test_generated_text_is_found_whatever_the_batch(self, width: int | None) -> None:
        def forward(sequences: list[list[int]]) -> Any:
            seeds = [sum(sequence) for sequence in sequences]
            return np.stack([np.random.default_rng(seed).standard_normal(300) for seed in seeds])

        model = LanguageModel(forward=forward, logits_width=width)
        marked = GenerationParameters(watermark=True, max_new_tokens=60, temperature=0.9, seed=3)
        plain = GenerationParameters(max_new_tokens=70, temperature=0.9, seed=3)
        alone = generate(model, [5], marked)
        together = generate(model, [[1, 2, 3, 4], [5], [5]], [plain, marked, plain])
        assert together[1] == alone
        scheme = tgi()
        assert detect([token.id for token in alone.tokens], scheme, 300).p_value < 1e-6
        for unmarked in (together[0], together[2]):
            assert detect([token.id for token in unmarked.tokens], scheme, 300).p_value > 1e-3

    def test_the_defaults_are_tgis_and_the_environment_may_change_them(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("WATERMARK_GAMMA", raising=False)
        monkeypatch.delenv("WATERMARK_DELTA", raising=False)
        assert tgi() == Scheme(LastToken(), 0.5, 2.0, 15485863)
        monkeypatch.setenv("WATERMARK_GAMMA", "0.25")
        monkeypatch.setenv("WATERMARK_DELTA", "3")
        assert tgi() == Scheme(LastToken(), 0.25, 3.0)


class TestDetection:
    SCHEME = lefthash(0.5)

    def colour(self, context: int, token: int) -> bool:
        return bool(self.SCHEME.green([context], 20)[token])

    def test_every_field(self) -> None:
        tokens = [3, 5, 1, 3, 5]
        found = detect(tokens, self.SCHEME, 20)
        want = [self.colour(3, 5), self.colour(5, 1), self.colour(1, 3)]
        assert found.colours == (None, *want, None)
        assert (found.scored, found.green) == (3, sum(want))
        assert found.fraction == sum(want) / 3
        assert found.z == pytest.approx((sum(want) - 1.5) / math.sqrt(0.75))
        assert found.p_value == pytest.approx(binomial_tail(sum(want), 3, 0.5))
        assert found.window is None

    def test_repeats_and_the_prompt(self) -> None:
        tokens = [3, 5, 1, 3, 5]
        assert detect(tokens, self.SCHEME, 20, counts_repeats=True).scored == 4
        prompted = detect(tokens, self.SCHEME, 20, prompt=[9, 9])
        assert prompted.colours[0] is self.colour(9, 3)
        assert prompted.scored == 4

    @pytest.mark.parametrize("tokens", [[], [4]])
    def test_nothing_to_count(self, tokens: list[int]) -> None:
        found = detect(tokens, self.SCHEME, 20, window_sizes=[3])
        assert (found.scored, found.z, found.p_value, found.fraction) == (0, 0.0, 1.0, 0.0)
        assert found.window is None

    def test_no_vocabulary_has_half_a_green_token(self) -> None:
        assert detect([0, 0, 0], lefthash(0.25), 1).p_value == 1.0

    def test_the_greenest_stretch(self) -> None:
        rng = np.random.default_rng(0)
        tokens = rng.integers(0, 500, 300).tolist()
        for place in range(100, 140):
            green = np.flatnonzero(self.SCHEME.green([tokens[place - 1]], 500))
            tokens[place] = int(rng.choice(green))
        found = detect(tokens, self.SCHEME, 500, window_sizes=[40, 80])
        window = found.window
        assert window is not None
        assert window.tried == (300 - 40 + 1) + (300 - 80 + 1)
        assert abs(window.start - 100) < 5
        assert window.z == pytest.approx((window.green - 20) / math.sqrt(10))
        single = binomial_tail(window.green, window.scored, 0.5)
        assert window.p_value == pytest.approx(single * window.tried)
        assert window.p_value < 1e-6 < found.p_value

    def test_the_rate_of_a_threshold(self) -> None:
        # z > 1 of 4 coins: 4 heads (z = 2); 3 heads have z = 1
        assert false_positive_rate(1.0, 4, 0.5) == pytest.approx(1 / 16)
        assert false_positive_rate(0.99, 4, 0.5) == pytest.approx(5 / 16)

    @pytest.mark.slow
    @pytest.mark.parametrize("scheme", PRESETS, ids=repr)
    def test_marked_text_is_found_whatever_the_batch(self, scheme: Scheme) -> None:
        """Rows of different lengths are drawn together; each is found by itself."""
        rng = np.random.default_rng(7)
        mark = Watermark(scheme, 300)
        rows = [[1], [2, 3, 4, 5, 6], [7, 8, 9]]
        prompts = [list(row) for row in rows]
        for _ in range(120):
            logits = rng.standard_normal((3, 300)) * 0.5
            history = History.of(rows)
            biased = mark(logits, history) + rng.gumbel(size=logits.shape)
            if scheme.seeding.reads_candidate:  # only the likeliest are tried
                top = np.argsort(-logits, axis=1)[:, scheme.candidates :]
                np.put_along_axis(biased, top, -np.inf, axis=1)
            for row, token in zip(rows, biased.argmax(axis=1).tolist(), strict=True):
                row.append(token)
        other = Scheme(scheme.seeding, scheme.gamma, 2.0, 12345, scheme.colouring)
        for row, prompt in zip(rows, prompts, strict=True):
            tokens = row[len(prompt) :]
            assert detect(tokens, scheme, 300).p_value < 1e-6
            assert detect(tokens, scheme, 300, prompt=prompt).p_value < 1e-6
            assert detect(tokens, other, 300).p_value > 1e-4


class TestGumbel:
    SCHEME = GumbelScheme(99, context_width=2)

    def test_it_keeps_the_token_of_the_greatest_score(self) -> None:
        probs = np.array([0.5, 0.3, 0.2])
        kept = GumbelWatermark(self.SCHEME)(np.log(probs[np.newaxis]), History.of([[4, 5]]))
        uniform = [self.SCHEME.uniform([4, 5], token) for token in range(3)]
        best = int(np.argmax(np.log(uniform) / probs))
        assert np.flatnonzero(kept[0] > -np.inf).tolist() == [best]
        assert kept[0, best] == np.log(probs[best])

    def test_over_keys_the_token_has_the_rows_law(self) -> None:
        logits = np.log(np.array([[0.5, 0.3, 0.2]]))
        history = History.of([[4, 5]])
        drawn = [
            int(GumbelWatermark(GumbelScheme(key, 2))(logits, history)[0].argmax())
            for key in range(amount(check=500, full=2000))
        ]
        share = np.bincount(drawn) / len(drawn)
        np.testing.assert_allclose(share, [0.5, 0.3, 0.2], atol=amount(check=8, full=4) / 100)

    def test_a_context_draws_once(self) -> None:
        mark = GumbelWatermark(self.SCHEME)
        logits = np.zeros((1, 50))
        assert np.isneginf(mark(logits, History.of([[5, 6]], [[7]]))).sum() == 49
        assert np.isneginf(mark(logits, History.of([[5]], [[6]]))).sum() == 49
        assert np.array_equal(mark(logits, History.of([[1]], [[5, 6, 5, 6]])), logits)
        # a repetition within the prompt drew nothing
        assert np.isneginf(mark(logits, History.of([[5, 6, 5, 6]]))).any()
        assert np.array_equal(mark(logits, History.of([[5]])), logits)

    def test_marked_text_is_found(self) -> None:
        rng = np.random.default_rng(1)
        generated: list[int] = []
        for _ in range(80):
            logits = rng.standard_normal((1, 200))
            kept = GumbelWatermark(self.SCHEME)(logits, History.of([[1, 2]], [generated]))
            generated.append(int(kept.argmax()))
        assert detect_gumbel(generated, self.SCHEME, prompt=[1, 2]).scored == 80
        assert detect_gumbel(generated, self.SCHEME).p_value < 1e-9
        assert detect_gumbel(generated, GumbelScheme(98, 2)).p_value > 1e-3
        found = detect_gumbel(generated, self.SCHEME)
        assert found.scores[:2] == (None, None)
        assert found.total == pytest.approx(sum(score or 0.0 for score in found.scores))


class TestTails:
    @pytest.mark.parametrize(("trials", "share"), [(1, 0.5), (10, 0.25), (200, 0.5), (2000, 0.1)])
    def test_binomial(self, trials: int, share: float) -> None:
        getcontext().prec = 60
        chance, above = Decimal(share), Decimal(0)
        for successes in range(trials, -1, -1):
            ways = math.comb(trials, successes)
            above += ways * chance**successes * (1 - chance) ** (trials - successes)
            if above > Decimal("1e-300"):
                got = binomial_tail(successes, trials, share)
                assert got == pytest.approx(float(above), rel=1e-9)
        assert binomial_tail(trials + 1, trials, share) == 0.0

    @pytest.mark.parametrize("count", [1, 5, 100, 500])
    @pytest.mark.parametrize("ratio", [0.01, 0.5, 1.0, 1.3, 3.0])
    def test_gamma(self, count: int, ratio: float) -> None:
        getcontext().prec = 60
        total = Decimal(ratio * count)
        terms = sum(total**k / Decimal(math.factorial(k)) for k in range(count))
        want = float((-total).exp() * terms)
        assert gamma_tail(float(total), count) == pytest.approx(want, rel=1e-9, abs=1e-15)

    def test_ends(self) -> None:
        assert gamma_tail(5.0, 0) == gamma_tail(0.0, 5) == 1.0
        assert normal_tail(4.0) == pytest.approx(3.167e-5, rel=1e-3)
        assert 0.0 <= gamma_tail(1e6, 100) < 1e-300


def test_key_matters_beyond_32_bits_in_ours_only() -> None:
    high = MILLIONTH_PRIME + 2**40
    assert np.array_equal(lefthash(key=high).green([5], 99), lefthash().green([5], 99))
    assert not np.array_equal(philox(key=high).green([5], 99), philox().green([5], 99))
