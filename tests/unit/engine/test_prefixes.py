"""Equal beginnings of prompts are computed once; what comes out is the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hashed_models import MODEL, VOCAB, Counting

from decoding import Engine, GenerationParameters, Grammar, LanguageModel, Request, generate
from decoding.engine.prefixes import LEAST_TOKENS, Prefix, PrefixStore
from decoding.errors import ParameterError
from decoding.testing.models import hash_model

BEGINNING = [2 + (5 * index) % 250 for index in range(40)]


def ids(response: Any) -> list[int]:
    return [token.id for token in response.tokens]


def answered(engine: Engine, prompt: list[int], **parameters: Any) -> Any:
    generation = engine.submit(Request(prompt, GenerationParameters(**parameters)))
    while not generation.done:
        engine.step()
    expected = generate(hash_model(VOCAB), prompt, GenerationParameters(**parameters))
    assert ids(generation.result()) == ids(expected)
    assert generation.result().details.prefill == expected.details.prefill
    return generation


@pytest.mark.parametrize("prefix_tokens", [0, 200])
def test_a_prompt_that_begins_as_another_is_computed_from_where_they_part(
    prefix_tokens: int,
) -> None:
    cached = Counting()
    engine = Engine(LanguageModel(forward=cached), prefix_tokens=prefix_tokens)
    first = answered(engine, [*BEGINNING, 7], max_new_tokens=4, seed=1)
    written = ids(first.result())
    counts = []
    for prompt in ([*BEGINNING, 9, 9], [*BEGINNING, 7, *written[:2], 3], [*BEGINNING, 7], [3, 4]):
        before = cached.tokens
        answered(engine, prompt, max_new_tokens=1)
        counts.append(cached.tokens - before)
    assert counts == ([2, 1, 1, 2] if prefix_tokens else [42, 44, 41, 2])
    before = cached.tokens
    answered(engine, [*BEGINNING, 9], max_new_tokens=1, decoder_input_details=True)
    assert cached.tokens - before == 41
    engine.forget_prefixes()
    assert not cached.live


def test_a_running_sequence_serves_as_well_and_is_not_changed() -> None:
    cached = Counting()
    engine = Engine(LanguageModel(forward=cached), prefix_tokens=200)
    asked = GenerationParameters(max_new_tokens=20, seed=1)
    running = engine.submit(Request([*BEGINNING, 7], asked))
    engine.step()
    engine.step()
    before = cached.tokens
    later = engine.submit(Request([*BEGINNING, 8], GenerationParameters(max_new_tokens=3)))
    engine.step()
    assert cached.tokens - before == 2
    while engine.busy:
        engine.step()
    alone = generate(hash_model(VOCAB), [*BEGINNING, 7], asked)
    assert ids(running.result()) == ids(alone)
    alone = generate(hash_model(VOCAB), [*BEGINNING, 8], GenerationParameters(max_new_tokens=3))
    assert ids(later.result()) == ids(alone)
    engine.forget_prefixes()
    assert not cached.live


@pytest.mark.parametrize("method", ["fork", "rollback"])
def test_a_model_that_cannot_fork_computes_the_prompt(method: str) -> None:
    class Stubborn(Counting):
        def fork(self, state: Any) -> Any:
            if method == "fork":
                raise MemoryError("no room")
            return super().fork(state)

        def rollback(self, state: Any, count: int) -> None:
            raise MemoryError("no way back")

    cached = Stubborn()
    engine = Engine(LanguageModel(forward=cached), prefix_tokens=200)
    for last in (7, 8):
        answered(engine, [*BEGINNING, last], max_new_tokens=3)
    engine.forget_prefixes()
    assert not cached.live


def test_the_oldest_leave_and_what_is_used_stays() -> None:
    store = PrefixStore(120, 4)
    texts = [[number] * (LEAST_TOKENS + 21) for number in range(4)]
    prefixes = [Prefix(text, object(), None) for text in texts]
    store.add(prefixes[:3], 1000)
    assert store.tokens == 120
    assert store.find([*texts[0], 9], None, ()) == (prefixes[0], 37)
    store.add([prefixes[3]], 1000)
    assert store.states == [prefixes[2].state, prefixes[0].state, prefixes[3].state]
    assert store.find([*texts[1], 9], None, ()) is None
    assert store.find([*texts[2], 9], "adapter", ()) is None
    assert store.find(texts[3][:LEAST_TOKENS], None, ()) is None
    store.make_room(80)
    assert store.states == [prefixes[0].state, prefixes[3].state]
    store.make_room(0)
    assert store.states == []


@pytest.mark.parametrize("value", [-1, 1.5, True, None, "8"])
def test_the_limit_is_checked(value: Any) -> None:
    with pytest.raises(ParameterError, match="prefix_tokens must be"):
        Engine(hash_model(VOCAB), prefix_tokens=value)


def test_a_text_that_stops_within_forced_tokens_serves_no_prompt_wrongly() -> None:
    # The model has read forced tokens behind the stop, which are no tokens of the text.
    cached = Counting()
    model = replace(MODEL, forward=cached)
    engine = Engine(model, prefix_tokens=200)
    asked = GenerationParameters(
        grammar=Grammar("regex", "a(yes|no), said he, and left"),
        jump_forward=True,
        stop=["said"],
        max_new_tokens=40,
    )
    first = engine.submit(Request(BEGINNING, asked))
    while engine.busy:
        engine.step()
    assert first.result().generated_text.endswith("said")
    later = [*BEGINNING, *ids(first.result()), 7, 8]
    short = GenerationParameters(max_new_tokens=4, seed=1)
    second = engine.submit(Request(later, short))
    while engine.busy:
        engine.step()
    assert ids(second.result()) == ids(generate(MODEL, later, short))
    engine.forget_prefixes()
    assert not cached.live
