"""Arguments of public functions: wrong ones are named, all common kinds are taken."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import decoding
from decoding import (
    BatchSampler,
    Engine,
    GenerationParameters,
    LanguageModel,
    Request,
    Sampler,
    Temperature,
    TopK,
    TopP,
    chain,
    compare,
    explain,
    generate,
    presets,
    sample,
    stream,
    watermark,
)
from decoding.engine.stopping import StopStrings
from decoding.errors import ParameterError, ShapeError
from decoding.grammar import Machine, compile_regex, token_table
from decoding.history import History
from decoding.pipeline import Pipeline, as_pipeline
from decoding.testing import laws
from decoding.vocabulary import Vocabulary
from decoding.watermark import GumbelScheme, LastToken, Scheme, SynthId

ROW = np.log([[0.4, 0.3, 0.2, 0.1]])
SEEN = History.of([[1, 2]])
ASKED = GenerationParameters(seed=3, max_new_tokens=2)
TOP_P: Any = TopP(0.5)
"""A lone processor where a pipeline is declared."""


def flat(rows: list[list[int]]) -> Any:
    return np.repeat(ROW, len(rows), axis=0)


def unconditional(history: History) -> Any:
    return ROW


def use_generate(pipeline: Any) -> object:
    return generate(flat, [1], ASKED, pipeline=pipeline)


def use_stream(pipeline: Any) -> object:
    return list(stream(flat, [1], ASKED, pipeline=pipeline))


def use_request(pipeline: Any) -> object:
    return Request([1], ASKED, pipeline)


def use_sampler(pipeline: Any) -> object:
    return Sampler(pipeline, 3)


def use_explain(pipeline: Any) -> object:
    return explain(pipeline, ROW)


def use_compare(pipeline: Any) -> object:
    return compare(pipeline, TopK(2), ROW)


def use_compare_second(pipeline: Any) -> object:
    return compare(TopK(2), pipeline, ROW)


SEAMS: list[Callable[[Any], object]] = [
    use_generate,
    use_stream,
    use_request,
    use_sampler,
    use_explain,
    use_compare,
    use_compare_second,
]


@pytest.mark.parametrize("use", SEAMS)
def test_a_lone_processor_is_a_pipeline(use: Callable[[Any], object]) -> None:
    assert use(TOP_P) == use(chain(TOP_P))


@pytest.mark.parametrize("use", SEAMS)
@pytest.mark.parametrize("wrong", [[TOP_P], (TOP_P,), TopP, "top_p", 0.9, {"top_p": 0.9}, ASKED])
def test_what_is_no_pipeline_is_refused_by_name(use: Callable[[Any], object], wrong: Any) -> None:
    with pytest.raises(ParameterError, match=r"^(pipeline|processors\[0\]) must be a processor"):
        use(wrong)


@pytest.mark.parametrize("wrong", [[TOP_P], (TOP_P,), None, TopP, "top_p", 0.9, Sampler()])
def test_a_chain_takes_processors_alone(wrong: Any) -> None:
    with pytest.raises(ParameterError, match=r"^processors\[1\] must be a processor"):
        chain(TOP_P, wrong)
    with pytest.raises(ParameterError, match=r"^processors\[0\] must be a processor"):
        Pipeline((wrong,))


def test_a_pipeline_takes_a_sequence() -> None:
    one: Any = [TOP_P]
    assert Pipeline(one) == chain(TOP_P)
    with pytest.raises(ParameterError, match="processors must be a sequence of processors"):
        Pipeline(TOP_P)


def test_none_is_the_empty_pipeline_where_one_is_optional() -> None:
    none: Any = None
    assert Sampler(none) == Sampler(chain()) == Sampler()
    assert as_pipeline(None) == chain()
    assert as_pipeline(chain(TOP_P)) == chain(TOP_P)


def test_a_pipeline_edits_a_tensor_and_shows_arrays_to_functions() -> None:
    torch = pytest.importorskip("torch")
    seen = []

    def mine(logits: Any, history: History) -> Any:
        seen.append(type(logits))
        return logits

    tensor = torch.from_numpy(ROW).to(torch.bfloat16)
    result = chain(Temperature(0.5), mine, TopK(2))(tensor, SEEN)
    assert isinstance(result, torch.Tensor)
    assert result.dtype == torch.bfloat16
    assert torch.isneginf(result).tolist() == [[False, False, True, True]]
    assert seen == [np.ndarray]


SEEDS = [1.0, 1.5, True, "1", -1, 2**64, np.float32(1), 10**400, [1]]


@pytest.mark.parametrize("wrong", SEEDS)
def test_a_seed_is_an_integer(wrong: Any) -> None:
    with pytest.raises(ParameterError, match=r"^seed must be .*in \[0, 2\*\*64\)"):
        Sampler(seed=wrong)


@pytest.mark.parametrize("right", [7, np.int64(7), np.uint8(7)])
def test_a_seed_of_numpy_is_the_same_seed(right: Any) -> None:
    sampler = Sampler(seed=right, top_n=right)
    assert sampler == Sampler(seed=7, top_n=7)
    assert type(sampler.seed) is type(sampler.top_n) is int


@pytest.mark.parametrize("wrong", [-1, 1.5, True, None, 10**400])
def test_top_n_is_an_integer(wrong: Any) -> None:
    with pytest.raises(ParameterError, match=r"^top_n must be"):
        Sampler(top_n=wrong)


@pytest.mark.parametrize("wrong", [0, -1, 1.5, True, "2"])
def test_threads_and_batch_sizes_are_positive_integers(wrong: Any) -> None:
    with pytest.raises(ParameterError, match=r"^threads must be"):
        BatchSampler([Sampler()], threads=wrong)
    with pytest.raises(ParameterError, match=r"^max_batch_size must be"):
        Engine(flat, max_batch_size=wrong)


@pytest.mark.parametrize("wrong", [Sampler(), None, "sampler", 5])
def test_samplers_are_a_sequence(wrong: Any) -> None:
    with pytest.raises(ParameterError, match="samplers must be a sequence of samplers"):
        BatchSampler(wrong)


@pytest.mark.parametrize("wrong", [None, TOP_P, chain(TOP_P), Sampler])
def test_samplers_are_samplers(wrong: Any) -> None:
    with pytest.raises(ParameterError, match=r"samplers\[1\] must be a Sampler"):
        sample(np.zeros((2, 3)), History.empty(2), [Sampler(), wrong])


@pytest.mark.parametrize("wrong", ["max_new_tokens=2", {"max_new_tokens": 2}, 5, {}, "", 0, False])
def test_parameters_are_generation_parameters(wrong: Any) -> None:
    for call in (generate, stream):
        with pytest.raises(ParameterError, match=r"^parameters must be GenerationParameters, got"):
            call(flat, [1], wrong)
    with pytest.raises(ParameterError, match=r"^parameters must be GenerationParameters, got"):
        Request([1], wrong)
    with pytest.raises(ParameterError, match=r"^parameters must be GenerationParameters, got"):
        generate(flat, [[1], [2]], [ASKED, wrong])


@pytest.mark.parametrize("wrong", [None, "model", 5, LanguageModel, np.zeros(3)])
def test_a_model_is_called(wrong: Any) -> None:
    expected = r"^model must be a function from token-id lists to logits, or a CachedModel"
    with pytest.raises(ParameterError, match=expected):
        Engine(wrong)
    with pytest.raises(ParameterError, match=expected):
        generate(wrong, [1], ASKED)
    with pytest.raises(ParameterError, match=expected):
        LanguageModel(forward=wrong)


@pytest.mark.parametrize("name", ["logits_width", "context_length"])
@pytest.mark.parametrize("wrong", [0, -1, 1.5, True, "8"])
def test_the_sizes_of_a_model_are_positive_integers(name: str, wrong: Any) -> None:
    sizes: dict[str, Any] = {name: wrong}
    with pytest.raises(ParameterError, match=rf"^{name} must be"):
        LanguageModel(forward=flat, **sizes)


@pytest.mark.parametrize("right", [[2], (2, 2), {2}, np.array([2]), frozenset({2})])
def test_end_tokens_are_any_token_ids(right: Any) -> None:
    assert LanguageModel(forward=flat, eos_token_ids=right).eos_token_ids == frozenset({2})


@pytest.mark.parametrize("wrong", [2, "2", [1.5], [-1], [2**31], None])
def test_end_tokens_are_token_ids(wrong: Any) -> None:
    with pytest.raises(ParameterError, match=r"^eos_token_ids must be"):
        LanguageModel(forward=flat, eos_token_ids=wrong)


@pytest.mark.parametrize("wrong", [None, [[1, 2]], "text"])
def test_a_sampler_takes_a_history(wrong: Any) -> None:
    for call in (BatchSampler([Sampler()]), BatchSampler([Sampler()]).draw):
        with pytest.raises(ParameterError, match=r"^history must be a History"):
            call(ROW, wrong)


@pytest.mark.parametrize("wrong", [[], [(), ()], 5])
def test_states_are_one_a_row(wrong: Any) -> None:
    with pytest.raises(ParameterError, match=r"^states must be a sequence of 1 entries"):
        BatchSampler([Sampler(TOP_P)])(ROW, SEEN, wrong)


@pytest.mark.parametrize("wrong", [None, {}, "text"])
def test_a_pipeline_is_asked_for_by_parameters(wrong: Any) -> None:
    with pytest.raises(ParameterError, match=r"^parameters must be GenerationParameters"):
        decoding.pipeline_of(wrong)


@pytest.mark.parametrize("wrong", ["text", [1, 2], None, ASKED])
def test_an_engine_takes_requests_and_generations(wrong: Any) -> None:
    engine = Engine(flat)
    with pytest.raises(ParameterError, match=r"^request must be a Request"):
        engine.submit(wrong)
    with pytest.raises(ParameterError, match=r"^generation must be a Generation"):
        engine.cancel(wrong)


@pytest.mark.parametrize("wrong", ["abc", b"abc", [1], None, 5])
def test_stops_are_a_sequence_of_strings(wrong: Any) -> None:
    with pytest.raises(ParameterError, match=r"^stop must be a sequence of strings"):
        StopStrings(wrong)


@pytest.mark.parametrize("wrong", [["a", "b"], "ab", b"ab", [b"a", "b"], {0: b"a"}, None])
def test_a_vocabulary_is_a_sequence_of_bytes(wrong: Any) -> None:
    with pytest.raises(ParameterError, match=r"^token_bytes must be a sequence of bytes"):
        Vocabulary(wrong)


@pytest.mark.parametrize("wrong", ["ab", ["ab"], [1, 2], [[1.5]], [[2**31]], [[True]], [[[1]]], 5])
def test_a_history_is_rows_of_token_ids(wrong: Any) -> None:
    with pytest.raises(ParameterError, match=r"^prompts(\[0\])? must be"):
        History.of(wrong)


def test_a_history_is_made_of_arrays_and_tensors() -> None:
    torch = pytest.importorskip("torch")
    for rows in (np.array([[1, 2]]), [np.array([1, 2], np.uint16)], [torch.tensor([1, 2])]):
        history = History.of(rows, [[3]])
        assert history.row(0).tolist() == [1, 2, 3]
        assert history.token_ids.dtype == np.int32


@pytest.mark.parametrize(
    "call",
    [
        lambda: explain(TOP_P, ROW, History.empty(2)),
        lambda: compare(TOP_P, TopK(2), ROW, History.empty(2)),
        lambda: chain(TOP_P)(ROW, History.empty(2)),
        lambda: chain()(ROW, History.empty(2)),
    ],
)
def test_a_history_of_another_batch_is_named(call: Callable[[], object]) -> None:
    with pytest.raises(ShapeError, match=r"^history must be of 1 rows, as the logits, got 2 rows"):
        call()


@pytest.mark.parametrize("call", [explain, functools.partial(compare, TopK(2))])
@pytest.mark.parametrize("wrong", [[[1, 2]], "text"])
def test_a_history_that_is_none_is_named(call: Any, wrong: Any) -> None:
    with pytest.raises(ParameterError, match=r"^history must be a History"):
        call(TOP_P, ROW, wrong)


def masks() -> Iterator[Any]:
    vocabulary = Vocabulary([bytes([byte]) for byte in range(64, 128)] + [b"</s>"])
    machine = Machine(token_table(vocabulary, end_token_ids=[64]))
    mask = compile_regex("[AC]", machine).matcher().mask()
    yield mask
    yield mask.view(np.int32)
    yield mask.astype(">u4")
    yield mask.astype("<u4").tobytes()
    yield bytearray(mask.astype("<u4").tobytes())
    yield memoryview(mask.astype("<u4").tobytes())
    torch = pytest.importorskip("torch")
    yield torch.from_numpy(mask.view(np.int32).copy())


def test_the_mask_of_a_matcher_is_a_bitmask() -> None:
    for mask in masks():
        bitmask = decoding.Bitmask(mask)
        kept = np.flatnonzero(bitmask(np.zeros((1, 65)), History.empty(1))[0] == 0.0)
        assert kept.tolist() == [1, 3]
        assert bitmask == decoding.Bitmask.of([1, 3]) or len(bitmask.packed) == 12
        assert hash(bitmask) == hash(decoding.Bitmask(bitmask.packed))
        assert decoding.BitmaskBias(mask, 1.0).packed == bitmask.packed


@pytest.mark.parametrize(
    "wrong",
    ["abcd", b"abc", [1, 2], np.zeros(3), np.zeros(2, np.int64), np.zeros((1, 2), np.int32), None],
)
def test_what_is_no_mask_is_refused(wrong: Any) -> None:
    with pytest.raises(ParameterError, match=r"^packed must be whole 32-bit words"):
        decoding.Bitmask(wrong)


def test_the_type_of_a_grammar_is_text() -> None:
    with pytest.raises(ParameterError, match=r"^grammar.type must be one of"):
        decoding.Grammar(np.zeros(3), "a")


def test_token_ids_are_taken_from_arrays_and_tensors() -> None:
    torch = pytest.importorskip("torch")
    for ids in (np.array([1, 3]), torch.tensor([1, 3]), {3, 1}, range(1, 4, 2), iter([3, 1])):
        assert decoding.SuppressTokens(ids).token_ids == (1, 3)
    text = torch.tensor([1, 2, 3, 1, 2, 4])
    scheme = Scheme(LastToken())
    assert watermark.detect(text, scheme, 9) == watermark.detect(text.tolist(), scheme, 9)


@pytest.mark.parametrize(
    "call",
    [
        lambda: decoding.Watermark("tgi"),
        lambda: decoding.GumbelWatermark(Scheme(LastToken())),
        lambda: decoding.SynthIdWatermark((1, 2)),
        lambda: Scheme(LastToken),
        lambda: Scheme(5),
        lambda: Scheme(LastToken(), colouring="permuted"),
        lambda: SynthId(5),
        lambda: SynthId("12"),
        lambda: watermark.detect([1, 2], GumbelScheme(1), 9),
        lambda: watermark.detect_gumbel([1, 2], Scheme(LastToken())),
        lambda: watermark.detect_synthid([1, 2], GumbelScheme(1)),
        lambda: decoding.Scoped(TopP, "all"),
        lambda: decoding.Scoped(TOP_P, ["all"]),
        lambda: decoding.AtLeast(TopP, 2),
        lambda: decoding.AtLeast(0.9, 2),
        lambda: decoding.PrefixFunction([1, 2]),
        lambda: decoding.ClassifierFreeGuidance(1.5, ROW),
        lambda: presets.llama_cpp(top_k=1.5),
        lambda: presets.llama_cpp(samplers=5),
        lambda: presets.mlx_lm(top_p="0.9"),
        lambda: presets.sglang(logit_bias=[1]),
        lambda: presets.tgi(watermark=1),
        lambda: presets.transformers(temperature=None, top_k="5"),
        lambda: presets.vllm(seed=1.5, top_k=True),
    ],
)
def test_others_are_named(call: Callable[[], object]) -> None:
    with pytest.raises((ParameterError, TypeError), match=r"must be|unexpected keyword"):
        call()


@pytest.mark.parametrize(
    "feedback", [decoding.Mirostat1(), decoding.Mirostat2(), decoding.AdaptiveP(0.5)]
)
def test_a_feedback_filters_a_tensor(feedback: Any) -> None:
    torch = pytest.importorskip("torch")
    tensor = torch.from_numpy(np.repeat(ROW, 2, axis=0)).float()
    states = [feedback.start()] * 2
    result = feedback.filter(tensor, states)
    assert torch.equal(result, torch.from_numpy(feedback.filter(tensor.numpy(), states)))
    with pytest.raises(ShapeError, match=r"^states must be of 2 rows, as the logits, got 1 rows"):
        feedback.filter(tensor, states[:1])
    with pytest.raises(ParameterError, match=r"^states must be a sequence"):
        feedback.filter(tensor, states[0])


@pytest.mark.parametrize("seed", [None, 5])
def test_a_sampler_does_not_read_padding(seed: int | None) -> None:
    pipeline = chain(decoding.Dry(1.0), decoding.NoRepeatNgram(2), decoding.Xtc(0.5), TOP_P)
    history = History.of([[1, 2, 1], [3]], [[2], [1, 3, 1]])
    sampler = BatchSampler([Sampler(pipeline, seed), Sampler(pipeline, seed)])
    logits = np.random.default_rng(0).standard_normal((2, 9))
    laws.check_sampler(sampler, logits, history)


def test_a_sampler_that_reads_padding_is_caught() -> None:
    def last_column(logits: Any, history: History) -> list[int]:
        return [int(row[-1:].sum()) for row in history.token_ids]

    with pytest.raises(AssertionError, match="beyond the length"):
        laws.check_sampler(last_column, np.zeros((1, 4)), History.of([[1, 2]]))


def test_a_model_of_transformers_is_told_what_makes_one_of_it() -> None:
    transformers = pytest.importorskip("transformers")
    sizes = {"vocab_size": 9, "hidden_size": 4, "intermediate_size": 4, "num_hidden_layers": 1}
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**sizes, num_attention_heads=1))
    with pytest.raises(ParameterError, match=r"adapters\.transformers\.language_model"):
        generate(model, [1])


@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_token_ids_in_the_place_of_logits_name_the_adapter(kind: str) -> None:
    ids: Any = np.ones((1, 4), np.int64)
    if kind == "torch":
        ids = pytest.importorskip("torch").from_numpy(ids)
    with pytest.raises(ShapeError, match=r"adapters\.transformers\.processor"):
        chain(TopK(1))(ids, History.of([[1]]))


def test_a_claim_in_the_place_of_a_pipeline_names_what_takes_it() -> None:
    from decoding.audit import Claim, verify

    def model(rows: Any) -> Any:
        return np.zeros((len(rows), 4))

    claim: Any = Claim(seed=1)
    with pytest.raises(ParameterError, match="verify_logits takes a Claim"):
        verify(model, [1], [2], claim)
