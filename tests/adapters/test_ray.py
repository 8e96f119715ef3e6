"""Batches of rows, without Ray: dictionaries of arrays; `engine_ray.py` has the others."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from ray_rows import model

from decoding import GenerationParameters, generate
from decoding.adapters import ray as adapter
from decoding.adapters.ray import COLUMNS, Generator, seed_of
from decoding.errors import MissingDependencyError, ParameterError, ShapeError

WARM = GenerationParameters(temperature=0.9, top_p=0.9, max_new_tokens=6)
PROMPTS = np.array([f"row {index}" for index in range(7)], object)
KEYS = np.arange(7) * 3


def batch(chosen: Any = slice(None)) -> dict[str, Any]:
    return {"id": KEYS[chosen], "prompt": PROMPTS[chosen]}


def rows(result: dict[str, Any]) -> list[tuple[Any, ...]]:
    return list(zip(*(result[name].tolist() for name in ("id", *COLUMNS)), strict=True))


def test_rows_do_not_depend_on_their_batches() -> None:
    whole = rows(Generator(model, WARM, seed=5, key_column="id")(batch()))
    order = [6, 2, 0, 1, 5, 4, 3]
    apart: list[Any] = []
    for chosen in (order[:4], order[4:5], order[5:]):
        apart += rows(Generator(model, WARM, seed=5, key_column="id")(batch(chosen)))
    assert sorted(apart) == sorted(whole)
    assert len({row[1] for row in whole}) == 7
    assert rows(Generator(model, WARM, seed=6, key_column="id")(batch())) != whole


def test_a_row_is_what_generate_returns_for_its_seed() -> None:
    found = Generator(model, WARM, seed=5, key_column="id")(batch())
    for index, key in enumerate(KEYS.tolist()):
        seed = seed_of(5, PROMPTS[index], key)
        answer = generate(
            model(),
            PROMPTS[index],
            GenerationParameters(temperature=0.9, top_p=0.9, max_new_tokens=6, seed=seed),
        )
        assert found["generated_text"][index] == answer.generated_text
        assert found["token_ids"][index] == [token.id for token in answer.tokens]
        assert found["logprobs"][index] == [token.logprob for token in answer.tokens]
        assert found["raw_logprobs"][index] == [token.raw_logprob for token in answer.tokens]
        assert found["generated_tokens"][index] == len(answer.tokens)


def test_without_keys_the_prompt_seeds() -> None:
    made = Generator(model, WARM)
    texts = made({"prompt": np.array(["a", "b", "a"], object)})["generated_text"]
    assert texts[0] == texts[2] != texts[1]
    assert seed_of(0, "12") != seed_of(0, [12]) != seed_of(0, [1, 2])


def test_keys_seed_equal_prompts_apart() -> None:
    made = Generator(model, WARM, key_column="id")
    given = {"prompt": np.array(["same"] * 3, object), "id": np.array([1, 2, 1])}
    texts = made(given)["generated_text"]
    assert texts[0] == texts[2] != texts[1]


def test_a_copy_has_loaded_nothing_and_draws_the_same() -> None:
    made = Generator(model, WARM, key_column="id")
    expected = rows(made(batch()))
    for twin in (pickle.loads(pickle.dumps(made)), copy.deepcopy(made)):
        assert twin._loaded is None
        assert rows(twin(batch())) == expected


def test_making_one_loads_nothing() -> None:
    def never() -> Any:
        raise AssertionError

    made = Generator(never)
    assert len(made({"prompt": np.array([], object)})["error"]) == 0


def test_the_error_of_a_row_is_in_its_column() -> None:
    prompts = np.array(["ok", "x" * 500, [1, 2]], object)
    found = Generator(model, WARM)({"prompt": prompts})
    assert [bool(text) for text in found["error"]] == [False, True, False]
    assert "200" in found["error"][1]
    assert (found["generated_text"][1], found["token_ids"][1]) == ("", [])
    assert found["generated_tokens"].tolist()[1] == 0
    alone = Generator(model, WARM)({"prompt": prompts[2:]})
    assert alone["token_ids"][0] == found["token_ids"][2]


def test_a_row_that_fails_while_it_runs_leaves_the_others_in_their_places() -> None:
    whole = model()

    def poisoned() -> Any:
        def forward(token_ids: list[list[int]]) -> Any:
            logits = np.array(whole.forward(token_ids))
            logits[[row[0] == ord("!") for row in token_ids]] = np.nan
            return logits

        return replace(whole, forward=forward)

    prompts = np.array(["! bad", "a good one", "another"], object)
    found = Generator(poisoned, WARM)({"prompt": prompts})
    assert [bool(text) for text in found["error"]] == [True, False, False]
    alone = Generator(model, WARM)({"prompt": prompts[1:]})
    assert found["token_ids"].tolist()[1:] == alone["token_ids"].tolist()


def test_greedy_rows_and_rows_with_a_seed_take_none_of_theirs() -> None:
    for parameters in (
        GenerationParameters(max_new_tokens=4),
        GenerationParameters(temperature=0.7, seed=3, max_new_tokens=4),
    ):
        found = [Generator(model, parameters, seed=seed)(batch()) for seed in (1, 2)]
        assert found[0]["token_ids"].tolist() == found[1]["token_ids"].tolist()


def test_each_is_an_iterator_of_batches() -> None:
    made = Generator(model, WARM, key_column="id")
    found = [row for part in made.each([batch([0, 1]), batch([2])]) for row in rows(part)]
    assert found == rows(made(batch()))[:3]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "got a list"),
        ({"text": ["a"]}, "'prompt'"),
        ({"prompt": ["a"], "error": [""]}, "'error'"),
        ({"prompt": ["a"]}, "'id'"),
    ],
)
def test_other_batches_are_refused(given: Any, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        Generator(model, WARM, key_column="id")(given)


def test_other_values_are_refused() -> None:
    with pytest.raises(ParameterError, match="key"):
        Generator(model, WARM, key_column="id")({"prompt": ["a"], "id": [1.5]})
    with pytest.raises(ParameterError, match="text or token ids"):
        Generator(model, WARM)({"prompt": [None]})
    for wrong in ({"model": 3}, {"model": "m", "seed": -1}, {"model": "m", "parameters": {}}):
        with pytest.raises(ParameterError):
            Generator(**wrong)


def test_without_ray_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(MissingDependencyError, match=r"ray\[serve\]"):
        adapter.deployment(model)
