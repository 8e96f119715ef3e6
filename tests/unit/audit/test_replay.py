"""`replay`: the first token that other settings change, and the stage that changed it."""

from __future__ import annotations

import numpy as np
import pytest

from decoding import GenerationParameters, Temperature, TopK, TopP, chain, generate
from decoding.audit import Claim, replay, replay_logits
from decoding.errors import ParameterError
from decoding.testing.models import hash_model

MODEL = hash_model(300)
ASKED = GenerationParameters(
    max_new_tokens=60, temperature=0.8, top_p=0.9, seed=5, repetition_penalty=1.2
)
RESPONSE = generate(MODEL, [1, 2, 3], ASKED)


def other(**fields: object) -> GenerationParameters:
    return GenerationParameters.from_dict({**ASKED.to_dict(), **fields})


def test_the_same_settings_change_nothing() -> None:
    found = replay(MODEL, None, RESPONSE, ASKED)
    assert (found.tokens, found.change, found.strays) == (60, None, ())
    assert str(found) == "all 60 tokens stay the same"


@pytest.mark.parametrize(
    ("fields", "stage", "of_other"),
    [
        ({"top_p": 0.7}, "TopP(top_p=0.7)", True),
        ({"top_k": 3}, "TopK(top_k=3, keep_ties=True)", True),
        ({"repetition_penalty": None}, "RepetitionPenalty(repetition_penalty=1.2)", False),
        ({"temperature": 1.3}, "Temperature(temperature=1.3)", True),
    ],
)
def test_the_stage_that_changed_it(fields: dict[str, object], stage: str, of_other: bool) -> None:
    found = replay(MODEL, None, RESPONSE, other(**fields))
    assert found.change is not None
    assert (found.change.stage, found.change.of_other) == (stage, of_other)
    assert found.change.position == found.tokens
    assert found.change.before == RESPONSE.tokens[found.tokens].id
    # What the engine itself draws then.
    again = generate(MODEL, [1, 2, 3], other(**fields))
    ids = [token.id for token in again.tokens]
    assert ids[: found.tokens] == [token.id for token in RESPONSE.tokens[: found.tokens]]
    assert ids[found.tokens] == found.change.after


def test_another_seed_changes_by_noise() -> None:
    found = replay(MODEL, None, RESPONSE, ASKED, other_seed=6)
    assert found.change is not None
    assert found.change.stage in ("noise", "TopP(top_p=0.9)")


def test_by_hand() -> None:
    rows = np.log(np.array([[0.6, 0.4], [0.6, 0.4]], np.float32))
    greedy = Claim(greedy=True)
    found = replay_logits(rows, [0], [0, 1], greedy, Claim(pipeline=chain(TopK(1)), greedy=True))
    assert found.change is None
    assert found.strays == (1,)
    with pytest.raises(ParameterError, match="claim must be one with a seed"):
        replay_logits(rows, [0], [0, 1], Claim(), greedy)


def test_a_cut_and_what_came_before_it() -> None:
    rows = np.log(np.array([[0.55, 0.3, 0.15]], np.float32))
    for seed in range(200):
        first = Claim(pipeline=chain(Temperature(0.5), TopP(0.7)), seed=seed)
        second = Claim(pipeline=chain(Temperature(2.0), TopP(0.7)), seed=seed)
        found = replay_logits(rows, [0], [0], first, second)
        if found.change is not None:
            assert found.change.stage.startswith("Temperature")
            break
    else:
        pytest.fail("no seed changes the token")
