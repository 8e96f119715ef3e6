"""`CallableModel`: a model from any callable, without a KV cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from decoding.errors import ShapeError
from decoding.logits import as_logits
from decoding.models.cached_calls import check_lengths, check_rollback, check_states
from decoding.typing import ForwardFunction, Logits


@dataclass(frozen=True, slots=True, eq=False)
class CallableModel:
    """Implements `CachedModel` by calling a function on whole sequences at every step.

    forward: a list of token-id lists to logits `(batch, vocab)` after each list's last token. It is
        called once a call, with lists of its own that it may keep or change. With `all_positions`
        every new prefix is one more list.

    A state is the list of token ids so far. Logits are NumPy views where that is possible.

    Raises:
        ShapeError: the callable returned anything else than a row of float logits a list.
        ParameterError: no or an empty sequence, or a state that is given twice in one call.
    """

    forward: ForwardFunction

    def start(self) -> list[int]:
        """Start an empty sequence; see `StartingModel`."""
        return []

    def prefill(
        self, prompts: Sequence[Sequence[int]], *, all_positions: bool = False
    ) -> tuple[list[list[int]], Logits]:
        """Run the forward pass over each prompt as a new sequence; see `CachedModel.prefill`."""
        states = [self.start() for _ in prompts]
        return states, self.extend(states, prompts, all_positions=all_positions)

    def extend(
        self,
        states: Sequence[list[int]],
        token_ids: Sequence[Sequence[int]],
        *,
        all_positions: bool = False,
    ) -> Logits:
        """Append tokens; see `CachedModel.extend`."""
        check_states(states, token_ids)
        check_lengths(map(len, states), token_ids)
        prefixes: list[list[int]] = []
        for state, new in zip(states, token_ids, strict=True):
            state.extend(new)
            first = len(state) - len(new) + 1 if all_positions else len(state)
            prefixes += [state[:end] for end in range(first, len(state) + 1)]
        rows = len(prefixes)
        output = self.forward(prefixes)
        logits = as_logits(np.asarray(output) if isinstance(output, list) else output)
        if len(logits) != rows:
            raise ShapeError("logits", f"{len(logits)} rows", f"{rows} rows, one a list")
        return logits

    def fork(self, state: list[int]) -> list[int]:
        """Copy the state: the list of token ids."""
        return list(state)

    def rollback(self, state: list[int], count: int) -> None:
        """Forget the last `count` tokens; raises ParameterError for more than there are."""
        check_rollback(count, len(state))
        del state[len(state) - count :]

    def release(self, state: list[int]) -> None:
        """Empty the state; a second call does nothing."""
        state.clear()
