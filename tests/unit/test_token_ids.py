"""Single token ids, and vocabularies of one's own: what is no token id is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from decoding.engine import TokenText
from decoding.errors import ParameterError, ShapeError
from decoding.grammar import Machine, Matcher, apply_mask, compile_regex, token_table
from decoding.logits import as_rows
from decoding.vocabulary import Vocabulary

LETTERS = Vocabulary([b"a", b"b", b"</s>"], frozenset({2}))
NO_TOKEN_IDS: list[Any] = [True, 1.0, "1", None, [1], np.array([1]), np.float64(1)]


def matcher() -> Matcher:
    grammar = compile_regex("[ab]+", Machine(token_table(LETTERS, {2})))
    made = grammar.matcher()
    assert isinstance(made, Matcher)
    assert made.advance(1)  # what equals 1 has been seen
    return made


@pytest.mark.parametrize("token_id", NO_TOKEN_IDS, ids=repr)
def test_what_is_no_token_id_is_refused(token_id: Any) -> None:
    with pytest.raises(ParameterError, match=r"^token_id must be"):
        matcher().advance(token_id)
    with pytest.raises(ParameterError, match=r"^token_id must be"):
        matcher().count_allowed([token_id])
    with pytest.raises(ParameterError, match=r"^token_id must be"):
        TokenText(LETTERS).push(token_id)


def test_a_token_id_may_be_an_integer_of_numpy_or_torch() -> None:
    torch = pytest.importorskip("torch")
    for token_id in (np.int64(1), np.array(1), torch.tensor(1)):
        assert matcher().advance(token_id)
        assert TokenText(LETTERS).push(token_id) == "b"


def test_a_negative_id_is_not_the_last_token() -> None:
    assert LETTERS.bytes_of(-1) == b""
    assert not matcher().advance(-1)
    with pytest.raises(ParameterError, match=r"^token_id must be >= 0"):
        TokenText(LETTERS).push(-1)


@pytest.mark.parametrize("special", [None, 0, {"a"}, {True}, {0.0}, {-1}, "a", {0: 1}])
def test_special_token_ids_are_token_ids(special: Any) -> None:
    with pytest.raises(ParameterError, match=r"^special_token_ids must be"):
        Vocabulary([b"a", b"b"], special)


@pytest.mark.parametrize("special", [{1}, [1], (1,), np.array([1])])
def test_special_token_ids_are_any_collection(special: Any) -> None:
    assert Vocabulary([b"a", b"b"], special).special_token_ids == frozenset({1})


@pytest.mark.parametrize(
    "special", [{"\ud800": 1}, {b"a": 1}, [("a", 1)], {"a": 0}, {"a": 2**40}, {"a": True}]
)
def test_special_tokens_of_ranks_are_text(special: Any) -> None:
    with pytest.raises(ParameterError, match=r"^special_tokens"):
        Vocabulary.from_ranks({b"a": 0}, special)


def test_ids_of_ranks_may_be_of_numpy() -> None:
    made = Vocabulary.from_ranks({b"a": np.int64(0)}, {"<e>": np.int64(1)})
    assert made.token_bytes == [b"a", b"<e>"]
    assert made.special_token_ids == frozenset({1})


def test_the_message_about_a_rank_is_bounded() -> None:
    with pytest.raises(ParameterError) as caught:
        Vocabulary.from_ranks({b"a" * 10**6: -1})
    assert len(str(caught.value)) < 2000


def test_a_tensor_without_values_is_no_logits() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(ShapeError, match="meta"):
        as_rows(torch.empty(1, 4, device="meta"))


def test_a_mask_is_not_written_to_what_is_read_only() -> None:
    logits = np.zeros((1, 3), np.float32)
    logits.flags.writeable = False
    with pytest.raises(ParameterError, match=r"^out must be writeable"):
        apply_mask(logits, matcher().mask(), out=logits)


def test_the_processor_for_transformers_takes_tensors_alone() -> None:
    torch = pytest.importorskip("torch")
    from decoding.adapters.transformers import processor
    from decoding.processors import TopK

    made = processor(TopK(1))
    with pytest.raises(ParameterError, match=r"^scores must be a torch tensor"):
        made(torch.tensor([[1]]), np.zeros((1, 3), np.float32))
    with pytest.raises(ParameterError, match=r"^input_ids must be a torch tensor"):
        made(np.array([[1]]), torch.zeros(1, 3))
