"""llama-cpp-python: callbacks for its loop, its models as cached models, grammars as GBNF.

    processor(pipeline)  the keyword arguments that make llama.cpp draw from edited logits
    sampler(sampler)     the keyword arguments that make it take the token that is drawn here
    forward(llm)         a `decoding.models.CachedModel`
    tokenizer(llm)       the tokenizer of the model's file, as a `decoding.vocabulary.Tokenizer`
    export(grammar)      a `LlamaGrammar`, where GBNF can say the grammar

    llm.create_completion(prompt, temperature=1.0, **llama_cpp.sampler(Sampler(...)))

`decoding.presets.llama_cpp` makes pipelines of llama.cpp's own parameter names. A grammar that GBNF
cannot say, as a JSON Schema, runs by `GrammarMask` in the pipeline. Version 0.3.36.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from decoding.checks import imported
from decoding.errors import require
from decoding.kernels.backends import Backend
from decoding.models.cached_calls import (
    check_lengths,
    check_rollback,
    check_states,
    check_token_range,
    in_use,
)
from decoding.pipeline import Pipeline
from decoding.request_grammar import Grammar
from decoding.sampling import followed
from decoding.sampling.batch import Sampler
from decoding.typing import Anything, Logits, Processor
from decoding.vocabulary import Tokenizer


def processor(
    pipeline: Pipeline | Processor, *, backend: Backend | None = None
) -> dict[str, list[Any]]:
    """Make the arguments `logits_processor` and `stopping_criteria` that edit logits.

    llama.cpp's own chain draws; its default has a top-k, a top-p and a min-p. One call follows one
    text at a time; the same arguments can be used for another one.

    llama.cpp calls processors from C, which drops exceptions: an error of the pipeline, or an
    interrupt, is raised by the stopping criterion instead, before the token is handed out.
    The argument `logit_bias` of llama-cpp-python is applied first.
    """
    return _arguments(followed.edited(pipeline, backend))


def sampler(sampler: Sampler, *, backend: Backend | str | None = None) -> dict[str, list[Any]]:
    """Make the arguments `logits_processor` and `stopping_criteria` that draw the tokens here.

    The row keeps the drawn token alone, so that llama.cpp's chain has no choice, whatever its
    parameters are. Tokens are those that `BatchSampler` draws from the same logits and token ids.
    The rest as for `processor`.
    """
    return _arguments(followed.drawn(sampler, backend))


def _arguments(texts: followed.FollowedTexts) -> dict[str, list[Any]]:
    callback = _Callback(texts)
    return {
        "logits_processor": _Callables([callback]),
        "stopping_criteria": _Callables([callback.raise_error]),
    }


class _Callables(list[Any]):
    """A list of callbacks that is called as one, as llama-cpp-python's `LogitsProcessorList` is."""

    def __call__(self, token_ids: Anything, scores: Anything) -> Anything:
        for item in self:
            scores = item(token_ids, scores)
        return scores

    def extend(self, items: Iterable[Any]) -> _Callables:  # type: ignore[override]
        """Return a new list with other callbacks before these; this list stays as it is.

        For the argument `logit_bias` llama-cpp-python goes on with what `extend` returns: with the
        None of a list it would run no processor at all. The bias comes first, so that it counts.
        """
        return _Callables([*items, *self])


class _Callback:
    """A logits processor, and the stopping criterion that raises the processor's error."""

    def __init__(self, texts: followed.FollowedTexts) -> None:
        self._texts = texts
        self._error: BaseException | None = None

    def __call__(self, token_ids: NDArray[np.int32], scores: NDArray[np.float32]) -> Logits:
        """The new logits `(vocab,)`; the given ones are a strided view of C structures."""
        row = np.ascontiguousarray(scores)
        try:
            # The buffer of the ids is llama.cpp's own, which it writes on.
            return self._texts(row, np.array(token_ids, np.int32))
        except BaseException as error:
            self._error = error
            return row

    def raise_error(self, _: Anything, __: Anything) -> bool:
        """The stopping criterion: raise the error of the last row, if it had one; never stop."""
        error, self._error = self._error, None
        if error is not None:
            raise error
        return False


def export(grammar: Grammar) -> Anything:
    """Make a `LlamaGrammar` of a `Grammar` of the kind regex, gbnf or lark; refuse a JSON Schema.

    Raises:
        GrammarUnsupportedError: GBNF cannot say it, as JSON Schemas and look-arounds.
        MissingDependencyError: llama-cpp-python is not installed.
    """
    require("grammar", grammar, isinstance(grammar, Grammar), "a Grammar")
    return _package().LlamaGrammar.from_string(grammar.to_gbnf(), verbose=False)


def tokenizer(llm: Anything) -> Tokenizer:
    """Make the tokenizer of the file that a `Llama` was loaded from.

    Raises:
        ModelFormatError: the file has a tokenizer that is not implemented.
    """
    from decoding.models.gguf import GGUFFile
    from decoding.models.tokenizer import HuggingFaceTokenizer

    return HuggingFaceTokenizer.from_gguf(GGUFFile.open(llm.model_path).metadata, llm.model_path)


def forward(llm: Anything) -> LlamaCppModel:
    """Make a cached model of a `llama_cpp.Llama`.

    Its context holds one sequence. A call for a sequence computes what follows its longest common
    beginning with that; so one sequence at a time costs a token a step, and several cost more. A
    model whose memory cannot be cut, as a recurrent one's, computes whole sequences instead.
    """
    return LlamaCppModel(llm)


@dataclass(slots=True, eq=False)
class LlamaCppState:
    """A sequence of a cached model: its token ids; None once released."""

    token_ids: list[int] | None = field(default_factory=list)


@dataclass(frozen=True, slots=True, eq=False)
class LlamaCppModel:
    """A `CachedModel` that evaluates sequences in the one context of a `Llama`.

    Raises:
        ParameterError: no or an empty sequence, one beyond the context, a token id outside the
            vocabulary, a released state, or one that is given twice.
    """

    llm: Any = field(repr=False)

    def prefill(
        self, prompts: Sequence[Sequence[int]], *, all_positions: bool = False
    ) -> tuple[list[LlamaCppState], Logits]:
        """Run the forward pass over each prompt as a new sequence; see `CachedModel.prefill`."""
        states = [LlamaCppState() for _ in prompts]
        return states, self.extend(states, prompts, all_positions=all_positions)

    def extend(
        self,
        states: Sequence[LlamaCppState],
        token_ids: Sequence[Sequence[int]],
        *,
        all_positions: bool = False,
    ) -> Logits:
        """Append tokens; see `CachedModel.extend`."""
        check_states(states, token_ids)
        check_lengths([len(_known(state)) for state in states], token_ids, self.llm.n_ctx())
        check_token_range(token_ids, self.llm.n_vocab())
        rows: list[NDArray[np.float32]] = []
        for state, new in zip(states, token_ids, strict=True):
            known = _known(state)
            # Without `logits_all` llama.cpp keeps the logits of the last token of a call alone.
            for part in [[token] for token in new] if all_positions else [new]:
                known += part
                rows.append(self._logits(known))
        return np.stack(rows)

    def _logits(self, token_ids: list[int]) -> NDArray[np.float32]:
        """The logits after a sequence, whatever the context holds before."""
        llm = self.llm
        held = np.asarray(llm.input_ids[: llm.n_tokens])
        limit = min(len(held), len(token_ids) - 1)
        same = held[:limit] == np.array(token_ids[:limit], held.dtype)
        common = int(limit if same.all() else np.argmin(same))
        package = _package()
        if package.llama_memory_seq_rm(package.llama_get_memory(llm.ctx), 0, common, -1):
            llm.n_tokens = common
        else:
            llm.reset()
            common = 0
        llm.eval(token_ids[common:])
        address = package.llama_get_logits_ith(llm.ctx, -1)
        pointer = ctypes.cast(address, ctypes.POINTER(ctypes.c_float))
        return np.ctypeslib.as_array(pointer, shape=(llm.n_vocab(),)).copy()

    def fork(self, state: LlamaCppState) -> LlamaCppState:
        """Copy a state: its token ids."""
        return LlamaCppState(list(_known(state)))

    def rollback(self, state: LlamaCppState, count: int) -> None:
        """Forget the last `count` tokens; raises ParameterError for more than there are."""
        known = _known(state)
        check_rollback(count, len(known))
        del known[len(known) - count :]

    def release(self, state: LlamaCppState) -> None:
        """Drop the token ids; a second call does nothing."""
        state.token_ids = None


def _known(state: LlamaCppState) -> list[int]:
    return in_use(state.token_ids)


def _package() -> Anything:
    return imported("llama_cpp", "llama-cpp-python", "adapters")
