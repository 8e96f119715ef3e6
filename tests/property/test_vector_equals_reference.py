"""The NumPy kernels against the float64 reference, and lowered against by definition.

Rounding band: where a cut lies so near a token that moving every parameter and logit by 10⁻⁹
changes the reference's own support, either side of the cut is right and the example is passed over.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from decoding.history import History
from decoding.kernels.program import Batch, Instruction, Opcode, assemble, fit_bitmasks, words_of
from decoding.kernels.reference import step as reference
from decoding.kernels.reference.processors import probabilities
from decoding.kernels.result import OK
from decoding.kernels.vector.step import VectorKernel
from decoding.pipeline import Fused, Pipeline, chain
from decoding.sampling import BatchSampler, Sample, Sampler
from decoding.testing import laws, strategies

_CUTS = (Opcode.TOP_P, Opcode.MIN_P, Opcode.TYPICAL_P)
_NUDGE = 1e-9


def instructions_of(pipeline: Pipeline) -> tuple[Instruction, ...]:
    (fused,) = pipeline.segments
    assert isinstance(fused, Fused)
    return fused.instructions


def nudged(instructions: tuple[Instruction, ...], factor: float) -> list[Instruction]:
    """Every parameter moved; a cut's fraction stays below 1."""
    return [
        item._replace(first=min(item.first * factor, 1.0 if item.opcode in _CUTS else math.inf))
        if item.opcode not in (Opcode.TOP_K, Opcode.LOGIT_BIAS, Opcode.BITMASK)
        else item
        for item in instructions
    ]


def by_reference(
    row: np.ndarray[Any, Any], instructions: tuple[Instruction, ...], history: History, index: int
) -> list[float]:
    """The reference's row; assumes that it has a token left, and is outside the rounding band."""
    prompt, generated = history.prompt(index).tolist(), history.generated(index).tolist()
    values = row.astype(np.float64)
    result = values.tolist()
    for item in instructions:
        before, result = result, reference.run(result, [item], prompt, generated)
        assume(max(result) > -math.inf)
        if item.opcode == Opcode.TYPICAL_P:
            assume(the_cut_is_clear(before, result))
    support = [z > -math.inf for z in result]
    for direction in (-_NUDGE, _NUDGE):
        # Equal logits move together, so that ties stay ties.
        wave = np.sin(1e6 * np.maximum(values, -1e300))
        moved = values + direction * wave
        parameters = nudged(instructions, 1.0 + direction)
        other = reference.run(moved.tolist(), parameters, prompt, generated)
        assume([z > -math.inf for z in other] == support)
    return result


def the_cut_is_clear(before: list[float], after: list[float]) -> bool:
    """Whether no token but its equals is as typical, to within the band, as the last one kept.

    Two nearly equal tokens lie on either side of the entropy at the same distance, to second order.
    """
    probs = probabilities(before)
    alive = [index for index, prob in enumerate(probs) if prob > 0.0]
    entropy = -math.fsum(probs[index] * math.log(probs[index]) for index in alive)
    distance = {index: abs(-math.log(probs[index]) - entropy) for index in alive}
    last = max((index for index in alive if after[index] > -math.inf), key=distance.__getitem__)
    return all(
        abs(distance[index] - distance[last]) > _NUDGE or before[index] == before[last]
        for index in alive
    )


@settings(
    suppress_health_check=[HealthCheck.filter_too_much],
    max_examples=max(500, settings().max_examples),
)
@given(data=st.data(), batch=strategies.batches())
def test_a_step_equals_the_reference(data: st.DataObject, batch: tuple[Any, History]) -> None:
    logits, history = batch
    size, vocab_size = logits.shape
    programs = [instructions_of(data.draw(strategies.pipelines(vocab_size))) for _ in range(size)]
    expected = [by_reference(logits[row], programs[row], history, row) for row in range(size)]
    assume(all(max(row) > -math.inf for row in expected))
    seeds = data.draw(st.lists(st.integers(0, 2**64 - 1), min_size=size, max_size=size))
    greedy = data.draw(st.lists(st.booleans(), min_size=size, max_size=size))
    top_n = data.draw(st.lists(st.integers(0, 6), min_size=size, max_size=size))
    program = assemble(programs)
    ready = Batch(program, np.array(seeds, np.uint64), np.array(greedy), np.array(top_n, np.int64))
    result = VectorKernel(ready).step(
        logits,
        logits,
        fit_bitmasks(list(program.bitmasks), words_of(vocab_size)),
        history.token_ids,
        history.lengths,
        history.prompt_lengths,
        describe=True,
    )
    for row in range(size):
        got = result.rows[row]
        assert got["status"] == OK
        seed = None if greedy[row] else seeds[row]
        raw = logits[row].astype(np.float64).tolist()
        position = int(history.lengths[row])
        want = reference.step(raw, expected[row], seed=seed, position=position, top_n=top_n[row])
        assert got["support_size"] == want.support_size
        assert abs(got["entropy"] - want.entropy) < 1e-9 * max(1.0, want.support_size)
        if got["token_id"] != want.token_id:
            # Only a tie of the perturbed scores to within rounding may be broken differently.
            assert near_tie(expected[row], int(got["token_id"]), want.token_id, seed, position)
            continue
        assert_close(got["raw_logprob"], want.raw_logprob)
        assert_close(got["processed_logprob"], want.processed_logprob)
        assert got["rank"] == want.rank
        top = result.top[got["top_start"] : got["top_start"] + got["top_count"]]
        if top["token_id"].tolist() == [token_id for token_id, _, _ in want.top]:
            for found, (_, _, logprob) in zip(top["processed_logprob"], want.top, strict=True):
                assert_close(found, logprob)
        else:
            assert abs(len(want.top) - len(top)) <= want.support_size
            logprobs = top["processed_logprob"]
            assert all(logprobs[:-1] >= logprobs[1:])


def assert_close(got: float, want: float) -> None:
    assert abs(got - want) <= 1e-9 * max(1.0, abs(want))


def near_tie(row: list[float], first: int, second: int, seed: int | None, position: int) -> bool:
    from decoding.kernels.reference.philox import gumbel, token_word

    def score(token_id: int) -> float:
        noise = 0.0 if seed is None else gumbel(token_word(seed, position, token_id))
        return row[token_id] + noise

    return abs(score(first) - score(second)) <= 1e-9 * max(1.0, abs(score(first)))


@settings(
    suppress_health_check=[HealthCheck.filter_too_much],
    max_examples=max(500, settings().max_examples),
)
@given(data=st.data(), batch=strategies.batches())
def test_lowered_equals_by_definition(data: st.DataObject, batch: tuple[Any, History]) -> None:
    logits, history = batch
    pipelines = [data.draw(strategies.pipelines(logits.shape[1])) for _ in range(len(logits))]
    for row, pipeline in enumerate(pipelines):
        by_reference(logits[row], instructions_of(pipeline), history, row)
    wide = logits.astype(np.float64)
    defined = np.concatenate(
        [
            pipeline(wide[row : row + 1], history.select(row))
            for row, pipeline in enumerate(pipelines)
        ]
    )
    assume((defined > -np.inf).any(axis=1).all())
    samplers = [Sampler(pipeline, None, top_n=logits.shape[1]) for pipeline in pipelines]
    drawn = BatchSampler(samplers)(logits, history)
    lowered = np.full(defined.shape, -np.inf)
    for row, sample in enumerate(drawn):
        assert isinstance(sample, Sample)
        for alternative in sample.top:
            lowered[row, alternative.token_id] = alternative.processed_logprob
    assert laws.same_distribution(lowered, laws.log_softmax(defined))


@settings(suppress_health_check=[HealthCheck.filter_too_much])
@given(data=st.data(), batch=strategies.batches(), seed=st.integers(0, 2**64 - 1))
def test_a_python_processor_splits_the_program_and_changes_nothing(
    data: st.DataObject, batch: tuple[Any, History], seed: int
) -> None:
    logits, history = batch
    logits = logits.astype(np.float64)
    processors = data.draw(strategies.pipelines(logits.shape[1])).processors
    place = data.draw(st.integers(0, len(processors)))
    whole = [Sampler(chain(*processors), seed, top_n=3)] * len(logits)
    split = [
        Sampler(chain(*processors[:place], lambda z, _: z, *processors[place:]), seed, top_n=3)
    ] * len(logits)
    for one, other in zip(
        BatchSampler(whole)(logits, history), BatchSampler(split)(logits, history), strict=True
    ):
        if isinstance(one, Sample):
            assert isinstance(other, Sample)
            assert one.token_id == other.token_id
            assert math.isclose(one.processed_logprob, other.processed_logprob, abs_tol=1e-9)
            assert one.raw_logprob == other.raw_logprob
        else:
            assert str(one) == str(other)
