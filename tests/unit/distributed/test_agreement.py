"""Ranks that were given different things, or of which one cannot go on, all raise the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from parts import Ranks, split

from decoding import GrammarMask, History, Sampler, chain
from decoding.errors import (
    ParameterError,
    ProcessorError,
    RankError,
    RankMismatchError,
    ShapeError,
    UnsupportedFeatureError,
)
from decoding.grammar import Machine, compile_regex, token_table
from decoding.processors import (
    AtLeast,
    Mirostat2,
    NaNPolicy,
    Renormalise,
    Temperature,
    TopK,
    TopP,
    Watermark,
)
from decoding.vocabulary import Vocabulary
from decoding.watermark import philox

LOGITS = np.random.default_rng(0).normal(size=(1, 60)).astype(np.float32)
HISTORY = History.of([[1, 2]], [[3]])
HALVES = split(LOGITS, (30, 30))


def alike(results: list[Any]) -> BaseException:
    """The error that all ranks raised."""
    assert len({(type(item), str(item)) for item in results}) == 1, results
    error = results[0]
    assert isinstance(error, BaseException)
    return error


@pytest.mark.parametrize(
    "other",
    [
        Sampler(chain(TopP(0.8)), 1),
        Sampler(chain(TopP(0.9)), 2),
        Sampler(chain(TopP(0.9)), 1, top_n=1),
        Sampler(chain(NaNPolicy(), TopP(0.9)), 1),
    ],
)
def test_other_samplers_are_named(other: Sampler) -> None:
    error = alike(Ranks([[Sampler(chain(TopP(0.9)), 1)], [other]]).made)
    assert isinstance(error, RankMismatchError)
    assert (error.name, error.rank) == ("samplers", 1)
    assert repr(other) in str(error)


def test_another_width_is_named() -> None:
    error = alike(Ranks([[Sampler()], [Sampler()]], logits_width=61).step(HALVES, [HISTORY] * 2))
    assert isinstance(error, ShapeError)
    assert "[30, 30]" in str(error)
    assert "61" in str(error)


@pytest.mark.parametrize(
    ("other", "name"),
    [
        (History.of([[1, 2]], [[4]]), "history"),
        (History.of([[1, 2]]), "lengths of the history"),
        (History.of([[1, 2, 3]]), "prompt_lengths of the history"),
    ],
)
def test_another_history_is_named(other: History, name: str) -> None:
    ranks = Ranks([[Sampler()], [Sampler()]])
    error = alike(ranks.step(HALVES, [HISTORY, other]))
    assert isinstance(error, RankMismatchError)
    assert error.name == name
    # Nothing is out of step: the next call works.
    [found, _] = ranks.step(HALVES, [HISTORY] * 2)
    assert found[0].token_id == LOGITS.argmax()


def test_a_rank_whose_check_fails_fails_everywhere() -> None:
    ranks = Ranks([[Sampler()]] * 3)
    slices = split(LOGITS, (20, 20, 20))
    for wrong in (slices[1][0], np.zeros((2, 20), np.float32), slices[1].astype(int)):
        error = alike(ranks.step([slices[0], wrong, slices[2]], [HISTORY] * 3))
        assert isinstance(error, ShapeError)
        assert error.__notes__ == ["on rank 1 of the group"]
    error = alike(Ranks([[Sampler()], ["greedy"]]).made)
    assert isinstance(error, ParameterError)


def test_an_error_of_no_type_of_ours_is_told_as_text() -> None:
    class Rows(np.ndarray):
        def view(self, *arguments: Any) -> Any:
            raise ZeroDivisionError("by a view")

    ranks = Ranks([[Sampler()], [Sampler()]])
    first, second = ranks.step([HALVES[0], HALVES[1].view(Rows)], [HISTORY] * 2)
    assert isinstance(second, ZeroDivisionError)
    assert isinstance(first, RankError)
    assert first.rank == 1
    assert "by a view" in str(first)


@pytest.mark.parametrize(
    "processor",
    [
        Mirostat2(5.0, 0.1),
        AtLeast(TopP(0.5), 2),
        Renormalise(),
        Watermark(philox()),
        lambda logits, history: logits,
    ],
)
def test_processors_that_need_whole_rows_are_refused_by_name(processor: Any) -> None:
    error = alike(Ranks([[Sampler(chain(TopK(3), processor), 1)]] * 2).made)
    assert isinstance(error, UnsupportedFeatureError)
    assert type(processor).__name__ in error.feature


def test_a_policy_for_nan_is_refused_behind_others() -> None:
    made = Ranks([[Sampler(chain(Temperature(0.5), NaNPolicy()))]] * 2).made
    assert "first of a pipeline" in str(alike(made))


class _Fails:
    """A mask that fails at a length."""

    def __call__(self, logits: Any, history: Any) -> Any:
        raise AssertionError

    def lower(self) -> Any:
        from decoding.processors.instructions import only

        return (only([1, 2, 40]),)

    def bitmask(self, history: History) -> Any:
        if history.lengths[0] == self.fails_at:
            raise RuntimeError("no mask")
        return self.lower()[0].bitmask

    fails_at = 3


class _FailsElsewhere(_Fails):
    fails_at = -1


_FailsElsewhere.__qualname__ = _Fails.__qualname__


def test_a_processor_that_fails_on_one_rank_fails_its_row_on_all() -> None:
    rows = np.repeat(LOGITS, 2, axis=0)
    history = History.of([[1, 2], [1, 2]], [[3], [3]])
    ranks = Ranks([[Sampler(chain(one())), Sampler()] for one in (_FailsElsewhere, _Fails)])
    assert ranks.made == [None, None]
    first, second = ranks.step(split(rows, (30, 30)), [history] * 2)
    for found in (first, second):
        assert isinstance(found[0], ProcessorError)
        assert "no mask" in str(found[0])
        assert found[1].token_id == LOGITS.argmax()


def test_masks_of_a_grammar_and_other_masks() -> None:
    vocabulary = Vocabulary([b"a", b"b", b"</s>"], frozenset({2}))
    machine = Machine(token_table(vocabulary, {2}))
    pipelines = [chain(GrammarMask(compile_regex(one, machine))) for one in ("(ab)+", "b+")]
    rows, history = np.zeros((1, 3), np.float32), History.of([[1]], [[0]])
    halves = split(rows, (1, 2))
    ranks = Ranks([[Sampler(pipelines[0])]] * 2)
    [found, _] = ranks.step(halves, [history] * 2)
    assert (found[0].token_id, found[0].support_size) == (1, 1)
    ranks = Ranks([[Sampler(pipeline)] for pipeline in pipelines])
    error = alike(ranks.step(halves, [History.of([[1]])] * 2))
    assert isinstance(error, RankMismatchError)
    assert "make of the history" in str(error)
