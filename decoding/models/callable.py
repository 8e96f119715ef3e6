"""Any callable as a model: no cache, every feature, slower."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from decoding.errors import ShapeError
from decoding.logits import as_logits
from decoding.typing import ForwardFunction, Logits


class CallableModel:
    """Gives a plain callable the `CachedModel` protocol by calling it on whole sequences.

    forward: a list of token-id lists to logits `(batch, vocab)` after each list's last token.

    Raises:
        ShapeError: at a call that returns anything else than a row of logits a list.
    """

    def __init__(self, forward: ForwardFunction) -> None:
        self._forward = forward

    def prefill(
        self, prompts: Sequence[Sequence[int]], *, all_positions: bool = False
    ) -> tuple[list[list[int]], Logits]:
        """Start one sequence a prompt; the state is its list of token ids."""
        states: list[list[int]] = [[] for _ in prompts]
        return states, self.extend(states, prompts, all_positions=all_positions)

    def extend(
        self,
        states: Sequence[list[int]],
        token_ids: Sequence[Sequence[int]],
        *,
        all_positions: bool = False,
    ) -> Logits:
        """Append tokens; with `all_positions` every new prefix is one more list of the one call."""
        prefixes: list[list[int]] = []
        for state, new in zip(states, token_ids, strict=True):
            state.extend(new)
            first = len(state) - len(new) + 1 if all_positions else len(state)
            prefixes += [state[:end] for end in range(first, len(state) + 1)]
        output: Any = self._forward(prefixes)
        logits = as_logits(np.asarray(output) if isinstance(output, list) else output)
        if len(logits) != len(prefixes):
            raise ShapeError("logits", f"{len(logits)} rows", f"{len(prefixes)} rows, one a list")
        return logits

    def fork(self, state: list[int]) -> list[int]:
        """A copy of the list."""
        return list(state)

    def rollback(self, state: list[int], count: int) -> None:
        """Forget the last `count` tokens."""
        del state[len(state) - count :]

    def release(self, state: list[int]) -> None:
        """Nothing to give back."""
