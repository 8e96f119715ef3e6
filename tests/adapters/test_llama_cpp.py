"""The adapter of llama-cpp-python, with a stand-in that calls it as version 0.3.36 does."""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Iterator
from itertools import islice
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from profiles import spread

from decoding import (
    GenerationParameters,
    Grammar,
    LanguageModel,
    Sampler,
    chain,
    generate,
    pipeline_of,
    presets,
)
from decoding.adapters.llama_cpp import export, forward, processor, sampler, tokenizer
from decoding.errors import (
    EmptySupportError,
    GrammarUnsupportedError,
    MissingDependencyError,
    ParameterError,
)
from decoding.models.fetch import fetch
from decoding.processors import SuppressTokens, Temperature

VOCAB, CONTEXT = 40, 64


class Llama:
    """What the adapter uses of `llama_cpp.Llama`: one context, and a loop whose sampler is in C.

    The logits depend on the tokens that the context holds, so that a context with the wrong ones
    shows. cuts: whether the end of the memory can be removed, which a recurrent model's cannot.
    """

    def __init__(self, *, cuts: bool = True) -> None:
        self.cuts = cuts
        self.remembered = 0
        self.input_ids = np.zeros(CONTEXT, np.intc)
        self.n_tokens = 0
        self.evaluated = 0
        self.ctx = self
        self.logits = np.zeros(VOCAB, np.float32)

    def n_ctx(self) -> int:
        return CONTEXT

    def n_vocab(self) -> int:
        return VOCAB

    def reset(self) -> None:
        self.n_tokens = self.remembered = 0

    def remove(self, start: int) -> bool:
        if self.cuts or start >= self.remembered:
            self.remembered = min(start, self.remembered)
            return True
        return False

    def eval(self, tokens: list[int]) -> None:
        self.remove(self.n_tokens)
        assert self.remembered == self.n_tokens
        self.input_ids[self.n_tokens : self.n_tokens + len(tokens)] = tokens
        self.n_tokens += len(tokens)
        self.remembered = self.n_tokens
        self.evaluated += len(tokens)
        self.logits = logits_after(self.input_ids[: self.n_tokens])

    def generate(
        self, tokens: list[int], logits_processor: Any = None, stopping_criteria: Any = None
    ) -> Iterator[int]:
        self.reset()
        while True:
            self.eval(tokens)
            token = self.sample(logits_processor)
            known = self.input_ids[: self.n_tokens]
            if stopping_criteria is not None and stopping_criteria(known, self.logits):
                return
            yield token
            tokens = [token]

    def sample(self, logits_processor: Any) -> int:
        """The likeliest token of the array of structures that a callback from C has changed."""
        kind = np.dtype([("id", np.intc), ("logit", np.single), ("p", np.single)], align=True)
        row = np.recarray(VOCAB, dtype=kind)
        row.id, row.logit = np.arange(VOCAB), self.logits

        def apply(_: Any) -> None:
            for item in logits_processor or ():
                row.logit[:] = item(self.input_ids[: self.n_tokens], row.logit)

        with contextlib.suppress(BaseException):  # as ctypes does with a callback's exceptions
            apply(None)
        return int(row.id[row.logit.argmax()])


def logits_after(token_ids: Any) -> np.ndarray:
    generator = np.random.default_rng([int(item) for item in token_ids])
    return (3 * generator.standard_normal(VOCAB)).astype(np.float32)


@pytest.fixture(autouse=True)
def package(monkeypatch: pytest.MonkeyPatch) -> None:
    def logits_of(context: Llama, index: int) -> Any:
        assert index == -1
        return context.logits.ctypes.data_as(ctypes.POINTER(ctypes.c_float))

    made = SimpleNamespace(
        llama_get_logits_ith=logits_of,
        llama_get_memory=lambda context: context,
        llama_memory_seq_rm=lambda memory, sequence, start, end: memory.remove(start),
        LlamaGrammar=SimpleNamespace(from_string=lambda text, verbose: ("grammar", text, verbose)),
    )
    monkeypatch.setitem(sys.modules, "llama_cpp", made)


def first(tokens: Iterator[int], count: int) -> list[int]:
    return [token for _, token in zip(range(count), tokens, strict=False)]


@pytest.mark.parametrize(
    "pipeline",
    spread(
        [
            presets.llama_cpp(temp=0.9, xtc_probability=0.5, repeat_penalty=1.2),
            chain(
                *pipeline_of(
                    GenerationParameters(dry_multiplier=0.8, watermark=True), VOCAB
                ).processors
            ),
            pipeline_of(GenerationParameters(mirostat=2, mirostat_tau=3.0)),
        ],
        1,
    ),
)
def test_its_loop_draws_what_our_loop_draws(pipeline: Any) -> None:
    llm = Llama()
    arguments = sampler(Sampler(pipeline, 5))
    for prompt in ([1, 2, 3], [4]):  # the same arguments follow one text after another
        drawn = first(llm.generate(prompt, **arguments), 15)
        asked = GenerationParameters(seed=5, max_new_tokens=15)
        ours = generate(
            lambda rows: np.stack([logits_after(row) for row in rows]),
            prompt,
            asked,
            pipeline=pipeline,
        )
        assert drawn == [token.id for token in ours.tokens]


def test_a_processor_edits_and_it_draws() -> None:
    banned = tuple(range(10, VOCAB))
    drawn = first(Llama().generate([1], **processor(SuppressTokens(banned))), 10)
    assert max(drawn) < 10
    plain = generate(
        lambda rows: np.stack([logits_after(row) for row in rows]),
        [1],
        GenerationParameters(suppress_tokens=banned, max_new_tokens=10),
    )
    assert drawn == [token.id for token in plain.tokens]


def test_an_error_in_a_callback_from_c_is_raised_before_the_token_comes_out() -> None:
    def nothing(logits: Any, history: Any) -> Any:
        return np.full_like(logits, -np.inf) if history.lengths[0] == 4 else logits

    for make in (processor, lambda item: sampler(Sampler(item, 1))):
        tokens = Llama().generate([1, 2], **make(chain(nothing)))
        found: list[int] = []
        with pytest.raises(EmptySupportError):
            found.extend(islice(tokens, 10))
        assert len(found) == 2


def test_an_interrupt_in_a_callback_is_raised_too() -> None:
    def interrupted(logits: Any, history: Any) -> Any:
        if history.lengths[0] == 4:
            raise KeyboardInterrupt
        return logits

    arguments = sampler(Sampler(chain(interrupted), 1))
    found: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        found.extend(islice(Llama().generate([1, 2], **arguments), 10))
    assert len(found) == 2
    # The next text is not touched by it.
    assert len(first(Llama().generate([9], **arguments), 2)) == 2


def test_a_bias_of_the_engine_is_applied_first_and_to_that_call_alone() -> None:
    # `create_completion` goes on with what `extend` of the processors returns.
    arguments = sampler(Sampler(Temperature(0.8), 1))
    plain = first(Llama().generate([1, 2], **arguments), 5)

    def bias(token_ids: Any, scores: Any) -> Any:
        return scores + 100.0 * (np.arange(VOCAB) == 17)

    biased = arguments | {"logits_processor": arguments["logits_processor"].extend([bias])}
    assert first(Llama().generate([1, 2], **biased), 5) == [17] * 5
    assert first(Llama().generate([1, 2], **arguments), 5) == plain


def test_a_memory_that_cannot_be_cut_is_computed_again() -> None:
    llm = Llama(cuts=False)
    model = forward(llm)
    [one, two], _ = model.prefill([[1, 2, 3], [1, 2, 4]])
    assert np.array_equal(model.extend([two], [[5]]), [logits_after([1, 2, 4, 5])])
    assert llm.evaluated == 7  # one sequence after another, a token a step
    model.rollback(two, 1)
    after = [logits_after([1, 2, 4, 6]), logits_after([1, 2, 3, 6])]
    assert np.array_equal(model.extend([two, one], [[6], [6]]), after)


def test_its_model_is_a_cached_model() -> None:
    llm = Llama()
    model = forward(llm)
    [one], logits = model.prefill([[1, 2, 3]], all_positions=True)
    assert np.array_equal(logits, [logits_after([1, 2, 3][:end]) for end in (1, 2, 3)])
    other = model.fork(one)
    assert np.array_equal(model.extend([one], [[4, 5]]), [logits_after([1, 2, 3, 4, 5])])
    evaluated = llm.evaluated
    assert np.array_equal(model.extend([one], [[6]]), [logits_after([1, 2, 3, 4, 5, 6])])
    assert llm.evaluated == evaluated + 1  # one sequence at a time costs a token a step
    model.rollback(one, 2)
    after = [logits_after([1, 2, 3, 9]), logits_after([1, 2, 3, 4, 9])]
    assert np.array_equal(model.extend([other, one], [[9], [9]]), after)
    llm.generate([7, 7, 7], lambda ids, scores: scores)  # its own loop may run between
    first(llm.generate([7, 8]), 3)
    assert np.array_equal(model.extend([other], [[5]]), [logits_after([1, 2, 3, 9, 5])])
    model.release(one)
    model.release(one)
    with pytest.raises(ParameterError, match="released"):
        model.extend([one], [[1]])
    with pytest.raises(ParameterError, match="context length"):
        model.extend([other], [[1] * CONTEXT])
    evaluated = llm.evaluated
    for wrong in (-1, VOCAB):
        with pytest.raises(ParameterError, match=r"token id must be in \[0, 40\)"):
            model.extend([other], [[1, wrong]])
    assert llm.evaluated == evaluated


def test_our_loop_draws_the_same_from_its_model_as_from_a_function() -> None:
    asked = GenerationParameters(seed=3, top_p=0.9, max_new_tokens=12, best_of=2)
    model = LanguageModel(forward=forward(Llama()), context_length=CONTEXT)
    mine = generate(model, [1, 2], asked, pipeline=Temperature(0.8))
    plain = generate(
        lambda rows: np.stack([logits_after(row) for row in rows]),
        [1, 2],
        asked,
        pipeline=Temperature(0.8),
    )
    assert [token.id for token in mine.tokens] == [token.id for token in plain.tokens]


def test_grammars_are_exported_as_gbnf() -> None:
    assert export(Grammar("regex", "[ab]+")) == ("grammar", "root ::= ([a-b])+\n", False)
    with pytest.raises(GrammarUnsupportedError, match="masks"):
        export(Grammar("json", {"type": "integer"}))
    with pytest.raises(ParameterError, match="a Grammar"):
        export("root ::= a")


def test_without_the_package_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "llama_cpp", None)
    with pytest.raises(MissingDependencyError, match="llama-cpp-python"):
        export(Grammar("regex", "a"))


@pytest.mark.model
def test_the_tokenizer_is_that_of_the_file() -> None:
    path = fetch("smollm2")
    made = tokenizer(SimpleNamespace(model_path=str(path)))
    assert made.vocabulary.bytes_of(made.encode(" hello")[-1]) == b" hello"
    assert len(made.vocabulary) == 49152
