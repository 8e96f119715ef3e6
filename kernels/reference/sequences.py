"""Reference of edits by repeated sequences (n-gram bans, DRY, sequence bias), on lists."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

Row = list[float]


def no_repeat_ngram(logits: Row, source: Sequence[int], context: Sequence[int], size: int) -> Row:
    """Ban every token that completes an n-gram of `source` after `context`."""
    prefix = tuple(context[len(context) - size + 1 :])
    if len(context) < size - 1:
        return logits
    ngrams = {tuple(source[start : start + size]) for start in range(len(source) - size + 1)}
    return [-math.inf if (*prefix, i) in ngrams else z for i, z in enumerate(logits)]


def sequence_bias(
    logits: Row, context: Sequence[int], bias: Mapping[tuple[int, ...], float]
) -> Row:
    """z_i + Σ of the biases of the sequences that i completes."""

    def completes(token_id: int, sequence: tuple[int, ...]) -> bool:
        text = (*context, token_id)
        return len(text) >= len(sequence) and text[len(text) - len(sequence) :] == sequence

    return [
        z + sum(value for sequence, value in bias.items() if completes(i, sequence))
        for i, z in enumerate(logits)
    ]


def encoder_repetition_penalty(logits: Row, prompt: Collection[int], penalty: float) -> Row:
    """Prompt tokens: z / r if z < 0 else z · r."""
    return [
        (z / penalty if z < 0 else z * penalty) if i in prompt else z for i, z in enumerate(logits)
    ]


def dry(
    logits: Row,
    context: Sequence[int],
    multiplier: float,
    base: float,
    allowed: int,
    breakers: Collection[int] = (),
) -> Row:
    """z_i − multiplier · base^(L_i − allowed) where L_i ≥ allowed and i breaks no sequence.

    L_i: the longest end of the context, without any breaker, that also stands somewhere earlier
    in it with i behind it.
    """
    repeats: dict[int, int] = {}
    for place in range(len(context) - 1):
        length = 0
        while (
            length <= place
            and context[place - length] == context[-1 - length]
            and context[-1 - length] not in breakers
        ):
            length += 1
        follower = context[place + 1]
        repeats[follower] = max(repeats.get(follower, 0), length)
    return [
        z - multiplier * power(base, repeats[i] - allowed)
        if repeats.get(i, 0) >= allowed and i not in breakers
        else z
        for i, z in enumerate(logits)
    ]


def power(base: float, exponent: int) -> float:
    """base^exponent by repeated squaring, whose order of products fixes the rounding."""
    result = 1.0
    while exponent > 0:
        if exponent % 2 == 1:
            result *= base
        base *= base
        exponent //= 2
    return result
