"""`check_grammar` finds unsound, incomplete and inconsistent masks."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from decoding.errors import ParameterError
from decoding.grammar import Machine, compile_regex, token_table
from decoding.testing import CheckFailedError, check_grammar
from decoding.vocabulary import Vocabulary

TOKENS = [b"</s>", b"a", b"b", b"ab", b"ba", b"aa", b"c", b""]
END = 0


class Letters:
    """The texts (ab)+, token by token; written without this library."""

    def __init__(self) -> None:
        self.texts = [b""]

    @property
    def is_accepting(self) -> bool:
        return bool(re.fullmatch(rb"(ab)+", self.texts[-1]))

    def may_follow(self, token: int) -> bool:
        text = self.texts[-1] + TOKENS[token]
        return bool(TOKENS[token]) and bool(re.fullmatch(rb"(ab)*a?", text))

    def mask(self) -> Any:
        allowed = np.array([self.may_follow(token) for token in range(len(TOKENS))])
        allowed[END] = self.is_accepting
        return allowed

    def advance(self, token: int) -> bool:
        if token == END or not self.may_follow(token):
            return False
        self.texts.append(self.texts[-1] + TOKENS[token])
        return True

    def rollback(self, count: int) -> None:
        del self.texts[len(self.texts) - count :]


def check(start: Any, **options: Any) -> None:
    check_grammar(
        start,
        TOKENS,
        accepted=["ab", "abab"],
        refused=["a", "abb", "ba", "abac"],
        is_member=lambda text: bool(re.fullmatch(rb"(ab)+", text)),
        end_ids=[END],
        **options,
    )


def test_a_right_grammar_passes() -> None:
    check(Letters)


def test_ours_passes() -> None:
    vocabulary = Vocabulary(TOKENS, frozenset({END, 7}))
    machine = Machine(token_table(vocabulary, [END]))
    check(compile_regex("(ab)+", machine).matcher)


class EndsAnywhere(Letters):
    @property
    def is_accepting(self) -> bool:
        return len(self.texts[-1]) > 0


class NeverEnds(Letters):
    def mask(self) -> Any:
        allowed = super().mask()
        allowed[END] = False
        return allowed


class MasksTooMuch(Letters):
    def mask(self) -> Any:
        allowed = super().mask()
        allowed[3] = False
        return allowed


class MasksTooLittle(Letters):
    def mask(self) -> Any:
        allowed = super().mask()
        allowed[6] = True
        return allowed


class TakesAnything(Letters):
    def advance(self, token: int) -> bool:
        self.texts.append(self.texts[-1] + TOKENS[token])
        return True


class ForgetsWhenRefusing(Letters):
    def advance(self, token: int) -> bool:
        taken = super().advance(token)
        if not taken:
            self.texts = [b""]
        return taken


class RollsBackTooFar(Letters):
    def rollback(self, count: int) -> None:
        super().rollback(min(count + 1, len(self.texts) - 1))


class AllowsSpecial(Letters):
    def mask(self) -> Any:
        allowed = super().mask()
        allowed[7] = True
        return allowed


class DeadEnd(Letters):
    def may_follow(self, token: int) -> bool:
        return super().may_follow(token) and not self.texts[-1].endswith(b"a")


class Raises(Letters):
    def mask(self) -> Any:
        if len(self.texts) > 3:
            raise IndexError("mask")
        return super().mask()


@pytest.mark.parametrize(
    ("start", "laws"),
    [
        (EndsAnywhere, {"sound"}),
        (NeverEnds, {"end"}),
        (MasksTooMuch, {"complete"}),
        (MasksTooLittle, {"mask"}),
        (TakesAnything, {"sound", "mask"}),
        (ForgetsWhenRefusing, {"refusal"}),
        (RollsBackTooFar, {"rollback"}),
        (AllowsSpecial, {"special"}),
        (DeadEnd, {"complete", "dead end"}),
        (Raises, {"answers"}),
    ],
)
def test_faults_are_found(start: Any, laws: set[str]) -> None:
    with pytest.raises(CheckFailedError) as caught:
        check(start)
    assert caught.value.finding.law in laws


def test_a_grammar_without_rollback() -> None:
    check(RollsBackTooFar, rolls_back=False)


def test_a_text_that_no_tokens_spell() -> None:
    with pytest.raises(ParameterError, match="a text that the tokens spell"):
        check_grammar(Letters, TOKENS, accepted=["x"])
