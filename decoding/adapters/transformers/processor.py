"""`processor`: a pipeline as a logits processor of transformers' `generate`."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from decoding.checks import checked_token_ids
from decoding.errors import ParameterError, ShapeError, UnsupportedFeatureError, require
from decoding.facts import facts_of
from decoding.history import PADDING, History
from decoding.logits import is_tensor
from decoding.pipeline import Pipeline, as_pipeline
from decoding.processors.feedback import Feedback
from decoding.sampling.batch import BatchSampler, Processed, Sampler, States
from decoding.typing import Anything, Processor

if TYPE_CHECKING:
    from torch import Tensor

MOST_REMEMBERED = 64
"""Texts, beyond four a row, whose last step is kept for the feedbacks of a pipeline."""


def processor(
    pipeline: Pipeline | Processor,
    *,
    eos_token_ids: Collection[int] = (),
    pad_token_id: int | None = None,
    attention_mask: Anything = None,
) -> PipelineProcessor:
    """Make the logits processor that applies a pipeline; see `PipelineProcessor`."""
    return PipelineProcessor(
        pipeline,
        eos_token_ids=eos_token_ids,
        pad_token_id=pad_token_id,
        attention_mask=attention_mask,
    )


class _Text(NamedTuple):
    """The prompts of the call of `generate` that runs.

    prompts: `(rows, width)`, padding included. starts: columns of padding, by row.
    """

    prompts: NDArray[np.int64]
    starts: NDArray[np.int64]


class PipelineProcessor:
    """A pipeline as a logits processor of transformers: `(input_ids, scores) -> scores`.

    Make one for each call of `generate`. The first call sees the prompts alone, which tells prompt
    from generated text; a later call continues the text if its rows begin with these prompts and
    are at most one token longer than the longest so far, as in sampling, beams and assisted
    decoding. Any other call begins a new text.

    pipeline: a pipeline or a lone processor, for every row.
    eos_token_ids: tokens that end a row. A row that has one is returned as it came: `generate` goes
        on with it and ignores the token. Without them a grammar leaves such a row no token.
    attention_mask: of the prompts, `(batch, width)`, 0 for padding, which must be on the left; for
        beams and several sequences a prompt, a row of it stands for as many rows of the batch.
    pad_token_id: without a mask: this token at the beginning of a row is padding. None = no row is
        padded.

    Beams: scores are logprobs there; masks and truncations are right on them, and a penalty acts on
    logprobs, as transformers' own does. A `Feedback` in the pipeline follows each row's tokens.
    Continuous batching gives a processor no history, and so drops a pipeline that needs one.

    Raises, when called:
        EmptySupportError, InvalidLogitsError, ProcessorError: of the first row that failed.
        ShapeError: the ids and scores have different rows, or do not fit the mask.
        UnsupportedFeatureError: a pipeline that needs a history is called without one.
    """

    def __init__(
        self,
        pipeline: Pipeline | Processor,
        *,
        eos_token_ids: Collection[int] = (),
        pad_token_id: int | None = None,
        attention_mask: Anything = None,
    ) -> None:
        self.pipeline = as_pipeline(pipeline)
        self.eos_token_ids = tuple(checked_token_ids("eos_token_ids", eos_token_ids))
        self.pad_token_id = pad_token_id
        if pad_token_id is not None:
            [self.pad_token_id] = checked_token_ids("pad_token_id", [pad_token_id])
        self._mask = None if attention_mask is None else _left_padded(attention_mask)
        self._steered = any(isinstance(item, Feedback) for item in self.pipeline.processors)
        self._start: States = Sampler(self.pipeline).start()
        self._sampler: BatchSampler | None = None
        self._rows = 0
        self._text: _Text | None = None
        self._width = 0
        self._seen: OrderedDict[bytes, tuple[Processed, int, History]] = OrderedDict()

    def __reduce__(self) -> tuple[object, ...]:
        """A copy has seen no text."""
        return _again, (self.pipeline, self.eos_token_ids, self.pad_token_id, self._mask)

    @property
    def supports_continuous_batching(self) -> bool:
        """Whether the pipeline needs no history, which continuous batching does not give."""
        facts = [facts_of(item) for item in self.pipeline.processors]
        return not self._steered and all(
            item is not None and not item.needs_history for item in facts
        )

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """The scores `(rows, vocab)` after the pipeline, in their dtype and on their device."""
        for name, value in (("input_ids", input_ids), ("scores", scores)):
            require(name, type(value).__name__, is_tensor(value), "a torch tensor")
        if not self.pipeline.processors:
            return scores
        history, finished = self._history(input_ids, len(scores))
        states = self._states(history) if self._steered else None
        result = self._sampler_for(len(scores)).process(scores, history, states)
        for row, error in sorted(result.errors.items()):
            if not finished[row]:
                raise error
        if self._steered:
            self._remember(result, history)
        return _like(scores, result.logits, finished)

    def _history(self, input_ids: Tensor, rows: int) -> tuple[History, NDArray[np.bool_]]:
        """The history of every row, and which rows have ended."""
        if input_ids.ndim == 1:
            if not self.supports_continuous_batching:
                problem = "continuous batching gives no history, which the pipeline needs"
                raise UnsupportedFeatureError("processor", problem)
            return History.empty(rows), np.zeros(rows, np.bool_)
        if input_ids.ndim != 2 or len(input_ids) != rows:
            raise ShapeError("input_ids", f"shape {tuple(input_ids.shape)}", f"({rows}, length)")
        ids = input_ids.cpu().numpy()
        text = self._text_of(ids)
        width = text.prompts.shape[1]
        lengths = ids.shape[1] - text.starts
        token_ids = ids.astype(np.int32)
        if text.starts.any():
            token_ids = np.full(ids.shape, PADDING, np.int32)
            for row, start in enumerate(text.starts.tolist()):
                token_ids[row, : ids.shape[1] - start] = ids[row, start:]
        ended = np.isin(ids[:, width:], self.eos_token_ids)
        finished = np.array(ended.any(axis=1), np.bool_)
        return History(token_ids, lengths, width - text.starts), finished

    def _text_of(self, ids: NDArray[np.int64]) -> _Text:
        """The text that a call continues, or begins."""
        rows, width = ids.shape
        text, longest = self._text, self._width
        if (
            text is None
            or len(text.prompts) != rows
            or not text.prompts.shape[1] <= width <= longest + 1
            or not np.array_equal(ids[:, : text.prompts.shape[1]], text.prompts)
        ):
            self._text = text = _Text(ids.copy(), self._starts(ids))
            longest = 0
            self._seen.clear()
        self._width = max(width, longest)
        return text

    def _starts(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many columns of each prompt are padding."""
        rows, width = ids.shape
        if self._mask is not None:
            count = len(self._mask)
            if count == 0 or rows % count or self._mask.shape[1] != width:
                expected = f"of {self._mask.shape}, as attention_mask is, or a multiple of its rows"
                raise ShapeError("input_ids", f"shape {ids.shape}", expected)
            pads = np.asarray(width - self._mask.sum(1), np.int64)
            return np.repeat(pads, rows // count)
        if self.pad_token_id is None:
            return np.zeros(rows, np.int64)
        text = ids != self.pad_token_id
        # A row of padding alone has no prompt.
        starts: NDArray[np.int64] = np.where(text.any(1), text.argmax(1), width)
        return starts

    def _sampler_for(self, rows: int) -> BatchSampler:
        if self._sampler is None or self._rows != rows:
            self._sampler, self._rows = BatchSampler([Sampler(self.pipeline)] * rows), rows
        return self._sampler

    def _states(self, history: History) -> list[States]:
        """The states of every row's feedbacks: those after its last token."""
        states: list[States] = []
        for row in range(len(history)):
            generated = history.generated(row)
            if len(generated) == 0:
                states.append(self._start)
                continue
            before = self._seen.get(_key(history.row(row)[:-1]))
            if before is None:
                problem = "a Feedback needs every step of a text, from its first token on"
                raise UnsupportedFeatureError("processor", problem)
            last, number, seen = before
            states.append(last.states_after(number, int(generated[-1]), seen))
        return states

    def _remember(self, result: Processed, history: History) -> None:
        for row in range(len(history)):
            key = _key(history.row(row))
            self._seen[key] = result, row, history
            self._seen.move_to_end(key)
        while len(self._seen) > MOST_REMEMBERED + 4 * len(history):
            self._seen.popitem(last=False)


def _again(
    pipeline: Pipeline, eos: tuple[int, ...], pad: int | None, mask: NDArray[np.int64] | None
) -> PipelineProcessor:
    return PipelineProcessor(pipeline, eos_token_ids=eos, pad_token_id=pad, attention_mask=mask)


def _key(token_ids: NDArray[np.int32]) -> bytes:
    return token_ids.tobytes()


def _left_padded(mask: Anything) -> NDArray[np.int64]:
    """An attention mask as an array, checked: ones behind zeros in every row."""
    array = mask.cpu().numpy() if is_tensor(mask) else np.asarray(mask)
    expected = "(batch, width) of 0 and 1, padding on the left"
    if array.ndim != 2 or array.dtype.kind not in "iub":
        raise ParameterError("attention_mask", f"{array.dtype} of shape {array.shape}", expected)
    ones = array.astype(np.int64)
    legal = bool(np.isin(ones, (0, 1)).all() and (np.diff(ones, axis=1) >= 0).all())
    require("attention_mask", "another mask", legal, expected)
    return ones


def _like(scores: Tensor, logits: NDArray[Any], finished: NDArray[np.bool_]) -> Tensor:
    """Logits in the dtype and on the device of scores; rows that have ended are as they were."""
    import torch

    made = torch.from_numpy(logits)
    if scores.dtype in (torch.float16, torch.bfloat16):
        # What is finite stays finite.
        lowest = torch.finfo(scores.dtype).min
        made = torch.where(made == -torch.inf, made, made.clamp(lowest, -lowest))
    made = made.to(scores.device, scores.dtype)
    if finished.any():
        made = torch.where(torch.from_numpy(finished)[:, None].to(scores.device), scores, made)
    return made
