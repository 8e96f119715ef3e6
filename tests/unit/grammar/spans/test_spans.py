"""Texts of spans: masks against the language they stand for, forks, budgets, engines."""

from __future__ import annotations

import json
import pickle
import random
import re
from collections.abc import Callable

import numpy as np
import pytest
from profiles import amount

from decoding import GenerationParameters, LanguageModel, Request
from decoding.engine import Engine
from decoding.errors import ParameterError
from decoding.grammar import Machine, compile_json_schema, compile_regex, forced_tokens, token_table
from decoding.grammar.masking.matcher import Matcher
from decoding.grammar.spans import END, FreeSpan, GrammarSpan, SpanGrammar, TokenSpan
from decoding.testing.models import hash_model
from decoding.vocabulary import Vocabulary

PIECES = [
    b"<t>", b"<t", b"t>", b">1", b"<t>1", b"x<t>12", b"<t>x", b"12<", b"2</", b"2</t>", b"</t>",
    b"2</t>z", b"t>12</t>", b"{}", b"{}</", b"}</t>", b"]}</t>", b"ab", b"</", b"2</t><t>9",
]  # fmt: skip
END_ID, OPEN_ID, OTHER_ID = 256 + len(PIECES), 257 + len(PIECES), 258 + len(PIECES)
VOCABULARY = Vocabulary(
    [*(bytes([byte]) for byte in range(256)), *PIECES, b"<end>", b"[CALL]", b"<other>"],
    frozenset({END_ID, OPEN_ID, OTHER_ID}),
)
WIDTH = len(VOCABULARY) + 5
MACHINE = Machine(token_table(VOCABULARY, [END_ID], WIDTH))


class ByteTokenizer:
    vocabulary = VOCABULARY

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        return list(text.encode())


MODEL = LanguageModel(
    forward=hash_model(WIDTH), tokenizer=ByteTokenizer(), eos_token_ids=frozenset({END_ID}),
    logits_width=WIDTH, context_length=2000,
)  # fmt: skip


def auto(*, again: bool = True) -> SpanGrammar:
    """Free text, `<t>`, two digits, `</t>`, and free text again."""
    digits = GrammarSpan(compile_regex(r"\d\d", MACHINE), (2,), b"0123456789")
    close = GrammarSpan(compile_regex("</t>", MACHINE), (0,) if again else (END,), b"")
    return SpanGrammar(MACHINE, (FreeSpan(((b"<t>", 1),)), digits, close))


def fits_auto(text: bytes) -> bool:
    """Whether a text is the beginning of one, by definition."""
    while True:
        begin = text.find(b"<t>")
        if begin < 0:
            return True
        text = text[begin + 3 :]
        whole = re.match(rb"\d\d</t>", text)
        if whole is None:
            return re.fullmatch(rb"\d?|\d\d(<(/(t)?)?)?", text) is not None
        text = text[whole.end() :]


def leaves_call(text: bytes, piece: bytes) -> bool:
    """Whether a token ends the call that a text is in, and holds more bytes."""
    return any(fits_auto(text + piece[:end] + b"!") for end in range(1, len(piece)))


def allowed(matcher: Matcher) -> set[int]:
    bits = np.unpackbits(matcher.mask().view(np.uint8), bitorder="little")
    return set(np.flatnonzero(bits).tolist())


@pytest.mark.slow
def test_masks_allow_what_the_language_allows_at_every_token() -> None:
    source, grammar = random.Random(0), auto()
    calls = 0
    for _ in range(60):
        matcher, text = grammar.matcher(), b""
        for _ in range(40):
            mask = allowed(matcher)
            for token in range(len(VOCABULARY)):
                fits = fits_auto(text + VOCABULARY.bytes_of(token))
                inside = not fits_auto(text + b"!")
                if token == END_ID:
                    assert (token in mask) == matcher.is_accepting == (not inside)
                elif token in (OPEN_ID, OTHER_ID):
                    assert (token in mask) == (not inside)
                elif inside and leaves_call(text, VOCABULARY.bytes_of(token)):
                    assert token not in mask  # no token holds a call's end and free text
                else:
                    assert (token in mask) == fits, (text, VOCABULARY.bytes_of(token))
            assert not [token for token in mask if token >= len(VOCABULARY)]
            # Tokens that a tag begins, ends or is in, half of the time.
            token = source.choice(sorted(mask - {END_ID}))
            pieces = sorted(mask & set(range(256, END_ID)))
            if pieces and source.random() < 0.5:
                token = source.choice(pieces)
            assert matcher.advance(token)
            text += b"" if token in (OPEN_ID, OTHER_ID) else VOCABULARY.bytes_of(token)
            if token in (OPEN_ID, OTHER_ID):
                text = b"" if fits_auto(text + b"!") else text
            calls += text.endswith(b"<t>")
    assert calls > 20


def test_a_token_is_in_the_mask_if_and_only_if_it_is_taken() -> None:
    source, grammar = random.Random(1), auto(again=False)
    for _ in range(amount(check=6, full=30)):
        matcher = grammar.matcher()
        for _ in range(15):
            mask = allowed(matcher)
            for token in range(WIDTH):
                fork = matcher.fork()
                assert fork.advance(token) == (token in mask and token != END_ID)
            following = sorted(mask - {END_ID})
            if not following:
                break
            matcher.advance(source.choice(following))


def test_rollback_and_fork_leave_no_trace() -> None:
    matcher = auto().matcher()
    for token in (*b"x<", 256 + PIECES.index(b"t>12</t>"), *b"<t>7"):
        before = matcher.mask().copy()
        fork = matcher.fork()
        assert matcher.advance(token)
        assert (fork.mask() == before).all()
        matcher.rollback(1)
        assert (matcher.mask() == before).all()
        assert matcher.advance(token)
    assert allowed(matcher) == {*b"0123456789"} | {
        256 + PIECES.index(item) for item in (b"2</", b"2</t>") if item
    }


def test_a_grammar_and_a_matcher_survive_a_pickle() -> None:
    matcher = auto().matcher()
    for token in b"a<t>1":
        matcher.advance(token)
    twin = pickle.loads(pickle.dumps(matcher))
    assert (twin.mask() == matcher.mask()).all()


def test_json_between_tags_may_share_tokens_with_what_closes_it() -> None:
    schema = {"type": "object", "additionalProperties": {"type": "array", "maxItems": 0}}
    body = GrammarSpan(compile_json_schema(schema, MACHINE), (1,), b"}")
    close = GrammarSpan(compile_regex("\n?</t>", MACHINE), (END,))
    matcher = SpanGrammar(MACHINE, (body, close)).matcher()
    names = {name: 256 + PIECES.index(name) for name in (b"{}</", b"}</t>", b"]}</t>", b"{}")}
    assert allowed(matcher) == {ord("{"), names[b"{}</"], names[b"{}"]}
    for token in b'{"a":[':
        assert matcher.advance(token)
    assert names[b"]}</t>"] in allowed(matcher)
    assert names[b"}</t>"] not in allowed(matcher)
    assert matcher.advance(names[b"]}</t>"])
    assert allowed(matcher) == {END_ID}
    assert matcher.is_accepting


def test_a_special_token_may_be_a_tag_and_a_span() -> None:
    digits = GrammarSpan(compile_regex(r"\d", MACHINE), (2, END))
    spans = (FreeSpan(((b"[CALL]", 1),)), digits, TokenSpan((OPEN_ID,), (1,)))
    matcher = SpanGrammar(MACHINE, spans).matcher()
    assert matcher.advance(OTHER_ID)
    assert matcher.advance(OPEN_ID)
    assert allowed(matcher) == {*b"0123456789"}
    assert matcher.advance(ord("5"))
    assert allowed(matcher) == {END_ID, OPEN_ID}
    assert matcher.advance(OPEN_ID)
    assert not matcher.is_accepting
    spelled = SpanGrammar(MACHINE, spans).matcher()
    assert all(map(spelled.advance, b"[CALL]"))
    assert allowed(spelled) == {*b"0123456789"}


def test_a_special_token_parts_the_text_around_it() -> None:
    matcher = auto().matcher()
    for token in (*b"<t", OTHER_ID, ord(">")):
        assert matcher.advance(token)
    assert ord("x") in allowed(matcher)


@pytest.mark.parametrize("budget", range(5))
def test_a_budget_ends_a_span_with_the_tokens_of_its_tag(budget: int) -> None:
    text = GrammarSpan(compile_regex("yes", MACHINE))
    thinking = FreeSpan(((b"</t>", 2),), may_end=False, budget=budget, over=1)
    matcher = SpanGrammar(MACHINE, (thinking, TokenSpan((*b"</t>",), (2,)), text)).matcher()
    for _ in range(budget):
        assert END_ID not in allowed(matcher)
        assert matcher.advance(ord("z"))
    assert forced_tokens(matcher, lambda text: list(text.encode())) == [*b"</t>yes"]


def test_a_budget_is_no_bound_for_a_span_that_has_ended_itself() -> None:
    thinking = FreeSpan(((b"</t>", 2),), may_end=False, budget=3, over=1)
    matcher = SpanGrammar(MACHINE, (thinking, TokenSpan((*b"</t>",), (2,)), FreeSpan())).matcher()
    for token in (ord("a"), 256 + PIECES.index(b"2</t>z"), *b"and much more"):
        assert matcher.advance(token)
    assert matcher.is_accepting


def test_a_leading_tag_counts_at_the_beginning_only() -> None:
    call = GrammarSpan(compile_regex(r'\{"n": \d\}', MACHINE))
    spans = (FreeSpan(leading=((b'{"n"', 1),)), call)
    matcher = SpanGrammar(MACHINE, spans).matcher()
    assert all(map(matcher.advance, b' \n{"n"'))
    assert allowed(matcher) == {ord(":")}
    matcher = SpanGrammar(MACHINE, spans).matcher()
    assert all(map(matcher.advance, b'x {"n"'))
    assert ord("x") in allowed(matcher)


def test_a_text_may_begin_within_a_span() -> None:
    spans = auto().spans
    matcher = SpanGrammar(MACHINE, spans, begun=b"I call <t>4").matcher()
    assert {ord("2"), 256 + PIECES.index(b"2</t>")} <= allowed(matcher)
    assert ord("x") not in allowed(matcher)
    with pytest.raises(ParameterError, match="begun"):
        SpanGrammar(MACHINE, spans, begun=b"I call <t>four")


@pytest.mark.parametrize(
    "make",
    [
        lambda: SpanGrammar(MACHINE, ()),
        lambda: SpanGrammar(MACHINE, (FreeSpan(((b"<t>", 1),)),)),
        lambda: SpanGrammar(MACHINE, (FreeSpan(((b"", 0),)),)),
        lambda: SpanGrammar(MACHINE, (FreeSpan(budget=-1),)),
        lambda: SpanGrammar(MACHINE, (FreeSpan(),), start=(-2,)),
        lambda: SpanGrammar(MACHINE, (TokenSpan(()),)),
        lambda: SpanGrammar(MACHINE, (TokenSpan((WIDTH,)),)),
    ],
)
def test_spans_that_do_not_fit_together_are_refused(make: Callable[[], SpanGrammar]) -> None:
    with pytest.raises(ParameterError):
        make()


def generated(grammar: SpanGrammar, seed: int, **asked: int) -> str:
    engine = Engine(MODEL)
    parameters = GenerationParameters(**{"max_new_tokens": 200, "seed": seed, **asked})
    generation = engine.submit(Request("x", parameters, grammar=grammar))
    while engine.busy:
        engine.step()
    return generation.result().generated_text


def test_what_the_engine_generates_fits() -> None:
    calls = 0
    for seed in range(amount(check=5, full=12)):
        text = generated(auto(), seed)
        calls += len(re.findall(r"<t>\d\d</t>", text))
        assert fits_auto(text.encode())
    assert calls > 1
    best = generated(auto(), 1, best_of=3)
    assert fits_auto(best.encode())


def test_a_forced_answer_is_jumped_to() -> None:
    body = GrammarSpan(compile_json_schema({"const": {"a": [1, 2]}}, MACHINE), (1,), b"}")
    grammar = SpanGrammar(MACHINE, (body, TokenSpan((OPEN_ID,))))
    for seed in range(3):
        for jump in (False, True):
            text = generated(grammar, seed, jump_forward=jump)
            assert json.loads(text) == {"a": [1, 2]}
