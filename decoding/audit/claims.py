"""`Claim`: how a text is said to be drawn (pipeline, seed, noise law); `Predictor` draws so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from decoding.audit.forward import CHUNK, Chunks
from decoding.audit.noise import PHILOX, NoiseLaw, Philox
from decoding.audit.positions import BySize, Part, has_feedback, parts_of
from decoding.checks import check_integer
from decoding.errors import DecodingError, require
from decoding.history import History
from decoding.pipeline import Pipeline, as_pipeline, chain
from decoding.processors import Temperature
from decoding.sampling.batch import BatchSampler, Sample, Sampler, States
from decoding.sampling.given import TokenDescriber
from decoding.sampling.rng import SEED_RANGE
from decoding.typing import Rows

NOTHING = -1
"""In the place of a token id, where a claim leaves no token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A statement of how tokens were drawn: pipeline, seed or greedy, and noise law.

    pipeline: what was done to the logits. seed: in [0, 2**64) what noise was drawn with; None
    where nobody says. greedy: the likeliest token every time; without a seed. law: of the noise.
    A claim without a seed that is not greedy speaks of the distribution alone.
    """

    pipeline: Pipeline = chain()
    seed: int | None = None
    greedy: bool = False
    law: NoiseLaw = PHILOX

    def __post_init__(self) -> None:
        object.__setattr__(self, "pipeline", as_pipeline(self.pipeline))
        if self.seed is not None:
            check_integer(self, "seed", 0, SEED_RANGE - 1, "None or in [0, 2**64)")
        legal = isinstance(self.greedy, bool) and not (self.greedy and self.seed is not None)
        require("greedy", self.greedy, legal, "a bool, and False where `seed` is given")
        require("law", self.law, isinstance(self.law, NoiseLaw), "a NoiseLaw")

    @property
    def predicts(self) -> bool:
        """Whether the claim says which token comes, and not only how likely each is."""
        return self.greedy or self.seed is not None

    @property
    def scale(self) -> float:
        """The factor by which the pipeline's temperatures multiply noise in the logits."""
        found = 1.0
        for item in self.pipeline.processors:
            if isinstance(item, Temperature):
                found /= item.temperature
        return found


class Predicted(NamedTuple):
    """The predictions of a claim for some tokens of a text.

    part: the tokens. expected: the token that the claim predicts for each; `NOTHING` where it
    leaves none. states: of the feedbacks before the first of them.
    """

    part: Part
    expected: tuple[int, ...]
    states: States


class Predictor:
    """Draws tokens as a claim says, for given logits; makes its samplers once.

    claim: one that predicts.
    """

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self._by_kernel = claim.greedy or isinstance(claim.law, Philox)
        self._sampler = Sampler(claim.pipeline, claim.seed)
        self._steered = has_feedback(claim.pipeline)
        self._samplers = BySize(BatchSampler, self._sampler)
        self._describers = BySize(TokenDescriber, self._sampler)

    def text(
        self, logits: Rows | Chunks, prompt: Sequence[int], token_ids: Sequence[int]
    ) -> Iterator[Predicted]:
        """The predictions for a text, part by part."""
        states = self._sampler.start()
        most = 1 if self._steered else CHUNK
        for part in parts_of(logits, prompt, token_ids, most):
            yield Predicted(part, self.draw(part.logits, part.history, states), states)
            if self._steered:
                states = self._after(part, states)

    def draw(self, logits: Rows, history: History, states: States = ()) -> tuple[int, ...]:
        """The token that the claim predicts for each row; `NOTHING` where it leaves none."""
        count = len(history)
        sampler = self._samplers.of(count)
        if not self._by_kernel:
            rows = sampler.process_exactly(logits, history, [states] * count).rows
            lengths = history.lengths.tolist()
            return tuple(map(self._winner, rows, lengths))
        if self._steered:
            outcomes: Sequence[Any] = [
                item.token_id if isinstance(item, Sample) else item
                for item in sampler(logits, history, [states] * count)
            ]
        else:
            outcomes = sampler.draw(logits, history)
        return tuple(NOTHING if isinstance(item, DecodingError) else item for item in outcomes)

    def edited(
        self, logits: Rows, history: History, states: States = ()
    ) -> list[NDArray[np.float64] | DecodingError]:
        """The rows `(vocab,)` after the pipeline."""
        count = len(history)
        return self._samplers.of(count).process_exactly(logits, history, [states] * count).rows

    def margin(
        self, row: NDArray[np.float64] | DecodingError, position: int, expected: int, token: int
    ) -> float:
        """The score of the expected token minus that of another token; inf where that is removed.

        row: `(vocab,)`, after the pipeline. In nats, in the units of the processed logits.
        """
        if isinstance(row, DecodingError) or expected == NOTHING or row[token] == -np.inf:
            return np.inf
        if self.claim.greedy:
            return float(row[expected] - row[token])
        law = self.claim.law
        ids = np.flatnonzero(row > -np.inf)
        if isinstance(law, Philox):
            ids = np.array(sorted({expected, token}))
        scores = law.scores(row[ids], ids, self._seed, position)
        places = np.searchsorted(ids, [expected, token])
        return max(0.0, float(scores[places[0]] - scores[places[1]]))

    @property
    def _seed(self) -> int:
        assert self.claim.seed is not None  # ours: else there is no noise
        return self.claim.seed

    def _winner(self, row: NDArray[np.float64] | DecodingError, position: int) -> int:
        if isinstance(row, DecodingError):
            return NOTHING
        ids = np.flatnonzero(row > -np.inf)
        return int(ids[self.claim.law.scores(row[ids], ids, self._seed, position).argmax()])

    def _after(self, part: Part, states: States) -> States:
        [outcome] = self._describers.of(1)(part.logits, part.history, part.token_ids, [states])
        return outcome.states if isinstance(outcome, Sample) else states
