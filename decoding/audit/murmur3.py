"""For audits: the murmur3 noise of seeded draws in vLLM >= 0.32 and deterministic SGLang.

A word is the 32-bit MurmurHash3 (Appleby 2011, public domain) of 16 bytes,

    word = murmur3_x86_32(low half of seed | high half of seed | place | key), hash seed 0

with `place` the index of the last token before the one that is drawn, and `key` the token's id.
What differs is how a word becomes noise:

    VLLM            u = (word + ½) · 2⁻³² in float32,  noise = −ln(−ln(1 − u)), ln(1 − u) by a
                    series of degree 8 where u < ¼; scores in float32
    VLLM_FLOAT64    u = 53 bits of two words,  noise = −ln(−ln u); scores in float64
    SGLANG          u = word / (2³² − 1),  noise = −ln(−ln u), ln u ≤ −2⁻³²; scores in float64
    SGLANG_BY_RANK  as SGLANG, but `key` is the token's place among the kept ones, likeliest first

SGLang draws by rank where a request has top-k or top-p. A rank changes as soon as two logits change
places, so seeded claims under that law can be verified only with logits that are equal bit for bit.

Each operation is rounded once, as the text of the kernels says and Triton's interpreter runs it. A
device that fuses a product with a sum changes the last bit of a float32 score; the tolerance of
`decoding.audit.verify` covers that. Read in the wheels of vLLM 0.33.0
(`vllm/v1/worker/gpu/sample/gumbel.py`) and SGLang 0.5.23 (`sglang/srt/layers/sampler.py`,
`sglang/kernels/ops/sampling/murmur_hash.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

_WORD = 0xFFFFFFFF
_SECOND_WORD = 0x9E3779B9
"""What the hash of vLLM's second word begins with."""
_SMALLEST_COMPLEMENT = np.float32(2.0**-24)


def murmur3_words(
    keys: NDArray[np.int64], seed: int, place: int, start: int = 0
) -> NDArray[np.uint32]:
    """The 32-bit murmur3 hash of each key (token id or rank) with a seed and a place.

    keys: at least 0. seed: its low 64 bits count. place: its low 32 bits count. start: what the
    hash begins with.

    >>> murmur3_words(np.array([0, 1]), 42, 7).tolist()
    [1713287821, 2249025004]
    """
    state = start
    for word in (seed & _WORD, seed >> 32 & _WORD, place & _WORD):
        state = _mixed(state, word)
    mixed = (keys.astype(np.uint64) & np.uint64(_WORD)).astype(np.uint32)
    with np.errstate(over="ignore"):
        mixed *= np.uint32(0xCC9E2D51)
        mixed = _rotated(mixed, 15) * np.uint32(0x1B873593)
        mixed = _rotated(np.uint32(state) ^ mixed, 13) * np.uint32(5) + np.uint32(0xE6546B64)
        mixed ^= np.uint32(16)  # the length in bytes
        mixed ^= mixed >> np.uint32(16)
        mixed *= np.uint32(0x85EBCA6B)
        mixed ^= mixed >> np.uint32(13)
        mixed *= np.uint32(0xC2B2AE35)
        mixed ^= mixed >> np.uint32(16)
    return mixed


class Murmur3Kind(Enum):
    """The arithmetic by which vLLM or SGLang makes noise of murmur3 words; values name laws."""

    VLLM = "murmur3-vllm-1"
    VLLM_FLOAT64 = "murmur3-vllm-float64-1"
    SGLANG = "murmur3-sglang-1"
    SGLANG_BY_RANK = "murmur3-sglang-by-rank-1"


@dataclass(frozen=True, slots=True)
class Murmur3:
    """The `NoiseLaw` by which audits redo seeded draws of vLLM or SGLang; see the constants."""

    kind: Murmur3Kind

    @property
    def name(self) -> str:
        """The name of the law and its version."""
        return self.kind.value

    def scores(
        self, logits: NDArray[np.float64], token_ids: NDArray[np.int64], seed: int, position: int
    ) -> NDArray[np.float64]:
        """Scores of some tokens of one row; see `decoding.audit.noise.NoiseLaw`."""
        place = position - 1
        match self.kind:
            case Murmur3Kind.VLLM:
                single = float32_noise(murmur3_words(token_ids, seed, place))
                return (logits.astype(np.float32) + single).astype(np.float64)
            case Murmur3Kind.VLLM_FLOAT64:
                return logits + _noise_of_53_bits(token_ids, seed, place)
            case Murmur3Kind.SGLANG:
                return _logprobs(logits) + _sglang_noise(murmur3_words(token_ids, seed, place))
            case Murmur3Kind.SGLANG_BY_RANK:
                order = np.argsort(-logits, kind="stable")
                noise = np.empty(len(logits))
                noise[order] = _sglang_noise(murmur3_words(np.arange(len(logits)), seed, place))
                return _logprobs(logits) + noise


VLLM = Murmur3(Murmur3Kind.VLLM)
"""vLLM's seeded draws."""
VLLM_FLOAT64 = Murmur3(Murmur3Kind.VLLM_FLOAT64)
"""vLLM's seeded draws where it runs with `use_fp64_gumbel`."""
SGLANG = Murmur3(Murmur3Kind.SGLANG)
"""SGLang's draws in deterministic mode, of requests without top-k and top-p."""
SGLANG_BY_RANK = Murmur3(Murmur3Kind.SGLANG_BY_RANK)
"""SGLang's draws in deterministic mode, of requests with top-k or top-p."""


def float32_noise(words: NDArray[np.uint32]) -> NDArray[np.float32]:
    """vLLM's Gumbel noise of each word, in float32: −ln(−ln(1 − u))."""
    high = (words >> np.uint32(16)).astype(np.float32)
    low = (words & np.uint32(0xFFFF)).astype(np.float32)
    one, half = np.float32(1.0), np.float32(0.5)
    u = high * np.float32(2.0**-16) + (low + half) * np.float32(2.0**-32)
    series = np.full_like(u, 1.0 / 8.0)
    for degree in (7, 6, 5, 4, 3, 2, 1):
        series = np.float32(1.0 / degree) + u * series
    direct = np.log(np.maximum(one - u, _SMALLEST_COMPLEMENT))
    log_complement = np.where(u < np.float32(0.25), -u * series, direct)
    noise: NDArray[np.float32] = -np.log(-log_complement)
    return noise


def _noise_of_53_bits(token_ids: NDArray[np.int64], seed: int, place: int) -> NDArray[np.float64]:
    low = murmur3_words(token_ids, seed, place).astype(np.uint64)
    high = murmur3_words(token_ids, seed, place, _SECOND_WORD).astype(np.uint64)
    bits = ((high << np.uint64(32)) | low) >> np.uint64(11)
    u = (bits.astype(np.float64) + 0.5) * 2.0**-53
    u = np.where(u == 1.0, u - 2.0**-53, u)
    noise: NDArray[np.float64] = -np.log(-np.log(u))
    return noise


def _sglang_noise(words: NDArray[np.uint32]) -> NDArray[np.float64]:
    with np.errstate(divide="ignore"):
        log = np.log(words.astype(np.float64) / _WORD)
    log = np.clip(log, np.finfo(np.float64).min, -(2.0**-32))
    noise: NDArray[np.float64] = -np.log(-log)
    return noise


def _logprobs(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logprobs of logits; the softmax is in float32, as SGLang's."""
    single = logits.astype(np.float32)
    weights = np.exp(single - single.max())
    with np.errstate(divide="ignore"):
        found: NDArray[np.float64] = np.log(weights / weights.sum()).astype(np.float64)
    return found


def _mixed(state: int, word: int) -> int:
    word = word * 0xCC9E2D51 & _WORD
    word = (word << 15 | word >> 17) & _WORD
    state ^= word * 0x1B873593 & _WORD
    state = (state << 13 | state >> 19) & _WORD
    return (state * 5 + 0xE6546B64) & _WORD


def _rotated(words: NDArray[np.uint32], bits: int) -> NDArray[np.uint32]:
    return (words << np.uint32(bits)) | (words >> np.uint32(32 - bits))
