"""The logits processor of the adapter of transformers: padding, beams, texts, dtypes."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import numpy as np
import pytest

from decoding import (
    Dry,
    GenerationParameters,
    History,
    MinP,
    Pipeline,
    RepetitionPenalty,
    Temperature,
    TopK,
    chain,
)
from decoding.adapters.transformers import PipelineProcessor, language_model, processor
from decoding.errors import (
    EmptySupportError,
    ParameterError,
    ShapeError,
    UnsupportedFeatureError,
)
from decoding.processors import Mirostat2

torch = pytest.importorskip("torch")
transformers: Any = pytest.importorskip("transformers")

from small_models import (
    BATCH,
    COMPACT,
    IDS,
    MASK,
    PROMPT_WIDTH,
    PROMPTS,
    by_generate,
    new_ids,
)
from transformers.generation.continuous_batching.cb_logits_processors import (
    ContinuousBatchingLogitsProcessorList,
)


def test_padding_is_no_text(model: Any) -> None:
    # 298 is the padding and would be penalised, and row 1 would be repeated padding.
    def run(**padding: Any) -> list[list[int]]:
        made = processor(chain(RepetitionPenalty(3.0), Dry(4.0)), eos_token_ids=[299], **padding)
        return new_ids(
            model.generate(**BATCH, max_new_tokens=16, do_sample=False, logits_processor=[made])
        )

    parameters = GenerationParameters(
        max_new_tokens=16, repetition_penalty=3.0, dry_multiplier=4.0, dry_sequence_breakers=()
    )
    want = by_generate(language_model(model), parameters)
    assert run(attention_mask=MASK) == want
    assert run(pad_token_id=298) == want

    seen = []

    def look(logits: Any, history: History) -> Any:
        seen.append((history.prompt(0).tolist(), history.generated(0).tolist()))
        return logits

    made = processor(look, attention_mask=MASK)
    made(IDS, torch.zeros(4, 300))
    made(torch.cat([IDS, torch.full((4, 1), 7)], 1), torch.zeros(4, 300))
    assert seen == [(ids, []) for ids in PROMPTS] + [(ids, [7]) for ids in PROMPTS]


@pytest.mark.parametrize("pipeline", [chain(RepetitionPenalty(1.3)), chain(Dry(0.8))])
def test_beams_are_as_with_their_processor(pipeline: Pipeline, model: Any) -> None:
    given = dict(**BATCH, max_new_tokens=10, num_beams=3, do_sample=False)
    if isinstance(pipeline.processors[0], RepetitionPenalty):
        # Theirs sees the padding, too; let there be none.
        given |= {"input_ids": IDS[2:3], "attention_mask": MASK[2:3]}
        want = model.generate(**given, repetition_penalty=1.3)
        made = processor(pipeline, eos_token_ids=[299])
        assert model.generate(**given, logits_processor=[made]).equal(want)
        return

    # The definition, row by row, without any memory of the text.
    def by_definition(input_ids: Any, scores: Any) -> Any:
        rows = []
        for row, ids in enumerate(input_ids.tolist()):
            start = int((1 - MASK[row // 3]).sum())
            history = History.of([ids[start:PROMPT_WIDTH]], [ids[PROMPT_WIDTH:]])
            rows.append(pipeline(scores[row : row + 1].numpy(), history))
        return torch.from_numpy(np.concatenate(rows))

    want = model.generate(**given, logits_processor=[by_definition])
    made = processor(pipeline, eos_token_ids=[299], attention_mask=MASK)
    assert model.generate(**given, logits_processor=[made]).equal(want)


def test_a_row_that_has_ended_is_left_alone(model: Any, words: Any) -> None:
    # Sampling draws from every row, also from one that has ended: none may be empty.
    language = language_model(model, words)
    assert language.grammars is not None
    mask = language.grammars.mask_of(COMPACT)
    made = processor(chain(mask), eos_token_ids=[299], attention_mask=MASK)
    torch.manual_seed(3)
    output = model.generate(
        **BATCH, max_new_tokens=80, do_sample=True, temperature=1.2, logits_processor=[made]
    )
    for ids in new_ids(output):
        json.loads(words.decode(ids, skip_special_tokens=True))
    ended = torch.cat([IDS, torch.full((4, 1), 299)], 1)
    scores = torch.randn(4, 300)
    assert made(ended, scores).equal(scores)
    without = processor(chain(mask), attention_mask=MASK)
    without(IDS, scores)
    with pytest.raises(EmptySupportError):
        without(ended, scores)


def test_scores_keep_their_dtype_and_are_not_written_to() -> None:
    for dtype in (torch.float32, torch.float64, torch.float16, torch.bfloat16):
        scores = torch.randn(4, 300).to(dtype)
        before = scores.clone()
        after = processor(chain(TopK(3)))(IDS, scores)
        assert after.dtype == dtype
        assert (after > -torch.inf).sum(1).tolist() != [300] * 4
        assert scores.equal(before)
    large = processor(chain(Temperature(0.5)))(IDS, torch.full((4, 300), 6e4, dtype=torch.float16))
    assert large.isfinite().all()
    assert processor(chain())(IDS, scores) is scores


def test_a_new_call_of_generate_begins_a_new_text() -> None:
    seen: list[tuple[list[int], list[int]]] = []

    def look(logits: Any, history: History) -> Any:
        seen.append((history.prompt(0).tolist(), history.generated(0).tolist()))
        return logits

    made = processor(look)
    scores = torch.zeros(1, 10)
    # Assisted decoding goes back and forth; a chat's next prompt begins with the last one.
    for ids in ([1, 2], [1, 2, 3], [1, 2, 3, 4], [1, 2, 5], [1, 2, 5, 6], [1, 2, 5, 6, 7, 8], [9]):
        made(torch.tensor([ids]), scores)
    assert seen == [
        ([1, 2], []),
        ([1, 2], [3]),
        ([1, 2], [3, 4]),
        ([1, 2], [5]),
        ([1, 2], [5, 6]),
        ([1, 2, 5, 6, 7, 8], []),
        ([9], []),
    ]


def test_a_feedback_follows_rows_that_are_reordered() -> None:
    pipeline = chain(Mirostat2(2.0, 0.9))
    logits = np.random.default_rng(1).normal(0, 3, (3, 2, 40)).astype(np.float32)
    made = processor(pipeline)
    ids = torch.tensor([[1], [2]])
    first = made(ids, torch.from_numpy(logits[0]))
    chosen = first.argmin(1)  # any possible token
    chosen = torch.where(first > -torch.inf, first, torch.inf).argmin(1)
    grown = torch.cat([ids, chosen[:, None]], 1)
    second = made(grown, torch.from_numpy(logits[1]))
    # A beam search may go on with one row's text in both rows of one prompt.
    twin = processor(pipeline)
    same = torch.tensor([[1], [1]])
    both = twin(same, torch.from_numpy(logits[0][[0, 0]]))
    assert both[1].equal(first[0])
    grown_twin = grown[[0, 0]]
    assert twin(grown_twin, torch.from_numpy(logits[1][[0, 0]]))[1].equal(second[0])
    assert not second[0].equal(torch.from_numpy(logits[1][0]))
    late = processor(pipeline)
    late(torch.tensor([[1]]), torch.from_numpy(logits[0][:1]))
    late(torch.tensor([[1, 2]]), torch.from_numpy(logits[0][:1]))
    with pytest.raises(UnsupportedFeatureError, match="every step"):
        late(torch.tensor([[1, 3, 4]]), torch.from_numpy(logits[0][:1]))


def test_continuous_batching_drops_what_needs_a_history() -> None:
    free = processor(chain(Temperature(0.5), TopK(4), MinP(0.1)))
    bound = processor(chain(TopK(4), RepetitionPenalty(1.2)))
    unknown = processor(lambda logits, history: logits)
    assert (free.supports_continuous_batching, bound.supports_continuous_batching) == (True, False)
    assert not unknown.supports_continuous_batching
    kept = ContinuousBatchingLogitsProcessorList(
        transformers.LogitsProcessorList([free, bound, unknown])
    )
    assert list(kept.logits_processor) == [free]
    scores = torch.randn(3, 50)
    last = torch.tensor([4, 5, 6])  # one id a row: all that it gives
    assert kept(last, scores, torch.zeros(0)).equal(free(IDS[:3], scores))
    with pytest.raises(UnsupportedFeatureError, match="no history"):
        bound(last, scores)


def test_wrong_arguments_of_the_processor() -> None:
    with pytest.raises(ParameterError, match="attention_mask"):
        processor(chain(), attention_mask=torch.tensor([[1, 0]]))
    with pytest.raises(ParameterError, match="attention_mask"):
        processor(chain(), attention_mask=torch.tensor([1, 1]))
    with pytest.raises(ParameterError, match="attention_mask"):
        processor(chain(), attention_mask=torch.tensor([[0.5, 1.0]]))
    with pytest.raises(ParameterError, match="pad_token_id"):
        processor(chain(), pad_token_id=-5)
    with pytest.raises(ShapeError, match="input_ids"):
        processor(chain(TopK(1)), attention_mask=MASK)(IDS[:3], torch.zeros(3, 5))
    with pytest.raises(ShapeError, match="input_ids"):
        processor(chain(TopK(1)))(IDS, torch.zeros(3, 5))


def test_a_processor_pickles_and_copies() -> None:
    made = processor(chain(RepetitionPenalty(1.5), TopK(5)), attention_mask=MASK)
    scores = torch.randn(4, 300)
    want = made(IDS, scores)
    for twin in (pickle.loads(pickle.dumps(made)), copy.deepcopy(made)):
        assert isinstance(twin, PipelineProcessor)
        assert twin(IDS, scores).equal(want)
