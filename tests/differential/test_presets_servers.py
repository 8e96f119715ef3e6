"""The presets `tgi`, `vllm` and `sglang` against a second writing of their rules.

None of them is a test's dependency. Each oracle states the peer's rules over probabilities, one
token after the other, without a line of ours; what it leaves out is what we do not reproduce.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from preset_oracle import GONE, WIDTH, assert_preset_equals, cut, maybe, softmax

from decoding import Sample, Sampler, presets, sample
from decoding.history import History

EOS = (3, 5)


def likeliest_first(row: Any) -> list[int]:
    return sorted(range(len(row)), key=lambda index: (-row[index], index))


def only(row: Any, kept: Any) -> Any:
    return np.array([value if index in kept else GONE for index, value in enumerate(row)])


def ctrl(row: Any, seen: set[int], penalty: float) -> Any:
    row = row.copy()
    for token_id in seen:
        row[token_id] *= penalty if row[token_id] < 0 else 1 / penalty
    return row


def top_k_with_ties(row: Any, k: int) -> Any:
    kth = sorted(row, reverse=True)[min(k, len(row)) - 1]
    return only(row, {index for index, value in enumerate(row) if value >= kth})


def nucleus(row: Any, p: float) -> Any:
    probs, kept, mass = softmax(row), set(), 0.0
    for index in likeliest_first(row):
        if mass >= p:
            break
        kept.add(index)
        mass += probs[index]
    return only(row, kept)


def typical(row: Any, mass: float) -> Any:
    probs = softmax(row)
    alive = [index for index in range(len(row)) if probs[index] > 0]
    entropy = -sum(probs[index] * math.log(probs[index]) for index in alive)
    distance = {index: abs(-math.log(probs[index]) - entropy) for index in alive}
    total, cutoff = 0.0, math.inf
    for index in sorted(alive, key=lambda index: distance[index]):
        total, cutoff = total + probs[index], distance[index]
        if total >= mass:
            break
    return only(row, {index for index in alive if distance[index] <= cutoff})


def min_p(row: Any, fraction: float) -> Any:
    probs = softmax(row)
    return only(row, {i for i, p in enumerate(probs) if p >= fraction * max(probs) and p > 0})


def tgi(given: Any, row: Any, prompt: list[int], generated: list[int]) -> Any:
    row, text = row.astype(np.float64), prompt + generated
    row = ctrl(row, set(text), given.get("repetition_penalty", 1.0))
    for token_id in set(text):
        row[token_id] -= given.get("frequency_penalty", 0) * text.count(token_id) / len(text)
    row = row / given.get("temperature", 1.0)
    row = top_k_with_ties(row, given.get("top_k", len(row)))
    row = nucleus(row, given["top_p"]) if "top_p" in given else row
    return typical(row, given["typical_p"]) if "typical_p" in given else row


def vllm(given: Any, row: Any, prompt: list[int], generated: list[int]) -> Any:
    row = row.astype(np.float64)
    if "allowed_token_ids" in given:
        row = only(row, given["allowed_token_ids"])
    for *prefix, last in given.get("bad_words", ()):
        if generated[len(generated) - len(prefix) :] == prefix and len(generated) >= len(prefix):
            row[last] = GONE
    if len(generated) < given.get("min_tokens", 0):
        row[list(EOS)] = GONE
    for token_id, bias in given.get("logit_bias", {}).items():
        row[token_id] += max(-100.0, min(100.0, bias))
    row = ctrl(row, {*prompt, *generated}, given.get("repetition_penalty", 1.0))
    for token_id in set(generated):
        row[token_id] -= given.get("frequency_penalty", 0.0) * generated.count(token_id)
        row[token_id] -= given.get("presence_penalty", 0.0)
    if given.get("temperature") == 0.0:
        return row
    row = row / max(given.get("temperature", 1.0), 0.01)
    row = min_p(row, given.get("min_p", 0.0))
    k = given.get("top_k", 0)
    row = top_k_with_ties(row, k) if k > 0 else row
    return nucleus(row, given["top_p"]) if "top_p" in given else row


def sglang(given: Any, row: Any, prompt: list[int], generated: list[int]) -> Any:
    row = row.astype(np.float64)
    for token_id in set(generated):
        row[token_id] -= given.get("frequency_penalty", 0.0) * generated.count(token_id)
        row[token_id] -= given.get("presence_penalty", 0.0)
    if len(generated) < given.get("min_new_tokens", 0):
        row[list(EOS)] = GONE
    row = ctrl(row, set(generated), given.get("repetition_penalty", 1.0))
    for token_id, bias in given.get("logit_bias", {}).items():
        row[token_id] += bias
    if given.get("temperature") == 0.0:
        return row
    row = row / given.get("temperature", 1.0)
    probs, kept, mass = softmax(row), set(), 0.0
    k = given.get("top_k", -1)
    # The sums of a mass that equals top-p differ in their last bit.
    for rank, index in enumerate(likeliest_first(row)):
        if (k == -1 or rank < k) and mass <= given.get("top_p", 1.0) + 1e-12 and probs[index] > 0:
            kept.add(index)
        mass += probs[index]
    least = given.get("min_p", 0.0) * max(probs)
    return only(row, {index for index in kept if probs[index] >= least})


def draw_tgi(generator: np.random.Generator) -> dict[str, Any]:
    return maybe(
        generator,
        repetition_penalty=float(generator.uniform(0.5, 2)),
        frequency_penalty=float(generator.uniform(-2, 2)),
        temperature=float(generator.uniform(0.3, 2.5)),
        top_k=int(generator.integers(1, 50)),
        top_p=cut(generator),
        typical_p=cut(generator),
    )


def draw_vllm(generator: np.random.Generator) -> dict[str, Any]:
    ids = generator.permutation(WIDTH).tolist()
    temperature = float(generator.uniform(0.3, 2.0))
    return maybe(
        generator,
        allowed_token_ids=ids[:30],
        bad_words=[[ids[0]], [0, 1], [1, ids[1]], [0, 0, 1]],
        min_tokens=int(generator.integers(0, 40)),
        logit_bias={ids[2]: 3.0, ids[3]: -2.0, ids[4]: -200.0},
        repetition_penalty=float(generator.uniform(0.5, 2)),
        frequency_penalty=float(generator.uniform(-0.5, 0.5)),
        presence_penalty=float(generator.uniform(-2, 2)),
        temperature=0.0 if generator.random() < 0.1 else temperature,
        min_p=cut(generator) ** 3,
        top_k=int(generator.integers(-1, 50)),
        top_p=cut(generator),
    )


def draw_sglang(generator: np.random.Generator) -> dict[str, Any]:
    ids = generator.permutation(WIDTH).tolist()
    temperature = float(generator.uniform(0.3, 2.0))
    return maybe(
        generator,
        frequency_penalty=float(generator.uniform(-0.5, 0.5)),
        presence_penalty=float(generator.uniform(-2, 2)),
        min_new_tokens=int(generator.integers(0, 40)),
        repetition_penalty=float(generator.uniform(0.5, 2)),
        logit_bias={ids[2]: 3.0, ids[3]: -2.0, ids[4]: GONE},
        temperature=0.0 if generator.random() < 0.1 else temperature,
        top_k=int(generator.integers(1, 50)),
        top_p=cut(generator),
        min_p=cut(generator) ** 3,
    )


def is_greedy(given: Any) -> bool:
    return given.get("temperature") == 0.0


def test_tgi() -> None:
    assert_preset_equals(presets.tgi, draw_tgi, tgi)


def test_vllm() -> None:
    def preset(**given: Any) -> Any:
        return presets.vllm(stop_token_ids=EOS, **given)

    assert_preset_equals(preset, draw_vllm, vllm, is_greedy)


def test_sglang() -> None:
    def preset(**given: Any) -> Any:
        return presets.sglang(stop_token_ids=EOS, **given)

    assert_preset_equals(preset, draw_sglang, sglang, is_greedy)


@pytest.mark.parametrize(("probs", "p"), [([0.5, 0.25, 0.25], 0.5), ([0.25] * 4, 0.5)])
def test_sglang_keeps_a_token_more_where_the_mass_equals_top_p(
    probs: list[float], p: float
) -> None:
    row = np.log(probs)
    got = presets.sglang(top_p=p)(row[None], History.empty(1))[0]
    want = sglang({"top_p": p}, row, [], [])
    assert np.array_equal(got > GONE, want > GONE)
    assert (got > GONE).sum() == (nucleus(row, p) > GONE).sum() + 1


PADDED = [0, 1, 1, 2]
"""A row of TGI's batch: token 0 is padding."""


@pytest.mark.xfail(strict=True, reason="TGI counts and penalises a shorter row's padding")
@pytest.mark.parametrize("name", ["frequency_penalty", "repetition_penalty"])
def test_tgi_penalises_padding(name: str) -> None:
    row = np.ones(3)
    got = presets.tgi(**{name: 1.5})(row[None], History.of([PADDED[1:]]))[0]
    np.testing.assert_allclose(got, tgi({name: 1.5}, row, PADDED, []))


@pytest.mark.xfail(strict=True, reason="TGI's CPU formula boosts negative logits of seen tokens")
def test_tgi_frequency_penalty_on_a_cpu() -> None:
    row = np.array([-2.0, 1.0])
    got = presets.tgi(frequency_penalty=1.0)(row[None], History.of([[0]]))[0]
    # Adds −count · z · α where z < 0; it skips id 0 as padding, which a shift of ids hides.
    np.testing.assert_allclose(got[0], row[0] - 1 * row[0] * 1.0)


@pytest.mark.xfail(
    strict=True, reason="in TGI's batches a k beyond the vocabulary is an IndexError"
)
def test_tgi_top_k_beyond_the_vocabulary() -> None:
    with pytest.raises(IndexError):
        presets.tgi(top_k=5)(np.zeros((1, 3)), History.empty(1))


@pytest.mark.xfail(
    strict=True, reason="of a tie at top-p's cut, TGI keeps the highest ids on a CPU"
)
def test_tgi_ties_at_the_cut_of_top_p() -> None:
    got = presets.tgi(top_p=0.75)(np.log([[0.5, 0.25, 0.25]]), History.empty(1))[0]
    assert (got > GONE).tolist() == [True, False, True]


@pytest.mark.xfail(strict=True, reason="of a tie at top-p's cut, vLLM's sort keeps the highest ids")
def test_vllm_ties_at_the_cut_of_top_p() -> None:
    got = presets.vllm(top_p=0.75)(np.log([[0.5, 0.25, 0.25]]), History.empty(1))[0]
    assert (got > GONE).tolist() == [True, False, True]


@pytest.mark.xfail(strict=True, reason="a batch-mate's min-p makes SGLang renormalise after top-k")
def test_sglang_beside_a_row_with_min_p() -> None:
    row = np.log([0.4, 0.3, 0.2, 0.1])
    got = presets.sglang(top_k=2, top_p=0.5)(row[None], History.empty(1))[0]
    # 0.4 is 0.57 of the two that top-k keeps.
    assert np.array_equal(got > GONE, nucleus(top_k_with_ties(row, 2), 0.5) > GONE)


@pytest.mark.xfail(strict=True, reason="they draw from a row with NaN, TGI and vLLM token 0")
@pytest.mark.parametrize("preset", [presets.tgi, presets.vllm, presets.sglang])
def test_a_nan_is_drawn(preset: Any) -> None:
    row = np.array([[0.0, math.nan, 1.0]], np.float32)
    [drawn] = sample(row, History.empty(1), [Sampler(preset(temperature=0.5), seed=1)])
    assert isinstance(drawn, Sample)
