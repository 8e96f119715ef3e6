"""`Feedback` filters in a loop by hand, in a sampler and in the engine."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from decoding import (
    BatchSampler,
    Engine,
    GenerationParameters,
    History,
    Request,
    Sample,
    Sampler,
    Temperature,
    TopK,
    chain,
    generate,
)
from decoding.errors import DecodingError, ParameterError, UnsupportedFeatureError
from decoding.processors.adaptive_p import AdaptiveP, AdaptivePState
from decoding.processors.feedback import Drawn, Feedback, drawn_of
from decoding.processors.mirostat import Mirostat1, Mirostat2, MirostatState
from decoding.sampling.rng import sequence_seed
from decoding.testing.models import hash_model

GONE = -math.inf
HALVES = np.log(np.array([[0.5, 0.25, 0.125, 0.125]]))


def bits(before: float, after: float = 0.0) -> Drawn:
    return Drawn(-before * math.log(2), -after * math.log(2))


def run(
    feedback: Feedback[Any], state: Any, generator: np.random.Generator, steps: int
) -> tuple[list[int], list[float], Any]:
    """Tokens drawn from rows of random logits, their surprise in bits, and the last state."""
    tokens, surprises = [], []
    for _ in range(steps):
        logits = 4.0 * generator.standard_normal((1, 500))
        filtered = feedback.filter(logits, [state])
        weights = np.exp(filtered[0] - filtered[0].max())
        token_id = int(generator.choice(500, p=weights / weights.sum()))
        drawn = drawn_of(logits[0], filtered[0], token_id)
        state = feedback.observe(state, drawn)
        tokens.append(token_id)
        surprises.append(-drawn.logprob_before / math.log(2))
    return tokens, surprises, state


def test_mirostat_by_hand() -> None:
    mirostat = Mirostat2(mirostat_tau=1.0, mirostat_eta=0.5)
    state = mirostat.start()
    assert state == MirostatState(2.0)
    filtered = mirostat.filter(HALVES, [MirostatState(state.mu + 1e-9)])
    assert filtered[0].tolist() == [*HALVES[0, :2], GONE, GONE]
    # The second token: 2 bits in the row, log₂ 3 = 1.58 bits in what was left of it.
    drawn = drawn_of(HALVES[0], filtered[0], 1)
    assert mirostat.observe(state, drawn).mu == pytest.approx(2.0 - 0.5 * (2.0 - 1.0))
    renormalised = Mirostat2(1.0, 0.5, renormalised=True)
    assert renormalised.observe(state, drawn).mu == pytest.approx(2.0 - 0.5 * (math.log2(3) - 1.0))


def test_mirostat_one_keeps_more_with_more_surprise() -> None:
    mirostat = Mirostat1()
    zipf = -np.log(np.arange(1.0, 101.0))[np.newaxis]
    sizes = [
        int((mirostat.filter(zipf, [MirostatState(mu)]) > GONE).sum()) for mu in (-9, 4, 5, 6, 99)
    ]
    assert sizes == [1, int(16 / math.log(100)), int(32 / math.log(100)), 13, 100]


@pytest.mark.parametrize("mirostat", [Mirostat1(2.5), Mirostat2(2.5)])
def test_mirostat_holds_the_surprise_at_its_target(mirostat: Any) -> None:
    _, surprises, _ = run(mirostat, mirostat.start(), np.random.default_rng(3), 600)
    assert np.mean(surprises[100:]) == pytest.approx(2.5, abs=0.15)


@pytest.mark.parametrize("feedback", [Mirostat1(), Mirostat2(), AdaptiveP(0.3)])
def test_the_old_state_is_a_rollback_and_a_copy_is_a_fork(feedback: Any) -> None:
    start = feedback.start()
    _, _, state = run(feedback, start, np.random.default_rng(1), 5)
    first = run(feedback, state, np.random.default_rng(2), 5)
    other = run(feedback, state, np.random.default_rng(7), 5)
    assert run(feedback, state, np.random.default_rng(2), 5) == first != other
    assert start == feedback.start()
    assert hash(state) == hash(type(state)(**{f: getattr(state, f) for f in state.__slots__}))


@pytest.mark.parametrize("feedback", [Mirostat1(), Mirostat2(), AdaptiveP(0.3)])
def test_each_row_has_its_own_state(feedback: Any) -> None:
    generator = np.random.default_rng(5)
    logits = generator.standard_normal((2, 50)).astype(np.float32)
    logits[1, 3] = GONE
    logits.flags.writeable = False
    states = [feedback.start(), feedback.observe(feedback.start(), bits(1.0, 1.0))]
    both = feedback.filter(logits, states)
    alone = [feedback.filter(logits[row : row + 1], [states[row]]) for row in (0, 1)]
    assert np.array_equal(both, np.concatenate(alone))
    assert both.dtype == np.float32
    assert both[1, 3] == GONE


def test_adaptive_p_by_hand() -> None:
    adaptive = AdaptiveP(0.4, 0.5)
    state = adaptive.start()
    assert state == AdaptivePState(0.8, 2.0)
    filtered = adaptive.filter(np.log(np.array([[0.7, 0.2, 0.1]])), [state])
    # d = 1, ⅔, 1.
    assert filtered[0] == pytest.approx([0.0, 5 - 10 * (4 / 9) / (5 / 3), 0.0])
    # Drawing p = 0.7: mean (0.7 + 0.4) / (1 + 1) = 0.55; the target is now 0.8 − 0.55 = 0.25.
    state = adaptive.observe(state, Drawn(math.log(0.7), 0.0))
    assert state.weighted_sum / state.total_weight == pytest.approx(0.55)
    nearest = adaptive.filter(np.log(np.array([[0.75, 0.25]])), [state])
    assert nearest[0, 1] == pytest.approx(5.0)


def test_adaptive_p_is_neutral_below_zero() -> None:
    adaptive = AdaptiveP(-1.0)
    assert adaptive.filter(HALVES, [adaptive.start()]) is HALVES


@pytest.mark.parametrize(
    ("make", "arguments"),
    [
        (Mirostat1, (-1.0,)),
        (Mirostat1, (5.0, math.inf)),
        (Mirostat1, (5.0, 0.1, 1)),
        (Mirostat2, (math.nan,)),
        (AdaptiveP, (1.1,)),
        (AdaptiveP, (0.5, 1.0)),
    ],
)
def test_outside_the_range(make: Any, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(ParameterError, match=r"must be .*, got"):
        make(*arguments)


ASKED = GenerationParameters(max_new_tokens=12, do_sample=True, seed=5)
MODEL = hash_model(60)
STEERED = (
    chain(Temperature(1.5), Mirostat2(2.0, 0.7), TopK(20)),
    chain(TopK(30), Mirostat1(3.0, 0.5, renormalised=True)),
    chain(Temperature(2.0), AdaptiveP(0.2, 0.5)),
    chain(Mirostat2(4.0), Temperature(0.9), AdaptiveP(0.1)),
)


def by_hand(pipeline: Any, prompt: list[int]) -> list[int]:
    """The tokens of a loop that knows what each processor is."""
    states = [item.start() if isinstance(item, Feedback) else None for item in pipeline.processors]
    draw = BatchSampler([Sampler(chain(), sequence_seed(5, 0))])
    text = list(prompt)
    for _ in range(12):
        row = logits = MODEL([text]).astype(np.float64)
        rows = []
        for item, state in zip(pipeline.processors, states, strict=True):
            history = History.of([prompt], [text[len(prompt) :]])
            steered = isinstance(item, Feedback)
            after = item.filter(logits, [state]) if steered else item(logits, history)
            rows.append((logits[0], after[0]))
            logits = after
        [sample] = draw(logits, History.of([text]))
        assert isinstance(sample, Sample)
        assert row.shape == logits.shape
        for place, item in enumerate(pipeline.processors):
            if isinstance(item, Feedback):
                seen = drawn_of(*rows[place], sample.token_id)
                states[place] = item.observe(states[place], seen)
        text.append(sample.token_id)
    return text[len(prompt) :]


@pytest.mark.parametrize("pipeline", STEERED)
def test_the_engine_carries_the_states(pipeline: Any) -> None:
    tokens = [token.id for token in generate(MODEL, [1, 2], ASKED, pipeline=pipeline).tokens]
    assert tokens == by_hand(pipeline, [1, 2])


def test_alone_or_in_a_batch_it_is_the_same() -> None:
    engine = Engine(MODEL)
    pipelines = [*STEERED, chain(Temperature(0.7))]
    prompts = [[place, 3] for place in range(len(pipelines))]
    first = [
        engine.submit(Request(prompt, ASKED, pipeline=pipeline))
        for prompt, pipeline in zip(prompts[:2], pipelines[:2], strict=True)
    ]
    engine.step()
    rest = [
        engine.submit(Request(prompt, ASKED, pipeline=pipeline))
        for prompt, pipeline in zip(prompts[2:], pipelines[2:], strict=True)
    ]
    while engine.busy:
        engine.step()
    for prompt, pipeline, generation in zip(prompts, pipelines, [*first, *rest], strict=True):
        alone = generate(MODEL, prompt, ASKED, pipeline=pipeline)
        assert generation.result().tokens == alone.tokens


def test_best_of_sequences_have_states_of_their_own() -> None:
    asked = GenerationParameters(max_new_tokens=8, do_sample=True, seed=5, best_of=3)
    response = generate(MODEL, [1, 2], asked, pipeline=STEERED[0])
    alone = generate(MODEL, [1, 2], ASKED, pipeline=STEERED[0])
    every = [response.tokens, *(item.tokens for item in response.details.best_of_sequences)]
    assert [token.id for token in alone.tokens[:8]] in [[token.id for token in s] for s in every]


def test_a_sampler_forks_and_rolls_back_by_its_states() -> None:
    member = Sampler(STEERED[0], 9)
    sampler = BatchSampler([member, member])
    logits = MODEL([[1], [1]])
    old = [member.start(), member.start()]
    first = sampler(logits, History.of([[1], [1]]), old)
    states = [item.states for item in first if isinstance(item, Sample)]
    assert states[0] == states[1] != old[0]
    again = sampler(logits, History.of([[1, 2], [1, 2]]), [states[0], old[1]])
    assert again == sampler(logits, History.of([[1, 2], [1, 2]]), [states[0], old[1]])
    assert sampler(logits, History.of([[1], [1]])) == first
    with pytest.raises(UnsupportedFeatureError, match="Feedback"):
        sampler.draw(logits, History.of([[1], [1]]))


def test_an_error_of_a_feedback_is_the_rows_own() -> None:
    class Broken(Mirostat2):
        def filter(self, logits: Any, states: Any) -> Any:
            raise ValueError("no")

    sampler = BatchSampler([Sampler(chain(Broken()), 1), Sampler(STEERED[0], 1)])
    failed, fine = sampler(MODEL([[1], [1]]), History.of([[1], [1]]))
    assert isinstance(failed, DecodingError)
    assert isinstance(fine, Sample)
