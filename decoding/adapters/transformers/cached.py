"""`forward`: makes a transformers CausalLM a `CachedModel`, with a KV cache per sequence."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from decoding.checks import imported
from decoding.errors import UnsupportedFeatureError, require
from decoding.models.cached_calls import (
    check_lengths,
    check_rollback,
    check_states,
    check_token_range,
    in_use,
)
from decoding.models.callable import CallableModel
from decoding.typing import Anything

if TYPE_CHECKING:
    from torch import Tensor

    Layers: TypeAlias = tuple[tuple[Tensor, Tensor] | None, ...]

_ATTENTION_CACHES = {"DynamicLayer", "DynamicSlidingWindowLayer"}
"""The caches of layers whose memory is a key and a value a token, and nothing else."""


def forward(model: Anything) -> TransformersModel | CallableModel:
    """Wrap a CausalLM as a `CachedModel`; as a `CallableModel` if its cache cannot roll back.

    model: any model with a language modelling head, a decoder alone. One whose layers keep more
        than keys and values, as state-space models, has no cache that can be rolled back: it
        becomes a `CallableModel`, which computes each sequence anew at every step.

    Raises:
        UnsupportedFeatureError: the model has an encoder.
        ParameterError: it is no model of transformers.
        MissingDependencyError: transformers is not installed.
    """
    legal = hasattr(model, "config") and callable(getattr(model, "get_output_embeddings", None))
    require("model", model, legal, "a model of transformers with a language modelling head")
    if getattr(model.config, "is_encoder_decoder", False):
        raise UnsupportedFeatureError("model", "it has an encoder; models have a decoder alone")
    if _keeps_keys_and_values(model):
        return TransformersModel(model)
    return CallableModel(_WholeSequences(model))


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """The keys and values of several sequences, as one call of the model left them.

    Tensors `(rows, heads, width, head_dim)` of each layer are never written to: a call makes new
    ones. starts: columns of padding on the left, by row.
    """

    layers: Layers
    starts: tuple[int, ...]
    width: int


@dataclass(slots=True, eq=False)
class TransformersState:
    """A sequence of a cached model: its row in the keys and values of its last forward pass.

    length: tokens of it that count; those after them were rolled back.
    """

    block: Block | None
    row: int
    length: int


@dataclass(frozen=True, slots=True, eq=False)
class TransformersModel:
    """A CausalLM of transformers as a `CachedModel`; logits are float32 on the model's device.

    Sequences that go on together, as a batch does from step to step, share one block of keys and
    values, and no call copies more of it than transformers does. Where the sequences of a call
    change, their rows are copied into a block of their own. A fork shares its parent's block.

    model: in evaluation mode, or what dropout does will differ from step to step.

    Methods raise ParameterError for an empty or overlong sequence, a token id outside the
    vocabulary, a released state or one that is given twice.
    """

    model: Any = field(repr=False)

    def prefill(
        self, prompts: Sequence[Sequence[int]], *, all_positions: bool = False
    ) -> tuple[list[TransformersState], Tensor]:
        """See `CachedModel.prefill`; prompts of different lengths are padded on the left."""
        states = [TransformersState(Block((), (), 0), 0, 0) for _ in prompts]
        self._check(states, prompts)
        width = max(map(len, prompts))
        pads = [width - len(ids) for ids in prompts]
        logits = self._call(Block((), tuple(pads), 0), states, prompts, all_positions)
        return states, logits

    def extend(
        self,
        states: Sequence[TransformersState],
        token_ids: Sequence[Sequence[int]],
        *,
        all_positions: bool = False,
    ) -> Tensor:
        """See `CachedModel.extend`; the sequences of a call of the model grow by as many tokens."""
        import torch

        self._check(states, token_ids)
        groups: dict[int, list[int]] = {}
        for place, ids in enumerate(token_ids):
            groups.setdefault(len(ids), []).append(place)
        rows: dict[int, Tensor] = {}
        for places in groups.values():
            chosen = [states[place] for place in places]
            new = [token_ids[place] for place in places]
            logits = self._call(_block_of(chosen), chosen, new, all_positions)
            rows |= zip(places, logits.view(len(places), -1, logits.shape[-1]), strict=True)
        return torch.cat([rows[place] for place in range(len(states))])

    def fork(self, state: TransformersState) -> TransformersState:
        """See `CachedModel.fork`; nothing is copied."""
        return TransformersState(_known(state), state.row, state.length)

    def rollback(self, state: TransformersState, count: int) -> None:
        """See `CachedModel.rollback`; raises ParameterError for more tokens than there are."""
        _known(state)
        check_rollback(count, state.length)
        state.length -= count

    def release(self, state: TransformersState) -> None:
        """See `CachedModel.release`; releasing twice is harmless."""
        state.block, state.length = None, 0

    def _call(
        self,
        block: Block,
        states: Sequence[TransformersState],
        token_ids: Sequence[Sequence[int]],
        all_positions: bool,
    ) -> Tensor:
        """Run the model on new tokens after cached ones; the states become rows of the new cache.

        All rows get as many tokens, or the block is empty and its `starts` are their padding.
        """
        import torch

        width = max(map(len, token_ids))
        device = self.model.device
        padded = [[0] * (width - len(ids)) + list(ids) for ids in token_ids]
        starts = torch.tensor(block.starts)[:, None]
        columns = torch.arange(block.width + width)[None, :]
        arguments: dict[str, Any] = {
            "input_ids": torch.tensor(padded, device=device),
            "use_cache": True,
        }
        takes = _parameters(self.model)
        if any(block.starts) or "position_ids" not in takes:
            arguments["attention_mask"] = (columns >= starts).long().to(device)
        if "position_ids" in takes:
            positions = (columns - starts)[:, block.width :].clamp(min=0)
            arguments["position_ids"] = positions.to(device)
        if "logits_to_keep" in takes and not all_positions:
            arguments["logits_to_keep"] = 1
        cache = _cache_of(block)
        arguments["cache" if "cache" in takes else "past_key_values"] = cache
        with torch.inference_mode():
            logits: Tensor = self.model(**arguments).logits.float()
        layers = tuple(
            None if layer.keys is None else (layer.keys, layer.values) for layer in cache.layers
        )
        following = Block(layers, block.starts, block.width + width)
        for row, (state, ids) in enumerate(zip(states, token_ids, strict=True)):
            state.block, state.row = following, row
            state.length += len(ids)
        if not all_positions:
            return logits[:, -1]
        return torch.cat([logits[row, -len(ids) :] for row, ids in enumerate(token_ids)])

    def _check(
        self, states: Sequence[TransformersState], token_ids: Sequence[Sequence[int]]
    ) -> None:
        """Check everything about a call before anything is computed."""
        check_states(states, token_ids)
        for state in states:
            _known(state)
        limit = context_length_of(self.model)
        check_lengths([state.length for state in states], token_ids, limit)
        check_token_range(token_ids, len(self.model.get_input_embeddings().weight))


def context_length_of(model: Anything) -> int | None:
    """The maximum number of tokens of a sequence, if the model's configuration states one."""
    limit = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    return limit if isinstance(limit, int) and limit > 0 else None


def _known(state: TransformersState) -> Block:
    return in_use(state.block)


def _block_of(states: Sequence[TransformersState]) -> Block:
    """A block with these sequences as its rows, each ending in its last column."""
    block = _known(states[0])
    whole = len(states) == len(block.starts) and all(
        state.block is block and state.row == row and start + state.length == block.width
        for row, (state, start) in enumerate(zip(states, block.starts, strict=True))
    )
    return block if whole else _gathered(states)


def _gathered(states: Sequence[TransformersState]) -> Block:
    """A block of copies of the sequences' rows, padded on the left."""
    width = max(state.length for state in states)
    starts = tuple(width - state.length for state in states)
    if width == 0:
        return Block((), starts, 0)
    parts: list[tuple[Block, int, int, int]] = []
    for state in states:
        block = _known(state)
        row = state.row
        begin = block.starts[row] if block.starts else 0
        parts.append((block, row, begin, state.length))
    longest = max(range(len(states)), key=lambda index: states[index].length)
    layers: list[tuple[Tensor, Tensor] | None] = []
    for index, example in enumerate(parts[longest][0].layers):
        if example is None:
            layers.append(None)
            continue
        made = []
        for kind, model in enumerate(example):
            _, heads, _, size = model.shape
            target = model.new_zeros((len(states), heads, width, size))
            for place, (block, row, begin, length) in enumerate(parts):
                source = block.layers[index] if length else None
                if source is not None:
                    values = source[kind][row, :, begin : begin + length]
                    target[place, :, width - length :] = values
            made.append(target)
        layers.append((made[0], made[1]))
    return Block(tuple(layers), starts, width)


def _cache_of(block: Block) -> Anything:  # a cache of transformers
    """A `DynamicCache` that begins with the tensors of a block."""
    cache = _transformers().DynamicCache()
    for index, layer in enumerate(block.layers):
        if layer is None:
            continue
        keys, values = layer
        # So the layer is made; then it takes the tensors as they are, which it will not write to.
        cache.update(keys[:, :, :0], values[:, :, :0], index)
        cache.layers[index].keys, cache.layers[index].values = keys, values
    return cache


def _keeps_keys_and_values(model: Anything) -> bool:
    """Whether all that a model remembers of a sequence is a key and a value a token and layer."""
    supported = getattr(model, "_supports_default_dynamic_cache", None)
    if getattr(model, "_is_stateful", False) or supported is None or not supported():
        return False
    if not {"position_ids", "attention_mask"} & set(_parameters(model)):
        return False
    layers = _transformers().DynamicCache(config=model.config.get_text_config()).layers
    return {type(layer).__name__ for layer in layers} <= _ATTENTION_CACHES


@dataclass(frozen=True, slots=True, eq=False)
class _WholeSequences:
    """A model as a function of whole sequences, each of which goes through it alone."""

    model: Any

    def __call__(self, sequences: list[list[int]]) -> Tensor:
        import torch

        device = self.model.device
        with torch.inference_mode():
            rows = [
                self.model(input_ids=torch.tensor([ids], device=device), use_cache=False).logits
                for ids in sequences
            ]
        return torch.cat([row[:, -1].float() for row in rows])


def _parameters(model: Anything) -> Sequence[str]:
    return list(inspect.signature(model.forward).parameters)


def _transformers() -> Anything:
    return imported("transformers", "transformers", "transformers")
