"""Numba functions that search a row's history for repeated n-grams: n-gram bans and DRY."""

from __future__ import annotations

from typing import Any

import numpy as np

from decoding.kernels.compiled.choices import edit_named
from decoding.kernels.compiled.jit import owning
from decoding.kernels.compiled.memory import WORDS
from decoding.kernels.compiled.records import SPARSE
from decoding.kernels.compiled.scopes import names, scope_of
from decoding.kernels.program import Opcode

NO_REPEAT_NGRAM = int(Opcode.NO_REPEAT_NGRAM)
_MOST = 1.7976931348623157e308 / 4.0


@owning
def add_repeats(item: Any, step: Any) -> Any:
    """Change the tokens that an n-gram ban or DRY speaks of; whether any may have been banned."""
    start, stop = scope_of(item, step)
    text, vocab = step.history[start:stop], step.vocab
    found = np.empty(len(text), SPARSE)
    if item.opcode == NO_REPEAT_NGRAM:
        source = min(step.prompt_length, len(text)) if item.second == 1.0 else len(text)
        count = _complete(np.int64(item.first), text, np.int64(source), vocab, found)
    else:
        count = _prolong(item, step.sparse, text, vocab, step.memory.integers[WORDS], found)
    return edit_named(step, found, 0, count, item)


@owning
def _complete(size: Any, text: Any, source: Any, vocab: Any, found: Any) -> Any:
    """A ban for what completes an n-gram of the text up to `source`, maybe more than once."""
    count, length = 0, len(text)
    if length < size - 1:
        return count
    for place in range(size - 1, source):
        same = 1
        while same < size and text[place - same] == text[length - same]:
            same += 1
        token_id = np.int64(text[place])
        if same == size and 0 <= token_id < vocab:
            found[count].token_id = token_id
            found[count].value = -np.inf
            count += 1
    return count


@owning
def power(base: Any, exponent: Any) -> Any:
    """base^exponent by repeated squaring, as `decoding.kernels.vector.sequences.power` has it."""
    result, square = 1.0, base
    while exponent > 0:
        if exponent & 1 == 1:
            result *= square
        square *= square
        exponent >>= 1
    return result


@owning
def _prolong(item: Any, sparse: Any, text: Any, vocab: Any, longest: Any, found: Any) -> Any:
    """Less for every token that prolongs a repetition of the allowed length or more.

    longest: scratch, one a token.
    """
    length, allowed = len(text), np.int64(item.third)
    limit: Any = np.int64(0)
    while limit < length and not names(item, sparse, np.int64(text[length - 1 - limit])):
        limit += 1
    if limit < allowed:
        return 0
    matches = _suffix_matches(text)
    for place in range(length - 1):
        token_id = np.int64(text[place + 1])
        if matches[place] >= allowed and 0 <= token_id < vocab:
            longest[token_id] = 0
    for place in range(length - 1):
        token_id = np.int64(text[place + 1])
        if matches[place] >= allowed and 0 <= token_id < vocab:
            longest[token_id] = max(np.int64(longest[token_id]), min(matches[place], limit))
    count = 0
    for place in range(length - 1):
        token_id = np.int64(text[place + 1])
        if matches[place] < allowed or not 0 <= token_id < vocab or longest[token_id] == 0:
            continue
        if not names(item, sparse, token_id):
            penalty = item.first * power(item.second, np.int64(longest[token_id]) - allowed)
            found[count].token_id = token_id
            found[count].value = -min(penalty, _MOST)
            count += 1
        longest[token_id] = 0
    return count


@owning
def _suffix_matches(text: Any) -> Any:
    """For each place, how much of the end of the text also ends there: the Z-function, reversed.

    A stretch that is known to match says what its places match, as far as it reaches: every token
    is compared twice at most.
    """
    length = len(text)
    matches = np.empty(length, np.int64)
    left: Any = length - 1
    right: Any = length - 1
    for place in range(length - 2, -1, -1):
        same: Any = np.int64(0)
        if place > right:
            same = min(place - right, matches[length - 1 - (left - place)])
        while place - same >= 0 and text[place - same] == text[length - 1 - same]:
            same += 1
        matches[place] = same
        if place - same < right:
            left, right = place, place - same
    return matches
