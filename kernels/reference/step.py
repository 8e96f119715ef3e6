"""One decoding step of one row, in plain Python: run the program, draw, describe the draw."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from decoding.kernels.program import Instruction, Opcode, Part
from decoding.kernels.randomness import XTC_COIN
from decoding.kernels.reference import cutoffs, processors, rescaling, sequences
from decoding.kernels.reference.noise import token_noise
from decoding.kernels.reference.processors import log_softmax
from decoding.kernels.result import TIES_BEYOND_TOP_N


class RowResult(NamedTuple):
    """The token drawn for one row, with its logprobs, rank and support size."""

    token_id: int
    raw_logprob: float
    processed_logprob: float
    rank: int
    entropy: float
    support_size: int
    top: list[tuple[int, float, float]]
    """(token id, raw logprob, processed logprob), most likely first."""


def run(
    logits: Sequence[float],
    instructions: Sequence[Instruction],
    prompt: Sequence[int],
    generated: Sequence[int],
) -> list[float]:
    """Apply every instruction of a program to a row, in turn."""
    row = list(logits)
    for item in instructions:
        row = apply(row, item, prompt, generated)
    return row


def apply(
    row: list[float], item: Instruction, prompt: Sequence[int], generated: Sequence[int]
) -> list[float]:
    """Apply one instruction to a row."""
    first = item.first
    words = [] if item.bitmask is None else [int(word) for word in item.bitmask]
    text = scope_of(item, prompt, generated)
    penalised = [token_id for token_id in text if token_id not in item.token_ids]
    by_opcode: dict[Opcode, Callable[[], list[float]]] = {
        Opcode.TEMPERATURE: lambda: processors.temperature(row, first),
        Opcode.TOP_K: lambda: processors.top_k(row, int(first), keep_ties=item.second == 1.0),
        Opcode.TOP_P: lambda: processors.top_p(row, first),
        Opcode.CUT: lambda: cutoffs.cut(row, list(item.values)),
        Opcode.TYPICAL_P: lambda: processors.typical_p(row, first),
        Opcode.REPETITION_PENALTY: lambda: processors.repetition_penalty(row, penalised, first),
        Opcode.FREQUENCY_PENALTY: lambda: processors.frequency_penalty(row, penalised, first),
        Opcode.PRESENCE_PENALTY: lambda: processors.presence_penalty(row, penalised, first),
        Opcode.LOGIT_BIAS: lambda: processors.logit_bias(
            row, dict(zip(item.token_ids, item.values, strict=True))
        ),
        Opcode.BITMASK: lambda: processors.bitmask(row, words),
        Opcode.BITMASK_BIAS: lambda: processors.bitmask_bias(row, words, first),
        Opcode.DYNAMIC_TEMPERATURE: lambda: rescaling.dynamic_temperature(
            row, first, item.second, item.third
        ),
        Opcode.TOP_H: lambda: cutoffs.top_h(row, first),
        Opcode.XTC: lambda: (
            cutoffs.xtc(row, first, list(item.token_ids), int(item.second))
            if cutoffs.coin(item.seed, len(prompt) + len(generated), XTC_COIN) < item.third
            else row
        ),
        Opcode.LOGIT_SCALE: lambda: rescaling.logit_scale(
            row, list(item.token_ids), first, item.second
        ),
        Opcode.NO_REPEAT_NGRAM: lambda: sequences.no_repeat_ngram(
            row, text[: len(prompt)] if item.second == 1.0 else text, text, int(first)
        ),
        Opcode.DRY: lambda: sequences.dry(
            row, text, first, item.second, int(item.third), list(item.token_ids)
        ),
    }
    return by_opcode[item.opcode]()


def scope_of(item: Instruction, prompt: Sequence[int], generated: Sequence[int]) -> list[int]:
    """The tokens of the history that an instruction looks at."""
    parts = {
        Part.ALL: [*prompt, *generated],
        Part.PROMPT: list(prompt),
        Part.GENERATED: list(generated),
    }
    text = parts[item.part]
    return text[max(0, len(text) - item.last_n) :] if item.last_n > 0 else text


def step(
    raw: Sequence[float],
    processed: Sequence[float],
    *,
    seed: int | None,
    position: int,
    top_n: int = 0,
) -> RowResult:
    """Draw a token from the processed row: greedy where `seed` is None, else Gumbel-max."""
    support = [i for i, z in enumerate(processed) if z > -math.inf]
    if seed is None:
        chosen = max(support, key=lambda i: (processed[i], -i))
    else:
        chosen = max(
            support,
            key=lambda i: (processed[i] + token_noise(seed, position, i), -i),
        )
    raw_logprobs, logprobs = log_softmax(raw), log_softmax(processed)
    by_likelihood = sorted(support, key=lambda i: (-processed[i], i))
    top: list[int] = []
    if top_n > 0:
        nth = processed[by_likelihood[min(top_n, len(support)) - 1]]
        top = [i for i in by_likelihood if processed[i] >= nth][: top_n + TIES_BEYOND_TOP_N]
    return RowResult(
        chosen,
        raw_logprobs[chosen],
        logprobs[chosen],
        1 + sum(z > raw[chosen] for z in raw),
        -math.fsum(math.exp(logprobs[i]) * logprobs[i] for i in support),
        len(support),
        [(i, raw_logprobs[i], logprobs[i]) for i in top],
    )
