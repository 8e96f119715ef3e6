"""The adapter of ONNX Runtime, with a stand-in session that remembers its tokens in its past."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from decoding import GenerationParameters, LanguageModel, generate
from decoding.adapters.onnxruntime import forward, language_model
from decoding.errors import ParameterError, ShapeError, UnsupportedFeatureError

VOCAB = 20


class Session:
    """What the adapter uses of an `InferenceSession`: the keys are the token ids, the values their places."""

    def __init__(self, kind: str = "float", *, positions: bool = True) -> None:
        self.dtype = {"float": np.float32, "float16": np.float16}[kind]
        self.calls: list[tuple[int, int]] = []
        past = ["batch", 2, "past", 1]
        integers = ["input_ids", "attention_mask", *(["position_ids"] if positions else [])]
        self.inputs = [
            SimpleNamespace(name=name, type="tensor(int64)", shape=["batch", "n"])
            for name in integers
        ] + [
            SimpleNamespace(name=f"past_key_values.0.{part}", type=f"tensor({kind})", shape=past)
            for part in ("value", "key")
        ]
        self.outputs = [SimpleNamespace(name="logits", shape=["batch", "n", VOCAB])] + [
            SimpleNamespace(name=f"present.0.{part}", shape=past) for part in ("key", "value")
        ]

    def get_inputs(self) -> list[Any]:
        return self.inputs

    def get_outputs(self) -> list[Any]:
        return self.outputs

    def run(self, names: list[str], feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        new, past = feed["input_ids"], feed["past_key_values.0.key"]
        assert new.dtype == np.int64
        assert past.dtype == self.dtype
        self.calls.append(new.shape)
        rows, count = new.shape
        assert feed["attention_mask"].shape == (rows, past.shape[2] + count)
        places = past.shape[2] + np.arange(count)
        if "position_ids" in feed:
            assert np.array_equal(feed["position_ids"], np.tile(places, (rows, 1)))
        kept = np.tile(new[:, None, :, None], (1, 2, 1, 1)).astype(self.dtype)
        keys = np.concatenate([past, kept], axis=2)
        values = np.concatenate(
            [feed["past_key_values.0.value"], np.broadcast_to(places[:, None], kept.shape)], axis=2
        ).astype(self.dtype)
        logits = np.stack(
            [
                [logits_after(keys[row, 0, : past.shape[2] + end + 1, 0]) for end in range(count)]
                for row in range(rows)
            ]
        )
        known = {"logits": logits, "present.0.key": keys, "present.0.value": values}
        return [known[name] for name in names]


def logits_after(token_ids: Any) -> np.ndarray:
    generator = np.random.default_rng([int(item) for item in token_ids])
    return generator.standard_normal(VOCAB).astype(np.float32)


def assert_after(logits: np.ndarray, *texts: list[int]) -> None:
    assert np.array_equal(logits, [logits_after(text) for text in texts])


@pytest.mark.parametrize("kind", ["float", "float16"])
@pytest.mark.parametrize("positions", [True, False])
def test_sequences_of_any_length_are_computed_in_their_order(kind: str, positions: bool) -> None:
    session = Session(kind, positions=positions)
    model = forward(session)
    states, logits = model.prefill([[1, 2], [3], [4, 5]])
    assert_after(logits, [1, 2], [3], [4, 5])
    assert sorted(session.calls) == [(1, 1), (2, 2)]  # those of one length run together
    logits = model.extend(states, [[6], [7, 8], [9]], all_positions=True)
    assert_after(logits, [1, 2, 6], [3, 7], [3, 7, 8], [4, 5, 9])
    assert_after(
        model.extend(states[::-1], [[1], [1], [2]]), [4, 5, 9, 1], [3, 7, 8, 1], [1, 2, 6, 2]
    )


def test_the_rows_of_one_call_come_back_in_any_order() -> None:
    model = forward(Session())
    [one, two], _ = model.prefill([[1, 2], [3, 4]])
    assert_after(model.extend([two, one], [[5], [6]]), [3, 4, 5], [1, 2, 6])
    assert_after(model.extend([two, one], [[7], [8]]), [3, 4, 5, 7], [1, 2, 6, 8])
    assert_after(model.extend([one], [[9]]), [1, 2, 6, 8, 9])


def test_forks_rollbacks_and_releases_are_of_one_sequence() -> None:
    model = forward(Session())
    [one, two], _ = model.prefill([[1, 2, 3], [4, 5, 6]])
    twin = model.fork(one)
    assert_after(model.extend([one], [[7]]), [1, 2, 3, 7])
    model.rollback(one, 3)
    model.rollback(one, 0)
    assert_after(
        model.extend([one, twin, two], [[8], [8], [8]]), [1, 8], [1, 2, 3, 8], [4, 5, 6, 8]
    )
    model.rollback(two, 4)
    assert_after(model.extend([two], [[9]]), [9])
    model.release(twin)
    model.release(twin)
    for broken, message in (
        (lambda: model.extend([twin], [[1]]), "released"),
        (lambda: model.fork(twin), "released"),
        (lambda: model.extend([one, one], [[1], [1]]), "different states"),
        (lambda: model.extend([one], [[]]), "at least one token"),
        (lambda: model.extend([], []), "at least one"),
        (lambda: model.rollback(one, 3), "the sequence's length"),
    ):
        with pytest.raises(ParameterError, match=message):
            broken()
    assert_after(model.extend([one], [[1]]), [1, 8, 1])


def test_our_loop_runs_on_it() -> None:
    model = language_model(Session(), eos_token_ids=[0], context_length=40)
    assert isinstance(model, LanguageModel)
    assert model.logits_width == VOCAB
    asked = GenerationParameters(seed=4, top_p=0.9, max_new_tokens=10)
    got = generate(model, [[1, 2], [3]], asked)
    plain = LanguageModel(
        forward=lambda rows: np.stack([logits_after(row) for row in rows]),
        eos_token_ids=frozenset({0}),
        logits_width=VOCAB,
        context_length=40,
    )
    assert got == generate(plain, [[1, 2], [3]], asked)


def without(name: str) -> Session:
    session = Session()
    session.inputs = [item for item in session.inputs if not item.name.startswith(name)]
    return session


def test_graphs_that_are_not_known_are_refused() -> None:
    with pytest.raises(UnsupportedFeatureError, match="past and present"):
        forward(without("past"))
    other = Session()
    other.inputs.append(SimpleNamespace(name="pixels", type="tensor(float)", shape=["batch", 3]))
    with pytest.raises(UnsupportedFeatureError, match="pixels"):
        forward(other)
    other = Session()
    other.inputs[-1].type = "tensor(bfloat16)"
    with pytest.raises(UnsupportedFeatureError, match="bfloat16"):
        forward(other)
    other = Session()
    other.inputs[-1].shape = ["batch", "heads", "past", 1]
    with pytest.raises(UnsupportedFeatureError, match="the length alone is open"):
        forward(other)


def test_logits_of_another_shape_are_refused() -> None:
    session = Session()
    run = session.run
    session.run = lambda *given: [run(*given)[0][:, -1:], *run(*given)[1:]]
    with pytest.raises(ShapeError, match="vocab"):
        forward(session).prefill([[1, 2]])
