"""Requests with grammars: the engine, pipelines and jump-forward decoding."""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import jsonschema
import numpy as np
import pydantic
import pytest
from annotated_types import Ge, Le, MaxLen
from byte_tokenizer import END, ByteTokenizer
from hypothesis import given, settings
from hypothesis import strategies as st
from profiles import amount, spread

from decoding import (
    Engine,
    FinishReason,
    GenerationParameters,
    Grammar,
    GrammarMask,
    History,
    LanguageModel,
    Request,
    TopK,
    chain,
    generate,
    load,
    stream,
)
from decoding.errors import (
    BatchError,
    EmptySupportError,
    GrammarLimitError,
    GrammarSyntaxError,
    GrammarUnsatisfiableError,
    GrammarUnsupportedError,
    ParameterError,
    ProcessorError,
)
from decoding.grammar import Machine, compile_regex
from decoding.models import CallableModel
from decoding.sampling.batch import Sample, Sampler, sample
from decoding.testing.models import hash_model

WIDTH = 261
SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 6},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
    },
    "required": ["name"],
    "additionalProperties": False,
}
DATE = r"\d{4}-(0[1-9]|1[0-2])-\d\d"


def model_of(forward: Any) -> LanguageModel:
    return LanguageModel(
        forward=forward, tokenizer=ByteTokenizer(), eos_token_ids=frozenset({END}),
        logits_width=WIDTH, context_length=2000,
    )  # fmt: skip


MODEL = model_of(hash_model(WIDTH))


def machine() -> Machine:
    assert MODEL.grammars is not None
    return MODEL.grammars.machine


def asked(grammar: Grammar, **others: Any) -> GenerationParameters:
    return GenerationParameters(grammar=grammar, **{"max_new_tokens": 300, **others})


KINDS = {
    "regex": Grammar("regex", DATE),
    "json": Grammar("json", SCHEMA),
    "json_object": Grammar("json_object", json.dumps(SCHEMA)),
    "json_schema": Grammar("json_schema", {"name": "person", "schema": SCHEMA}),
    "gbnf": Grammar("gbnf", 'root ::= "[" item* "]"\nitem ::= [a-c] | root'),
    "lark": Grammar("lark", 'start: "(" start ")" | DIGIT+\nDIGIT: /[0-9]/'),
}


def fits(grammar: Grammar, text: str) -> bool:
    if grammar.type == "regex":
        return re.fullmatch(str(grammar.value), text) is not None
    if grammar.schema is not None:
        return jsonschema.Draft202012Validator(SCHEMA).is_valid(json.loads(text))
    if grammar.type == "gbnf":
        while "[" in text[1:]:
            text, before = re.sub(r"(?<=.)\[[a-c]*\]", "", text), text
            if text == before:
                return False
        return re.fullmatch(r"\[[a-c]*\]", text) is not None
    return re.fullmatch(r"(\(*)\d+(\)*)", text) is not None and text.count("(") == text.count(")")


@pytest.mark.parametrize("kind", spread(KINDS, 3))
def test_what_is_generated_matches(kind: str) -> None:
    finished = 0
    for seed in range(8):
        response = generate(MODEL, "x", asked(KINDS[kind], do_sample=True, seed=seed))
        if response.finish_reason is FinishReason.EOS_TOKEN:
            finished += 1
            assert fits(KINDS[kind], response.generated_text)
    assert finished > 4


def test_a_batch_gives_what_each_request_gives_alone() -> None:
    requests = [asked(grammar, do_sample=True, seed=3) for grammar in KINDS.values()]
    requests += [GenerationParameters(max_new_tokens=9), asked(KINDS["json"], best_of=3, top_k=9)]
    requests[-1] = replace(requests[-1], seed=1)
    prompts = [f"prompt {index}" for index in range(len(requests))]
    together = generate(MODEL, prompts, requests)
    assert together == [generate(MODEL, *pair) for pair in zip(prompts, requests, strict=True)]


def test_a_pipeline_of_ones_own_keeps_the_grammar() -> None:
    parameters = asked(KINDS["regex"], do_sample=True, seed=1)
    response = generate(MODEL, "x", parameters, pipeline=chain(TopK(2)))
    assert fits(KINDS["regex"], response.generated_text)
    assert all(token.support_size in (1, 2) for token in response.tokens)


def test_the_text_ends_where_nothing_can_follow() -> None:
    response = generate(MODEL, "x", asked(Grammar("regex", "ab")))
    assert response.generated_text == "ab"
    assert [token.logprob for token in response.tokens] == [0, 0, 0]
    assert response.finish_reason is FinishReason.EOS_TOKEN


@pytest.mark.parametrize(
    ("grammar", "error", "message"),
    [
        (Grammar("regex", "("), GrammarSyntaxError, "offset 0"),
        (Grammar("regex", r"(a)\1"), GrammarUnsupportedError, "offset 3"),
        (Grammar("regex", "(?!a)a"), GrammarUnsatisfiableError, "no text"),
        (Grammar("json", {"type": "integer", "enum": ["a"]}), GrammarUnsatisfiableError, "/enum"),
        (Grammar("json", {"$ref": "#/x"}), GrammarUnsupportedError, r"/\$ref"),
        (Grammar("gbnf", "root ::= ("), GrammarSyntaxError, "1:"),
        (Grammar("lark", "start: start"), GrammarUnsatisfiableError, "no text"),
    ],
)
def test_a_grammar_that_cannot_be_is_refused_with_the_request(
    grammar: Grammar, error: type[Exception], message: str
) -> None:
    engine = Engine(MODEL)
    with pytest.raises(error, match=message):
        engine.submit(Request("x", asked(grammar)))
    assert not engine.busy


@pytest.mark.parametrize(
    ("model", "parameters", "message"),
    [
        (LanguageModel(forward=hash_model(9)), asked(KINDS["regex"]), "without a tokenizer"),
        (
            LanguageModel(forward=hash_model(WIDTH), tokenizer=ByteTokenizer()),
            asked(KINDS["regex"]),
            "without an end-of-sequence token",
        ),
        (MODEL, GenerationParameters(jump_forward=True), "False without a grammar"),
    ],
)
def test_models_that_cannot_hold_a_grammar(model: Any, parameters: Any, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        generate(model, [1], parameters)


def test_a_dead_end_is_an_error_of_its_row_alone() -> None:
    """Where every token that fits is suppressed, nothing is drawn."""
    stuck = asked(Grammar("regex", "ab"), suppress_tokens=[ord("b")])
    good = asked(KINDS["regex"], do_sample=True, seed=1)
    with pytest.raises(BatchError) as caught:
        generate(MODEL, ["x", "y"], [stuck, good])
    failed, response = caught.value.results
    assert isinstance(failed, EmptySupportError)
    assert "step 1" in str(failed)
    assert response == generate(MODEL, "y", good)


@dataclass(frozen=True)
class Raising:
    """A grammar whose second mask costs too much."""

    def matcher(self) -> Raising:
        return self

    is_accepting = False

    def mask(self) -> Any:
        raise GrammarLimitError("", "steps in one mask", 5)


def test_a_mask_that_cannot_be_made_is_an_error_of_its_row_alone() -> None:
    logits = hash_model(WIDTH)([[1], [2], [3]])
    history = History.empty(3)
    samplers = [Sampler(), Sampler(chain(GrammarMask(Raising()))), Sampler(chain(TopK(1)))]
    results = sample(logits, history, samplers)
    error = results[1]
    assert isinstance(error, ProcessorError)
    assert "more than 5 steps in one mask" in str(error)
    assert (error.row, error.step) == (1, 0)
    assert [results[0], results[2]] == sample(logits[::2], History.empty(2), samplers[::2])


def test_the_mask_is_a_function_of_the_history() -> None:
    grammar = compile_regex("ab*c", machine())
    mask, logits = GrammarMask(grammar), np.zeros((1, WIDTH))
    for text, allowed in [
        ("", "a"), ("a", "bc"), ("abb", "bc"), ("ab", "bc"), ("abc", "\u0100"), ("b", ""),
        ("ba", ""),
    ]:  # fmt: skip
        history = History.of([[5, 6]], [list(text.encode())])
        kept = np.flatnonzero(mask(logits, history)[0] == 0).tolist()
        assert kept == [ord(character) for character in allowed], text


@pytest.mark.parametrize("width", [257, 261, 288, 289, 400])
def test_logits_beyond_the_vocabulary_are_never_drawn(width: int) -> None:
    grammar = compile_regex("ab*c", machine())
    logits = np.full((3, width), 100.0)
    logits[:, : END + 1] = 0.0
    history = History.of([[5]] * 3, [list(text) for text in (b"", b"ab", b"abc")])
    samplers = [Sampler(chain(GrammarMask(grammar)), seed=seed) for seed in range(3)]
    results = sample(logits, history, samplers)
    supports = [result.support_size for result in results if isinstance(result, Sample)]
    assert supports == [1, 2, 1]


# Python types


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Pen:
    colour: Colour
    width: Annotated[float, Ge(0), Le(9)]
    owners: Annotated[list[Literal["me", "you"]], MaxLen(2)]


class Desk(pydantic.BaseModel):
    pens: Annotated[tuple[Pen, ...], MaxLen(2)]
    tidy: bool | None = None


@pytest.mark.parametrize("python_type", spread([Pen, Desk, tuple[Colour, bool]], 1))
def test_what_is_generated_can_be_read_as_the_type(python_type: Any) -> None:
    reads = pydantic.TypeAdapter(python_type).validate_json
    finished = 0
    for seed in range(8):
        parameters = asked(Grammar.of_type(python_type), do_sample=True, seed=seed)
        response = generate(MODEL, "x", parameters)
        if response.finish_reason is FinishReason.EOS_TOKEN:
            reads(response.generated_text)
            finished += 1
    assert finished > 2


@pytest.mark.parametrize("python_type", [Callable[[], int], type("Plain", (), {})])
def test_types_that_have_no_texts_are_refused(python_type: Any) -> None:
    with pytest.raises(ParameterError, match=r"python_type must be a type (that|whose)"):
        Grammar.of_type(python_type)


# Jumps


def passes(parameters: GenerationParameters, prompt: str = "x") -> tuple[Any, int]:
    forward = CallableModel(hash_model(WIDTH))
    calls = []

    class Counted:
        prefill, fork = forward.prefill, forward.fork
        rollback, release = forward.rollback, forward.release

        def extend(self, *given: Any, **named: Any) -> Any:
            calls.append(1)
            return forward.extend(*given, **named)

    response = generate(model_of(Counted()), prompt, parameters)
    return response, 1 + len(calls)


FORCING = Grammar("regex", r'\{"name_of_the_person":"[a-c]{2,4}","is_adult":(true|false)\}')


@settings(max_examples=amount(check=5, full=20, nightly=1000))
@given(
    st.integers(0, 99),
    st.integers(1, 60),
    st.sampled_from([(), ("person",), ('a","is',)]),
    st.sampled_from([{}, {"temperature": 0.5, "top_n_tokens": 2}, {"repetition_penalty": 1.5}]),
)
def test_a_jump_changes_nothing_but_the_passes(
    seed: int, length: int, stop: Sequence[str], others: dict[str, Any]
) -> None:
    """With a token a byte, what is forced is what would be drawn."""
    slow = asked(FORCING, do_sample=True, seed=seed, stop=stop, max_new_tokens=length, **others)
    drawn, many = passes(slow)
    jumped, few = passes(replace(slow, jump_forward=True))
    assert jumped == drawn
    assert few <= many
    if length == 60 and not stop:
        assert few < many / 2


def test_a_jump_is_streamed_token_by_token() -> None:
    parameters = asked(FORCING, do_sample=True, seed=1)
    drawn = list(stream(MODEL, "x", parameters))
    assert list(stream(MODEL, "x", replace(parameters, jump_forward=True))) == drawn


def test_jumps_of_some_leave_the_others_alone() -> None:
    requests = [
        asked(FORCING, do_sample=True, seed=1, jump_forward=True),
        asked(KINDS["json"], do_sample=True, seed=2),
        asked(FORCING, do_sample=True, seed=3, jump_forward=True, best_of=2),
        GenerationParameters(max_new_tokens=40, do_sample=True, seed=4),
    ]
    prompts = ["a", "b", "c", "d"]
    together = generate(MODEL, prompts, requests)
    assert together == [generate(MODEL, *pair) for pair in zip(prompts, requests, strict=True)]


SHORT = {"type": "string", "maxLength": 12}
WRITTEN = [
    SCHEMA,
    {"type": "array", "items": {"enum": ["a", "b", 3, None]}, "minItems": 2, "uniqueItems": True},
    {"type": "object", "properties": {"on": {"type": "string", "format": "date"}, "why": SHORT},
     "required": ["on"], "additionalProperties": False},
    {"type": "object", "additionalProperties": {"type": "boolean"}, "minProperties": 1,
     "maxProperties": 3, "propertyNames": {"pattern": "^[a-z]{1,4}$"}},
    {"oneOf": [{"type": "number", "multipleOf": 0.5, "minimum": 0, "maximum": 10},
               {"type": "object", "properties": {"it": SHORT}, "required": ["it"],
                "additionalProperties": False}]},
]  # fmt: skip


@pytest.mark.model
def test_a_real_model_at_a_high_temperature_writes_what_is_asked_for() -> None:
    model = load()
    hot = GenerationParameters(temperature=1.5, max_new_tokens=200, seed=5)
    for number, schema in enumerate(WRITTEN):
        validator = jsonschema.Draft202012Validator(
            schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
        )
        asked_for = replace(hot, grammar=Grammar("json", schema), jump_forward=number % 2 == 0)
        written = generate(model, "Answer with JSON: ", asked_for)
        assert written.finish_reason is FinishReason.EOS_TOKEN
        assert validator.is_valid(json.loads(written.generated_text)), written.generated_text
    day = generate(model, "The date of today is ", replace(hot, grammar=Grammar("regex", DATE)))
    assert re.fullmatch(DATE, day.generated_text)
