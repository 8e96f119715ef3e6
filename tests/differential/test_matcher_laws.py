"""The laws of `TokenMatcher`, for this library's matcher and the peers'."""

from __future__ import annotations

import importlib
import random
import sys
from types import ModuleType

import numpy as np
import pytest
from grammars_of_peers import GBNF, STRINGS
from mask_peers import PADDING, allowed, byte_level_tokens

from decoding import GrammarMask, History, Sample, Sampler, chain, grammar, sample
from decoding.errors import GrammarError, MissingDependencyError, ParameterError
from decoding.grammar import TokenGrammar, token_table
from decoding.grammar.peers import llguidance, xgrammar
from decoding.vocabulary import Vocabulary

TOKENS = byte_level_tokens()
ENGINES = [grammar, llguidance, xgrammar]
each_engine = pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.__name__)


def grammars(engine: ModuleType) -> list[TokenGrammar]:
    machine = engine.Machine(TOKENS)
    return [
        engine.compile_json_schema(STRINGS["a property"], machine),
        engine.compile_regex("[a-z]{2}(-[0-9]+)?|.x", machine),
        engine.compile_gbnf(GBNF[2], machine),
    ]


@each_engine
def test_a_token_is_allowed_if_and_only_if_it_is_taken(engine: ModuleType) -> None:
    rng = random.Random(11)
    for compiled in grammars(engine):
        matcher = compiled.matcher()
        for _ in range(8):
            here = allowed(matcher)
            taken = {t for t in range(-1, TOKENS.width + 3) if matcher.fork().advance(t)}
            assert here - set(TOKENS.end_token_ids) == taken
            assert here & set(TOKENS.end_token_ids) == (
                set(TOKENS.end_token_ids) if matcher.is_accepting else set()
            )
            assert max(here) < TOKENS.width - PADDING
            assert all(TOKENS.spelled[token] for token in taken)
            if not taken:
                break
            assert matcher.advance(rng.choice(sorted(taken)))


@each_engine
def test_rollback_and_forks_equal_a_replay(engine: ModuleType) -> None:
    rng = random.Random(5)
    for compiled in grammars(engine):
        matcher, taken = compiled.matcher(), list[int]()
        for _ in range(40):
            here = sorted(allowed(matcher) - set(TOKENS.end_token_ids))
            if taken and (not here or rng.random() < 0.4):
                count = rng.randint(0, len(taken))
                matcher.rollback(count)
                del taken[len(taken) - count :]
            else:
                fork, before = matcher.fork(), matcher.mask()
                kept = before.copy()
                taken.append(rng.choice(here))
                assert matcher.advance(taken[-1])
                assert np.array_equal(fork.mask(), kept)
                assert np.array_equal(before, kept)
            replayed = compiled.matcher()
            assert all(replayed.advance(token) for token in taken)
            assert np.array_equal(replayed.mask(), matcher.mask())
            assert replayed.is_accepting == matcher.is_accepting
        for count in (len(taken) + 1, -1):
            with pytest.raises(ParameterError):
                matcher.rollback(count)
            with pytest.raises(ParameterError):
                matcher.fork().rollback(count)


@each_engine
def test_what_is_refused_changes_nothing(engine: ModuleType) -> None:
    matcher = engine.compile_regex("ab*", engine.Machine(TOKENS)).matcher()
    end, (a, b) = TOKENS.end_token_ids[0], (TOKENS.spelled.index(text) for text in (b"a", b"b"))
    for refused in (b, end, 0, TOKENS.width, -1):
        assert not matcher.advance(refused)
    assert not matcher.is_accepting
    assert matcher.advance(a)
    assert matcher.is_accepting
    assert not matcher.advance(end)
    assert allowed(matcher) >= {b, *TOKENS.end_token_ids}


def test_a_pipeline_draws_the_same_text_whoever_compiled_its_grammar() -> None:
    drawn = []
    for engine in ENGINES:
        sampler = Sampler(chain(GrammarMask(grammars(engine)[2])), seed=3)
        generator, text = np.random.default_rng(9), list[int]()
        for _ in range(20):
            logits = generator.standard_normal((1, TOKENS.width))
            logits[:, TOKENS.end_token_ids] -= 20.0
            [now] = sample(logits, History.of([[0]], [text]), [sampler])
            assert isinstance(now, Sample)
            text.append(now.token_id)
        drawn.append(text)
    assert drawn[1] == drawn[0]
    assert drawn[2] == drawn[0]


@pytest.mark.parametrize("engine", [llguidance, xgrammar], ids=lambda engine: engine.__name__)
def test_errors_of_peers_are_ours(engine: ModuleType) -> None:
    machine = engine.Machine(TOKENS)
    for compiled in (
        lambda: engine.compile_regex("[a", machine),
        lambda: engine.compile_json_schema(
            {"type": "integer", "minimum": 5, "maximum": 3}, machine
        ),
        lambda: engine.compile_gbnf('root ::= "a', machine),
        lambda: engine.compile_lark("start: (", machine),
    ):
        with pytest.raises(GrammarError, match=engine.__name__.rpartition(".")[2]):
            compiled()
    with pytest.raises(ParameterError, match="texts"):
        engine.compile_choices([], machine)
    with pytest.raises(ParameterError, match="end_token_ids"):
        engine.Machine(token_table(Vocabulary([b"a"]), []))


@pytest.mark.parametrize("name", ["llguidance", "xgrammar"])
def test_a_missing_peer_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, f"decoding.grammar.peers.{name}")
    with pytest.raises(MissingDependencyError, match=rf"{name} .*\[peers\]"):
        importlib.import_module(f"decoding.grammar.peers.{name}")
