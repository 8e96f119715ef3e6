"""XTC (exclude top choices): sometimes removes all likely tokens but the least likely of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from decoding.checks import check_integer, check_token_ids
from decoding.facts import TRUNCATION, Facts
from decoding.history import History
from decoding.kernels.program import Instruction, Opcode
from decoding.kernels.randomness import XTC_COIN
from decoding.kernels.reference.cutoffs import coin
from decoding.kernels.vector import cutoffs, dense
from decoding.processors.call import checked_call
from decoding.request_fields import UNIT, RequestField, check
from decoding.typing import Logits


@dataclass(frozen=True, slots=True)
class Xtc:
    """With some probability remove every token above a threshold but the least likely of them.

        with probability xtc_probability, and if at least two tokens have p >= xtc_threshold:
        remove i  <=>  p[i] > the smallest p that is >= xtc_threshold,  and i is not exempt

    xtc_probability: in [0, 1]; 0 is neutral, 1 always acts.
    xtc_threshold: in [0, 1]; above 0.5 no two tokens reach it, so that is neutral.
    seed: of the coin, in [0, 2⁶⁴). The coin depends on the seed and on how many tokens the row has
    seen, nothing else: the same seed and history give the same result in any batch.
    exempt: token ids that are never removed (end of sequence, line breaks); they count among the
    likely ones (mlx-lm).
    min_tokens_to_keep: nothing is removed if fewer would be left (llama.cpp); 1 is neutral.
    logits: `(batch, vocab)` float; what stays is untouched. Ties with the least likely one stay, as
    in mlx-lm; llama.cpp keeps one of them.
    Raises `ParameterError` at construction. Source: llama.cpp and mlx-lm, after
    text-generation-webui #6335. mlx-lm wants p strictly above the threshold.
    """

    xtc_probability: float
    xtc_threshold: float = 0.1
    seed: int = 0
    exempt: tuple[int, ...] = ()
    min_tokens_to_keep: int = 1

    facts: ClassVar[Facts] = replace(
        TRUNCATION,
        argmax_invariant=False,
        needs_history=True,
        formula="of the tokens with p ≥ threshold the least likely, now and then",
        neutral="probability 0",
        range="[0, 1], threshold in [0, 1]",
        source="text-generation-webui #6335",
        peers=("llama.cpp", "mlx-lm"),
        fields=(
            RequestField("xtc_probability", UNIT, "how often to remove the top choices", "P", 0.0),
            RequestField(
                "xtc_threshold", UNIT, "from which probability they are", "P", default=0.1
            ),
        ),
        place=800,
    )

    def __post_init__(self) -> None:
        check(self, "xtc_probability", UNIT)
        check(self, "xtc_threshold", UNIT)
        check_integer(self, "seed", 0, 2**64 - 1, "in [0, 2**64)")
        check_integer(self, "min_tokens_to_keep", 1)
        check_token_ids(self, "exempt")

    def facts_of_parameters(self) -> Facts:
        """The facts of the class; vocabulary-blind only where no token id is exempt."""
        return replace(self.facts, vocabulary_blind=not self.exempt)

    @checked_call
    def __call__(self, logits: Logits, history: History) -> Logits:
        if self.xtc_probability == 0.0 or self.xtc_threshold > 0.5:
            return logits
        positions = history.lengths.tolist()
        acts = [coin(self.seed, place, XTC_COIN) < self.xtc_probability for place in positions]
        if not any(acts):
            return logits
        exempt = dense.within(np.array(self.exempt, np.int32), logits.shape[1]).astype(np.int64)
        threshold, minimum = self.xtc_threshold, self.min_tokens_to_keep
        shortened = dense.keep(
            logits[acts], lambda row: cutoffs.xtc(row, threshold, exempt, minimum)
        )
        result = logits.copy()
        result[acts] = shortened
        return result

    def lower(self) -> tuple[Instruction, ...]:
        """One instruction, none when neutral; a kernel tosses the coin."""
        if self.xtc_probability == 0.0 or self.xtc_threshold > 0.5:
            return ()
        return (
            Instruction(
                Opcode.XTC,
                self.xtc_threshold,
                self.min_tokens_to_keep,
                self.xtc_probability,
                self.exempt,
                (0.0,) * len(self.exempt),
                seed=self.seed,
            ),
        )
