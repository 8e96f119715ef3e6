"""ONNX Runtime: a decoder with past key values in and out, as a cached model.

    forward(session)                         a `decoding.models.CachedModel`
    language_model(session, tokenizer, ...)  the same, with tokenizer and end tokens

The graph is what `optimum` and `onnxruntime-genai`'s builder export: inputs `input_ids`,
`attention_mask`, optionally `position_ids`, and `past_key_values.N.key` and `.value`; outputs
`logits` and `present.N.key` and `.value`. Version 1.32.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from decoding.errors import ShapeError, UnsupportedFeatureError
from decoding.models.cached_calls import check_lengths, check_rollback, check_states, in_use
from decoding.models.protocol import LanguageModel
from decoding.typing import Anything, Logits
from decoding.vocabulary import Tokenizer

_DTYPES: dict[str, np.dtype[Any]] = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(float16)": np.dtype(np.float16),
    "tensor(double)": np.dtype(np.float64),
    "tensor(int64)": np.dtype(np.int64),
    "tensor(int32)": np.dtype(np.int32),
}
_TOKENS, _MASK, _POSITIONS, _LOGITS = "input_ids", "attention_mask", "position_ids", "logits"
_PAST = re.compile(r"past(_key_values)?(?=[._])")
_PRESENT = re.compile(r"present(_key_values)?(?=[._])")


def forward(session: Anything) -> OnnxModel:
    """Make a cached model of an `onnxruntime.InferenceSession`, on any execution provider.

    Raises:
        UnsupportedFeatureError: the graph has no past key values, an input that is not known here,
            or a type that NumPy does not have.
    """
    inputs = {item.name: item for item in session.get_inputs()}
    outputs = {item.name for item in session.get_outputs()}
    presents = {_PRESENT.sub("", name): name for name in outputs if _PRESENT.match(name)}
    pasts = [
        _Past(item.name, presents[key], _dtype(item), *_shape(item))
        for name, item in inputs.items()
        if _PAST.match(name) and (key := _PAST.sub("", name)) in presents
    ]
    known = {_TOKENS, _MASK, _POSITIONS, *(past.name for past in pasts)}
    unknown = sorted(set(inputs) - known)
    if not pasts or _TOKENS not in inputs or _LOGITS not in outputs:
        names = f"got the inputs {sorted(inputs)[:8]} and the outputs {sorted(outputs)[:8]}"
        expected = "a graph with input_ids, logits, past and present key values"
        raise UnsupportedFeatureError("onnxruntime", f"{expected} is needed, {names}")
    if unknown:
        raise UnsupportedFeatureError("onnxruntime", f"the graph has unknown inputs: {unknown[:8]}")
    integers = {
        name: _dtype(inputs[name]) for name in (_TOKENS, _MASK, _POSITIONS) if name in inputs
    }
    return OnnxModel(session, tuple(pasts), integers)


def language_model(
    session: Anything,
    tokenizer: Tokenizer | None = None,
    *,
    eos_token_ids: Collection[int] = (),
    context_length: int | None = None,
    chat_template: str | None = None,
) -> LanguageModel:
    """Make a `LanguageModel` of a session; the parameters are those of `LanguageModel`.

    The width of the logits is read from the graph, where the graph states it.
    """
    shape = next(item.shape for item in session.get_outputs() if item.name == _LOGITS)
    width = shape[-1] if isinstance(shape[-1], int) else None
    return LanguageModel(
        forward=forward(session),
        tokenizer=tokenizer,
        eos_token_ids=frozenset(eos_token_ids),
        logits_width=width,
        context_length=context_length,
        chat_template=chat_template,
    )


@dataclass(frozen=True, slots=True)
class _Past:
    """An input of past keys or values, and the output that continues it.

    shape: of the input, without a batch and without tokens. axis: that of the tokens.
    """

    name: str
    present: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    axis: int


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    """The keys and values that one call returned, for the sequences of that call; never written to.

    arrays: one for each `_Past`, `(rows, ...)`.
    """

    arrays: tuple[NDArray[Any], ...]
    rows: int


@dataclass(slots=True, eq=False)
class OnnxState:
    """A sequence of a cached model: its row in arrays of keys and values, and its length."""

    block: _Block | None
    row: int = 0
    length: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class OnnxModel:
    """A `CachedModel` that calls an inference session with past key values in and out.

    Sequences of one length with the same number of new tokens run in one call; logits are NumPy
    arrays of the graph's type. A fork shares the arrays of its parent, which are never written to.

    Raises:
        ParameterError: no or an empty sequence, a released state, or one that is given twice.
    """

    session: Any
    pasts: tuple[_Past, ...] = field(repr=False)
    integers: dict[str, np.dtype[Any]] = field(repr=False)

    def prefill(
        self, prompts: Sequence[Sequence[int]], *, all_positions: bool = False
    ) -> tuple[list[OnnxState], Logits]:
        """Run the forward pass over each prompt as a new sequence; see `CachedModel.prefill`."""
        empty = _Block(tuple(np.zeros((1, *past.shape), past.dtype) for past in self.pasts), 1)
        states = [OnnxState(empty) for _ in prompts]
        return states, self.extend(states, prompts, all_positions=all_positions)

    def extend(
        self,
        states: Sequence[OnnxState],
        token_ids: Sequence[Sequence[int]],
        *,
        all_positions: bool = False,
    ) -> Logits:
        """Append tokens; see `CachedModel.extend`."""
        _check(states, token_ids)
        calls: dict[tuple[int, int], list[int]] = {}
        for index, (state, new) in enumerate(zip(states, token_ids, strict=True)):
            calls.setdefault((state.length, len(new)), []).append(index)
        rows: list[Any] = [None] * len(states)
        for chosen in calls.values():
            tokens = np.array([list(token_ids[index]) for index in chosen])
            logits = self._run([states[index] for index in chosen], tokens)
            for index, own in zip(chosen, logits, strict=True):
                rows[index] = own if all_positions else own[-1:]
        return rows[0] if len(rows) == 1 else np.concatenate(rows)

    def _run(self, states: list[OnnxState], tokens: NDArray[Any]) -> NDArray[Any]:
        """The logits `(rows, tokens, vocab)` of new tokens of sequences of one length."""
        rows, new = tokens.shape
        length = states[0].length
        end = length + new
        values = {
            _TOKENS: tokens,
            _MASK: np.ones((rows, end)),
            _POSITIONS: np.tile(np.arange(length, end), (rows, 1)),
        }
        feed = {name: values[name].astype(dtype) for name, dtype in self.integers.items()}
        feed |= zip((past.name for past in self.pasts), _joined(states), strict=True)
        outputs = self.session.run([_LOGITS, *(past.present for past in self.pasts)], feed)
        logits, presents = outputs[0], outputs[1:]
        if logits.ndim != 3 or logits.shape[:2] != (rows, new):
            raise ShapeError("logits", f"shape {logits.shape}", f"({rows}, {new}, vocab)")
        block = _Block(tuple(presents), rows)
        for row, state in enumerate(states):
            state.block, state.row, state.length = block, row, end
        return np.asarray(logits)

    def fork(self, state: OnnxState) -> OnnxState:
        """A copy that shares the arrays."""
        return OnnxState(_block_of(state), state.row, state.length)

    def rollback(self, state: OnnxState, count: int) -> None:
        """Forget the last `count` tokens; raises ParameterError for more than there are."""
        block = _block_of(state)
        check_rollback(count, state.length)
        if count:
            kept = state.length - count
            arrays = [
                _row(array, state.row)[(slice(None),) * past.axis + (slice(kept),)]
                for past, array in zip(self.pasts, block.arrays, strict=True)
            ]
            state.block = _Block(tuple(map(np.ascontiguousarray, arrays)), 1)
            state.row, state.length = 0, kept

    def release(self, state: OnnxState) -> None:
        """Drop the arrays; a second call does nothing."""
        state.block = None


def _joined(states: list[OnnxState]) -> tuple[NDArray[Any], ...]:
    """The past of several sequences as one batch; not copied if one call has returned it so."""
    blocks = [_block_of(state) for state in states]
    first = blocks[0]
    same = all(block is first for block in blocks) and first.rows == len(states)
    if same and [state.row for state in states] == list(range(len(states))):
        return first.arrays
    return tuple(
        np.concatenate(
            [
                _row(block.arrays[index], state.row)
                for block, state in zip(blocks, states, strict=True)
            ]
        )
        for index in range(len(first.arrays))
    )


def _row(array: NDArray[Any], row: int) -> NDArray[Any]:
    return array[row : row + 1]


def _block_of(state: OnnxState) -> _Block:
    return in_use(state.block)


def _check(states: Sequence[OnnxState], token_ids: Sequence[Sequence[int]]) -> None:
    check_states(states, token_ids)
    for state in states:
        _block_of(state)
    check_lengths([state.length for state in states], token_ids)


def _dtype(item: Anything) -> np.dtype[Any]:
    dtype = _DTYPES.get(item.type)
    if dtype is None:
        expected = f"one of {', '.join(_DTYPES)}"
        raise UnsupportedFeatureError(
            "onnxruntime", f"{item.name} must be {expected}, got {item.type}"
        )
    return dtype


def _shape(item: Anything) -> tuple[tuple[int, ...], int]:
    """The shape of a past without a batch and without tokens, and the axis of the tokens."""
    open_axes = [axis for axis, size in enumerate(item.shape) if axis and not isinstance(size, int)]
    if len(open_axes) != 1:
        expected = "(batch, heads, past length, head size), of which the length alone is open"
        raise UnsupportedFeatureError(
            "onnxruntime", f"{item.name} must be {expected}, got {item.shape}"
        )
    [axis] = open_axes
    return tuple(0 if at == axis else size for at, size in enumerate(item.shape) if at), axis
