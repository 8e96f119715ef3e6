"""The adapter of transformers: its three routes give the same tokens, on a small random model."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import numpy as np
import pytest
import tokenizers
from profiles import spread
from tokenizers import AddedToken, decoders, pre_tokenizers, trainers
from tokenizers import models as token_models

from decoding import (
    Dry,
    Engine,
    GenerationParameters,
    Grammar,
    GrammarMask,
    History,
    MinP,
    Pipeline,
    RepetitionPenalty,
    Request,
    Temperature,
    TopK,
    Watermark,
    chain,
    generate,
    pipeline_of,
)
from decoding.adapters.transformers import (
    PipelineProcessor,
    TransformersModel,
    custom_generate,
    forward,
    language_model,
    processor,
    tokenizer,
)
from decoding.errors import (
    BatchError,
    EmptySupportError,
    ParameterError,
    ShapeError,
    UnsupportedFeatureError,
)
from decoding.grammar import JsonStyle
from decoding.models import CallableModel
from decoding.processors import AllowedTokens, Bitmask, Mirostat2
from decoding.watermark.presets import tgi

torch = pytest.importorskip("torch")
transformers: Any = pytest.importorskip("transformers")

from transformers.generation.continuous_batching.cb_logits_processors import (
    ContinuousBatchingLogitsProcessorList,
)

SIZES = {
    "vocab_size": 300,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "bos_token_id": 298,
    "eos_token_id": 299,
    "pad_token_id": 298,
}
SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "integer", "minimum": 0, "maximum": 99}, "b": {"type": "boolean"}},
    "required": ["a", "b"],
    "additionalProperties": False,
}
COMPACT = Grammar("json", SCHEMA, style=JsonStyle(whitespace="compact"))
PROMPTS = [[5, 6, 7], [8], [9, 10, 11, 12, 13, 14], [20, 21]]
PROMPT_WIDTH = max(map(len, PROMPTS))
IDS = torch.tensor([[298] * (PROMPT_WIDTH - len(ids)) + ids for ids in PROMPTS])
MASK = torch.tensor([[0] * (PROMPT_WIDTH - len(ids)) + [1] * len(ids) for ids in PROMPTS])
BATCH = {"input_ids": IDS, "attention_mask": MASK}


def random_model(family: str = "Llama", **changes: Any) -> Any:
    torch.manual_seed(0)
    head = "LMHeadModel" if family == "GPT2" else "ForCausalLM"
    model = getattr(transformers, f"{family}{head}")(
        getattr(transformers, f"{family}Config")(**(SIZES | changes))
    ).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return model


@pytest.fixture(scope="module")
def model() -> Any:
    return random_model()


@pytest.fixture(scope="module")
def words() -> Any:
    """A byte-level tokenizer of transformers with 300 ids."""
    made = tokenizers.Tokenizer(token_models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=298, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    corpus = ["the cat sat on the mat with 12 hats and the dog, naïve, ate 東京 cakes"] * 4
    made.train_from_iterator(corpus, trainer)
    size = made.get_vocab_size()
    made.add_tokens([AddedToken(f"<{index}>") for index in range(298 - size)])
    made.add_special_tokens(["<s>", "</s>"])
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<s>", eos_token="</s>", pad_token="<s>"
    )


def new_ids(output: Any) -> list[list[int]]:
    """The generated tokens of every row up to its end token."""
    rows = output[:, PROMPT_WIDTH:].tolist()
    return [row[: row.index(299) + 1] if 299 in row else row for row in rows]


def by_generate(language: Any, parameters: GenerationParameters) -> list[list[int]]:
    return [[token.id for token in item.tokens] for item in generate(language, PROMPTS, parameters)]


CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "dry": {"dry_multiplier": 0.9, "dry_sequence_breakers": ()},
    "penalties": {"repetition_penalty": 1.4, "frequency_penalty": 0.3},
    "watermark": {"watermark": True},
    "schema": {"grammar": COMPACT},
}


@pytest.mark.parametrize("name", spread(CASES, 2))
def test_the_three_routes_give_the_same_tokens(name: str, model: Any, words: Any) -> None:
    language = language_model(model, words)
    most = 80 if name == "schema" else 24  # keys may be spelled with escapes
    parameters = GenerationParameters(max_new_tokens=most, **CASES[name])
    want = by_generate(language, parameters)
    output = model.generate(
        **BATCH, max_new_tokens=most, custom_generate=custom_generate(parameters, tokenizer=words)
    )
    assert new_ids(output) == want
    assert output[:, :PROMPT_WIDTH].equal(IDS)
    mask = None
    if parameters.grammar is not None:
        assert language.grammars is not None
        mask = language.grammars.mask_of(parameters.grammar)
    pipeline = pipeline_of(parameters, 300, grammar_mask=mask, tokenizer=language.tokenizer)
    output = model.generate(
        **BATCH,
        max_new_tokens=most,
        do_sample=False,
        logits_processor=[processor(pipeline, eos_token_ids=[299], attention_mask=MASK)],
    )
    assert new_ids(output) == want
    if name == "schema":
        for ids in want:
            value = json.loads(words.decode(ids, skip_special_tokens=True))
            assert value.keys() == {"a", "b"}
    if name != "plain":
        assert want != by_generate(language, GenerationParameters(max_new_tokens=24))


def test_transformers_alone_gives_the_plain_tokens(model: Any) -> None:
    want = new_ids(model.generate(**BATCH, max_new_tokens=24, do_sample=False))
    assert by_generate(language_model(model), GenerationParameters(max_new_tokens=24)) == want


# The processor


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


# The model


FAMILIES: dict[str, dict[str, Any]] = {
    "Llama": {},
    "Mistral": {"sliding_window": 5},
    "Gemma3": {},
    "GPT2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256},
    "Bloom": {"n_layer": 2, "n_head": 4},
}


def whole(model: Any, ids: list[int]) -> Any:
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0].float()


def family(name: str) -> Any:
    if name != "Gemma3":
        return random_model(name, **FAMILIES[name])
    config = transformers.Gemma3TextConfig(
        **SIZES, head_dim=8, sliding_window=4, layer_types=["sliding_attention", "full_attention"]
    )
    torch.manual_seed(0)
    return transformers.Gemma3ForCausalLM(config).eval()


@pytest.mark.parametrize("name", spread(FAMILIES, 2))
def test_a_model_is_cached(name: str) -> None:
    model = family(name)
    ours = forward(model)
    assert isinstance(ours, TransformersModel)
    texts = [list(range(3, 13)), [40], list(range(100, 120, 3))]

    def check(got: Any, places: list[tuple[list[int], int]]) -> None:
        want = torch.stack([whole(model, ids)[place] for ids, place in places])
        torch.testing.assert_close(got, want, rtol=0, atol=2e-4)

    states, logits = ours.prefill(texts)
    check(logits, [(ids, -1) for ids in texts])
    # Together, then in another order, then ragged, with every position.
    for ids in texts:
        ids.append(55)
    check(ours.extend(states, [[55]] * 3), [(ids, -1) for ids in texts])
    for ids in texts[1:]:
        ids.append(56)
    check(ours.extend(states[:0:-1], [[56]] * 2), [(texts[2], -1), (texts[1], -1)])
    new = [[1], [2, 3, 4], [5, 6]]
    for text, more in zip(texts, new, strict=True):
        text.extend(more)
    logits = ours.extend(states, new, all_positions=True)
    check(
        logits,
        [
            (ids, place)
            for ids, more in zip(texts, new, strict=True)
            for place in range(-len(more), 0)
        ],
    )
    # A fork and its parent go different ways; one of them is rolled back.
    twin = ours.fork(states[1])
    ours.rollback(states[1], 3)
    other = [*texts[1], 77]
    texts[1] = [*texts[1][:-3], 88]
    logits = ours.extend([states[1], twin, states[0]], [[88], [77], [99]])
    texts[0].append(99)
    check(logits, [(texts[1], -1), (other, -1), (texts[0], -1)])
    for state in (*states, twin):
        ours.release(state)
    ours.release(twin)
    with pytest.raises(ParameterError, match="released"):
        ours.extend([twin], [[1]])


def test_all_positions_of_a_ragged_prefill(model: Any) -> None:
    ours = forward(model)
    _, logits = ours.prefill(PROMPTS, all_positions=True)
    want = torch.cat([whole(model, ids) for ids in PROMPTS])
    torch.testing.assert_close(logits, want, rtol=0, atol=1e-4)


def test_a_call_that_fails_leaves_no_other_state_changed(model: Any) -> None:
    ours = forward(model)
    states, _ = ours.prefill([[1, 2, 3], [4, 5]])
    kept = ours.fork(states[0])
    want = ours.extend([kept], [[9]])
    ours.rollback(kept, 1)
    layer = model.model.layers[1]

    def fail(*_: Any) -> None:
        raise RuntimeError("half-way")

    hook = layer.register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match="half-way"):
        ours.extend(states, [[7], [8]])
    hook.remove()
    assert ours.extend([kept], [[9]]).allclose(want, atol=1e-5)


def test_illegal_calls_of_a_model(model: Any) -> None:
    ours = forward(model)
    [state], _ = ours.prefill([[1]])
    for states, ids in (
        ([state], [[]]),
        ([state], [[300]]),
        ([state], [[-1]]),
        ([], []),
        ([state, state], [[1], [1]]),
        ([state], [[1] * 256]),
    ):
        with pytest.raises(ParameterError):
            ours.extend(states, ids)
    with pytest.raises(ParameterError):
        ours.rollback(state, 2)
    assert state.length == 1
    ours.rollback(state, 1)
    assert ours.extend([state], [[5, 6]]).allclose(whole(model, [5, 6])[-1:], atol=1e-4)


def test_models_without_such_a_cache() -> None:
    mamba = transformers.MambaForCausalLM(
        transformers.MambaConfig(vocab_size=300, hidden_size=32, num_hidden_layers=1, state_size=4)
    ).eval()
    ours = forward(mamba)
    assert isinstance(ours, CallableModel)
    _, logits = ours.prefill(PROMPTS)
    want = torch.stack([whole(mamba, ids)[-1] for ids in PROMPTS])
    np.testing.assert_allclose(logits, want.numpy(), atol=1e-4)
    with pytest.raises(UnsupportedFeatureError, match="encoder"):
        forward(
            transformers.T5ForConditionalGeneration(
                transformers.T5Config(
                    vocab_size=30, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2
                )
            )
        )
    with pytest.raises(ParameterError, match="language modelling head"):
        forward(object())


def test_an_engine_with_prefixes_chunks_and_best_of(model: Any) -> None:
    language = language_model(model)
    asked = GenerationParameters(max_new_tokens=8, seed=4, temperature=1.0, best_of=3)
    alone = [generate(language, ids, asked) for ids in PROMPTS]
    engine = Engine(language, prefill_chunk=2, prefix_tokens=64)
    generations = []
    for ids in PROMPTS:
        generations.append(engine.submit(Request(ids, asked)))
        engine.step()
    while engine.busy:
        engine.step()
    assert [item.result() for item in generations] == alone


# custom_generate


def test_sampled_tokens_are_those_of_generate(model: Any) -> None:
    asked = GenerationParameters(max_new_tokens=20, seed=9, temperature=1.3, top_p=0.9)
    want = by_generate(language_model(model), asked)
    # What the configuration says of sampling has no say beside parameters.
    output = model.generate(
        **BATCH, max_new_tokens=99, do_sample=True, top_k=1, custom_generate=custom_generate(asked)
    )
    assert new_ids(output) == want
    each = [GenerationParameters(max_new_tokens=5, seed=seed) for seed in range(4)]
    output = model.generate(**BATCH, custom_generate=custom_generate(each), max_new_tokens=5)
    assert new_ids(output) == [
        [token.id for token in generate(language_model(model), ids, item).tokens]
        for ids, item in zip(PROMPTS, each, strict=True)
    ]


def test_without_parameters_the_configuration_counts(model: Any) -> None:
    want = model.generate(**BATCH, max_new_tokens=9, do_sample=False, repetition_penalty=1.5)
    got = model.generate(
        **BATCH,
        max_new_tokens=9,
        do_sample=False,
        repetition_penalty=1.5,
        custom_generate=custom_generate(),
    )
    assert new_ids(got) == new_ids(want)
    sampled = dict(**BATCH, max_new_tokens=9, do_sample=True, temperature=1.5, top_k=30)
    runs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        runs.append(new_ids(model.generate(**sampled, custom_generate=custom_generate())))
    assert runs[0] == runs[1] != runs[2]
    greedy = new_ids(model.generate(**BATCH, max_new_tokens=9, do_sample=False))
    sampled |= {"top_k": 1}
    assert new_ids(model.generate(**sampled, custom_generate=custom_generate())) == greedy


def test_sequences_of_one_prompt_differ(model: Any) -> None:
    asked = GenerationParameters(seed=5, temperature=1.5)
    output = model.generate(
        **BATCH,
        max_new_tokens=12,
        do_sample=True,
        num_return_sequences=3,
        custom_generate=custom_generate(asked),
    )
    rows = new_ids(output)
    assert len(rows) == 12
    assert len({tuple(row) for row in rows}) == 12


class Collected:
    """A streamer: what it was given, step by step."""

    def __init__(self) -> None:
        self.steps: list[Any] = []
        self.ended = 0

    def put(self, value: Any) -> None:
        self.steps.append(value.clone())

    def end(self) -> None:
        self.ended += 1


def test_streamers(model: Any, words: Any) -> None:
    asked = GenerationParameters(max_new_tokens=24, grammar=COMPACT, jump_forward=True)
    streamer = Collected()
    output = model.generate(
        **BATCH,
        max_new_tokens=24,
        custom_generate=custom_generate(asked, tokenizer=words, streamer=streamer),
    )
    assert streamer.steps[0].equal(IDS)
    assert torch.stack(streamer.steps[1:], 1).equal(output[:, PROMPT_WIDTH:])
    assert streamer.ended == 1
    text = transformers.TextIteratorStreamer(words, skip_prompt=True, skip_special_tokens=True)
    row = model.generate(
        IDS[2:3],
        max_new_tokens=24,
        custom_generate=custom_generate(asked, tokenizer=words, streamer=text),
    )
    assert "".join(text) == words.decode(row[0, PROMPT_WIDTH:], skip_special_tokens=True)


def test_a_streamer_ends_where_generation_fails(model: Any) -> None:
    streamer = Collected()
    impossible = custom_generate(pipeline=chain(Bitmask.of([])), streamer=streamer)
    with pytest.raises(BatchError):
        model.generate(**BATCH, max_new_tokens=3, custom_generate=impossible)
    assert streamer.ended == 1
    with pytest.raises(EmptySupportError):
        model.generate(IDS[:1], max_new_tokens=3, custom_generate=impossible)


def test_stopping_criteria(model: Any) -> None:
    class AfterThree(transformers.StoppingCriteria):
        def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:
            rows = torch.arange(len(input_ids)) % 2 == 0
            return rows & (input_ids.shape[1] >= PROMPT_WIDTH + 3)

    given = dict(**BATCH, max_new_tokens=7, do_sample=False)
    criteria = transformers.StoppingCriteriaList([AfterThree()])
    want = model.generate(**given, stopping_criteria=criteria)
    got = model.generate(
        **given, stopping_criteria=criteria, custom_generate=custom_generate(GenerationParameters())
    )
    assert got.equal(want)


def test_an_output_with_details(model: Any) -> None:
    asked = GenerationParameters(max_new_tokens=4, top_n_tokens=2)
    output = model.generate(
        **BATCH,
        return_dict_in_generate=True,
        max_new_tokens=4,
        custom_generate=custom_generate(asked),
    )
    assert output.sequences.equal(
        model.generate(**BATCH, max_new_tokens=4, custom_generate=custom_generate(asked))
    )
    assert [[token.id for token in item.tokens] for item in output.responses] == new_ids(
        output.sequences
    )
    assert all(len(step) == 2 for item in output.responses for step in item.top_tokens)


def test_what_the_loop_refuses(model: Any) -> None:
    made = custom_generate(GenerationParameters(max_new_tokens=3))
    for given in (
        {"num_beams": 2},
        {"output_scores": True, "return_dict_in_generate": True},
        {"logits_processor": [processor(chain(TopK(2)))]},
    ):
        with pytest.raises(UnsupportedFeatureError):
            model.generate(**BATCH, **given, max_new_tokens=3, custom_generate=made)
    with pytest.raises(ParameterError, match="parameters"):
        custom_generate("greedy")  # type: ignore[arg-type]  # the error
    with pytest.raises(ParameterError, match="4 rows"):
        model.generate(
            **BATCH, max_new_tokens=3, custom_generate=custom_generate([GenerationParameters()] * 3)
        )
    with pytest.raises(ParameterError, match="attention_mask"):
        made(model, IDS, attention_mask=torch.zeros_like(MASK))


def test_custom_generate_pickles(model: Any, words: Any) -> None:
    made = custom_generate(GenerationParameters(max_new_tokens=4, seed=1), tokenizer=words)
    want = model.generate(**BATCH, max_new_tokens=4, custom_generate=made)
    for twin in (pickle.loads(pickle.dumps(made)), copy.deepcopy(made)):
        assert model.generate(**BATCH, max_new_tokens=4, custom_generate=twin).equal(want)


# Text


def test_a_language_model_of_text(model: Any, words: Any) -> None:
    language = language_model(model, words)
    assert language.eos_token_ids == {299}
    assert (language.logits_width, language.context_length) == (300, 256)
    asked = GenerationParameters(max_new_tokens=80, seed=1, grammar=COMPACT)
    response = generate(language, "the cat", asked)
    assert json.loads(response.generated_text).keys() == {"a", "b"}
    assert tokenizer(words).encode("the cat") == words("the cat").input_ids


def test_allowed_tokens_over_all_routes(model: Any) -> None:
    pipeline = chain(AllowedTokens(range(30, 40)))
    output = model.generate(
        **BATCH, max_new_tokens=4, custom_generate=custom_generate(pipeline=pipeline)
    )
    assert set(output[:, PROMPT_WIDTH:].flatten().tolist()) <= set(range(30, 40))


def test_masks_of_our_own(model: Any, words: Any) -> None:
    language = language_model(model, words)
    assert language.grammars is not None
    mask = language.grammars.mask_of(Grammar("regex", "(cat|dog)+"))
    assert isinstance(mask, GrammarMask)
    made = processor(chain(mask, Watermark(tgi(), 300)), eos_token_ids=[299], attention_mask=MASK)
    output = model.generate(**BATCH, max_new_tokens=9, logits_processor=[made])
    for ids in new_ids(output):
        text = words.decode(ids, skip_special_tokens=True)
        assert text.replace("cat", "").replace("dog", "") in ("", "c", "ca", "d", "do")
