"""Processors that bias or ban the token that would complete a given sequence of tokens."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from decoding.checks import checked_items, checked_real, checked_token_ids
from decoding.errors import ParameterError, ShapeError, require, shown
from decoding.facts import EDIT, MASK, Facts
from decoding.history import History
from decoding.kernels.program import Instruction
from decoding.kernels.vector import dense, edits, sequences
from decoding.processors import instructions
from decoding.processors.call import checked_call
from decoding.request_fields import IN_FLOAT32, TEXTS, TOKEN_SEQUENCES, RequestField, is_bias
from decoding.typing import Logits


@dataclass(frozen=True, slots=True, init=False)
class SequenceBias:
    """Add a constant to the logit of a token that would complete a sequence.

        logits[i] + Σ bias[s] over the sequences s that end in i and whose rest the text ends in

    bias: non-empty sequence of token ids to a number of float32, or −inf, which bans the
    completion; empty is neutral. Kept as sorted pairs. The text is prompt + generated; a sequence
    of one token always applies; biases of several completed sequences add up.
    logits: `(batch, vocab)` float; −inf stays −inf.
    Raises `ParameterError` at construction for NaN, +inf, a negative id or an empty sequence;
    `ShapeError` at the call for a last id that the row does not have. Source: transformers.

    >>> SequenceBias({(5, 1): 2.0})(np.zeros((1, 3)), History.of([[4, 5]]))
    array([[0., 2., 0.]])
    """

    bias: tuple[tuple[tuple[int, ...], float], ...]

    facts: ClassVar[Facts] = replace(
        EDIT,
        never_empties=False,
        needs_history=True,
        formula="L + b where the token completes a sequence",
        neutral="{}",
        range="finite or −inf",
        source="transformers",
        peers=("transformers",),
    )

    def __init__(
        self, bias: Mapping[Sequence[int], float] | Iterable[tuple[Sequence[int], float]]
    ) -> None:
        pairs = bias.items() if isinstance(bias, Mapping) else bias
        expected = "a mapping of sequences of token ids to biases, or their pairs"
        kept: dict[tuple[int, ...], float] = {}
        for pair in checked_items("sequence_bias", pairs, expected):
            if not isinstance(pair, Sequence) or len(pair) != 2:
                raise ParameterError("sequence_bias", bias, expected)
            sequence, value = pair
            key = _checked("sequence_bias", sequence)
            name = f"sequence_bias[{shown(key)}]"
            kept[key] = checked_real(name, value, is_bias, f"finite {IN_FLOAT32}, or -inf")
        object.__setattr__(self, "bias", tuple(sorted(kept.items())))

    @checked_call
    def __call__(self, logits: Logits, history: History) -> Logits:
        if not self.bias:
            return logits
        widest = max(sequence[-1] for sequence, _ in self.bias)
        if widest >= logits.shape[1]:
            expected = f"at most {logits.shape[1] - 1}, the last token of the row"
            raise ShapeError("sequence_bias", f"token id {widest}", expected)
        found = [sequences.completed(history.row(row), self.bias) for row in range(len(history))]
        return dense.edit(
            logits,
            lambda row, values: edits.logit_bias(
                values,
                np.array(list(found[row].keys()), np.int64),
                np.array(list(found[row].values()), np.float64),
            ),
        )

    def lower(self) -> tuple[Instruction, ...]:
        """One instruction that changes with the step, none when neutral."""
        if not self.bias:
            return ()
        # It names every token that it may ever change.
        last = sorted({sequence[-1] for sequence, _ in self.bias})
        return (instructions.added(last, np.zeros(len(last))),)

    def instruction(self, history: History) -> Instruction:
        """The instruction for the one row of `history`."""
        found = sequences.completed(history.row(0), self.bias)
        return instructions.added(list(found), list(found.values()))


@dataclass(frozen=True, slots=True, init=False)
class BadWords:
    """Never complete any of these sequences of tokens.

        remove i  <=>  a sequence ends in i, and the text ends in the rest of it

    sequences: each a non-empty sequence of token ids; none is neutral. Kept sorted. The text is
    prompt + generated; a sequence of one token is always banned.
    logits: `(batch, vocab)` float; what stays is untouched; ids beyond the width are ignored. A row
    can end empty. Raises `ParameterError` at construction. Source: `bad_words_ids` of transformers,
    `bad_words` of vLLM. transformers also drops sequences that are an end-of-sequence token alone.

    >>> BadWords([(5, 1)])(np.zeros((1, 3)), History.of([[4, 5]]))
    array([[  0., -inf,   0.]])
    """

    sequences: tuple[tuple[int, ...], ...]

    facts: ClassVar[Facts] = replace(
        MASK,
        needs_history=True,
        formula="no token that completes a sequence",
        neutral="[]",
        range="token ids",
        source="transformers",
        peers=("transformers", "vLLM"),
        fields=(
            RequestField(
                "bad_words_ids",
                TOKEN_SEQUENCES,
                "never these tokens in a row; repeatable",
                "IDS",
                initial=(),
                attribute="sequences",
            ),
            RequestField("bad_words", TEXTS, "never this word; repeatable", "TEXT", initial=()),
        ),
        place=90,
    )

    def __init__(self, sequences: Iterable[Sequence[int]]) -> None:
        given = checked_items("bad_words", sequences, "sequences of token ids")
        kept = {_checked("bad_words", sequence) for sequence in given}
        object.__setattr__(self, "sequences", tuple(sorted(kept)))

    @checked_call
    def __call__(self, logits: Logits, history: History) -> Logits:
        if not self.sequences:
            return logits
        pairs = [(sequence, -math.inf) for sequence in self.sequences]
        return sequences.without(
            logits,
            [list(sequences.completed(history.row(row), pairs)) for row in range(len(history))],
        )

    def lower(self) -> tuple[Instruction, ...]:
        """One instruction that changes with the step, none when neutral."""
        return () if not self.sequences else (instructions.NOTHING,)

    def instruction(self, history: History) -> Instruction:
        """The instruction for the one row of `history`."""
        pairs = [(sequence, -math.inf) for sequence in self.sequences]
        return instructions.without(list(sequences.completed(history.row(0), pairs)))


def _checked(name: str, sequence: Sequence[int]) -> tuple[int, ...]:
    key = tuple(checked_token_ids(name, sequence))
    require(name, sequence, len(key) > 0, "non-empty sequences of token ids >= 0")
    return key
