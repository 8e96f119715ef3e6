"""TGI's validation rules: every message, every pair in order, every boundary.

Texts and order are those of TGI 3.3.6, router/src/validation.rs and server.rs. Two of its texts are
not produced on purpose: the demand for `properties`, and `cannot compile regex from schema`.
"""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from decoding.errors import ParameterError, WireValidationError
from decoding.parameters import GenerationParameters, is_sampling
from decoding.wire.rules import WireLimits, validate

LIMITS = {"max_input_tokens": 4, "max_total_tokens": 8}
DESERIALIZE = "Failed to deserialize the JSON body into the target type: "
REGEX = {"type": "regex", "value": "a+"}


@dataclass(frozen=True)
class Violation:
    """One broken rule: what it changes in a legal, sampled request, and TGI's text."""

    rule: str
    text: str
    fields: Mapping[str, Any]
    inputs: str = "abc"
    tokens: int = 3
    stream: bool = False
    limits: Mapping[str, Any] = field(default_factory=dict)


VIOLATIONS = (
    Violation(
        "type",
        f"{DESERIALIZE}parameters.watermark: invalid type: null, expected a boolean",
        {"watermark": None},
    ),
    Violation(
        "stream best_of",
        "`best_of` != 1 is not supported when streaming tokens",
        {"best_of": 2},
        stream=True,
    ),
    Violation(
        "stream prefill",
        "`decoder_input_details` == true is not supported when streaming tokens",
        {"decoder_input_details": True},
        stream=True,
    ),
    Violation(
        "best_of disabled",
        "`best_of` != 1 is not allowed for this endpoint",
        {"best_of": 2},
        limits={"max_best_of": 1},
    ),
    Violation(
        "best_of maximum",
        "`best_of` must be > 0 and <= 2. Given: 3",
        {"best_of": 3},
    ),
    Violation(
        "best_of sampling",
        "you must use sampling when `best_of` is > 1",
        {"best_of": 2, "do_sample": False},
    ),
    Violation("temperature", "`temperature` must be strictly positive", {"temperature": 0}),
    Violation(
        "repetition_penalty",
        "`repetition_penalty` must be strictly positive",
        {"repetition_penalty": 0.0},
    ),
    Violation(
        "frequency_penalty",
        "`frequency_penalty` must be >= -2.0 and <= 2.0",
        {"frequency_penalty": 2.1},
    ),
    Violation("top_p", "`top_p` must be > 0.0 and < 1.0", {"top_p": 1.0}),
    Violation("typical_p", "`typical_p` must be > 0.0 and < 1.0", {"typical_p": 1.0}),
    Violation("top_k", "`top_k` must be strictly positive", {"top_k": 0}),
    Violation(
        "max_new_tokens", "`max_new_tokens` must be strictly positive", {"max_new_tokens": 0}
    ),
    Violation(
        "stop count",
        "`stop` supports up to 4 stop sequences. Given: 5",
        {"stop": ["a", "b", "c", "d", "e"]},
    ),
    Violation(
        "best_of seed",
        "`seed` must not be set when `best_of` > 1",
        {"best_of": 2, "seed": 0},
    ),
    Violation(
        "top_n_tokens",
        "`top_n_tokens` must be >= 0 and <= 5. Given: 6",
        {"top_n_tokens": 6},
    ),
    Violation("empty inputs", "`inputs` cannot be empty", {}, inputs=""),
    Violation(
        "truncate",
        "`truncate` must be strictly positive and less than 4. Given: 5",
        {"truncate": 5},
    ),
    Violation("tokenizer", "tokenizer error no such byte", {}, tokens=-1),
    Violation(
        "total",
        "`inputs` tokens + `max_new_tokens` must be <= 8."
        " Given: 9 `inputs` tokens and 2 `max_new_tokens`",
        {},
        tokens=9,
    ),
    Violation("input length", "`inputs` must have less than 4 tokens. Given: 5", {}, tokens=5),
    Violation(
        "grammar disabled",
        "grammar is not supported",
        {"grammar": REGEX},
        limits={"disable_grammar_support": True},
    ),
    Violation(
        "grammar kind", "grammar is not supported", {"grammar": {"type": "json", "value": 5}}
    ),
    Violation(
        "grammar text",
        "grammar is not valid: Expecting property name enclosed in double quotes:"
        " line 1 column 2 (char 1)",
        {"grammar": {"type": "json", "value": "{"}},
    ),
    Violation(
        "presence_penalty",
        "`presence_penalty` must be >= -2.0 and <= 2.0",
        {"presence_penalty": -3},
    ),
    Violation("min_p", "min_p must be a number in [0, 1], or None, got 2.0", {"min_p": 2}),
)

# Pairs that no request can break together: one asks for what the other one forbids.
IMPOSSIBLE = {
    *(("stream prefill", rule) for rule in ("best_of disabled", "best_of maximum")),
    *(("stream prefill", rule) for rule in ("best_of sampling", "best_of seed")),
    *(
        ("best_of sampling", rule)
        for rule in ("temperature", "top_p", "typical_p", "top_k", "min_p")
    ),
    ("tokenizer", "total"),
    ("tokenizer", "input length"),
    ("grammar kind", "grammar text"),
}


def counter(tokens: int) -> Callable[[str], int]:
    def count(_: str) -> int:
        if tokens < 0:
            raise RuntimeError("no such byte")
        return tokens

    return count


def check(
    fields: Mapping[str, Any] | None = None,
    *,
    inputs: str = "abc",
    tokens: int = 3,
    stream: bool = False,
    limits: Mapping[str, Any] | None = None,
) -> GenerationParameters:
    return validate(
        inputs,
        fields,
        limits=WireLimits(**{**LIMITS, **(limits or {})}),
        stream=stream,
        count_tokens=counter(tokens),
    )


def complaint(*violations: Violation) -> str:
    """What is answered to a request that is legal but for these violations."""
    fields: dict[str, Any] = {"do_sample": True, "max_new_tokens": 2}
    limits: dict[str, Any] = {}
    for violation in violations:
        for name, value in violation.fields.items():
            both_raise = name == "best_of" and name in fields
            fields[name] = max(value, fields[name]) if both_raise else value
        limits |= violation.limits
    with pytest.raises(WireValidationError) as caught:
        check(
            fields,
            inputs=min(violation.inputs for violation in violations),
            tokens=min(
                (violation.tokens for violation in violations if violation.tokens < 0),
                default=max(violation.tokens for violation in violations),
            ),
            stream=any(violation.stream for violation in violations),
            limits=limits,
        )
    return str(caught.value)


def without_numbers(text: str) -> str:
    return text.partition(" Given: ")[0]


@pytest.mark.parametrize("violation", VIOLATIONS, ids=lambda violation: violation.rule)
def test_every_text(violation: Violation) -> None:
    assert complaint(violation) == violation.text


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        pair
        for pair in itertools.combinations(VIOLATIONS, 2)
        if (pair[0].rule, pair[1].rule) not in IMPOSSIBLE
    ],
    ids=lambda violation: violation.rule,
)
def test_the_earlier_of_two_broken_rules_is_reported(earlier: Violation, later: Violation) -> None:
    assert without_numbers(complaint(earlier, later)) == without_numbers(earlier.text)
    assert without_numbers(complaint(later, earlier)) == without_numbers(earlier.text)


def test_impossible_pairs_are_few_and_named() -> None:
    rules = [violation.rule for violation in VIOLATIONS]
    assert len(set(rules)) == len(rules)
    assert set(itertools.combinations(rules, 2)) >= IMPOSSIBLE
    assert len(IMPOSSIBLE) == 12


def test_the_answer_is_tgis() -> None:
    with pytest.raises(WireValidationError) as caught:
        check({"top_k": 0})
    assert caught.value.to_wire() == {
        "error": "Input validation error: `top_k` must be strictly positive",
        "error_type": "validation",
    }
    assert caught.value.status == 422


# Boundaries

ACCEPTED: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"best_of": 2, "do_sample": True}, {}),
    ({"best_of": 2, "temperature": 1.0}, {}),
    ({"best_of": 2, "top_k": 1}, {}),
    ({"best_of": 2, "top_p": 0.5}, {}),
    ({"best_of": 2, "typical_p": 0.5}, {}),
    ({"best_of": 2, "min_p": 0.5}, {}),
    ({"best_of": 1, "seed": 1}, {}),
    ({"best_of": 0, "seed": 1}, {}),
    ({"best_of": 1}, {"stream": True}),
    ({"best_of": None, "decoder_input_details": False}, {"stream": True}),
    ({"best_of": 1}, {"limits": {"max_best_of": 1}}),
    ({"best_of": 0}, {"limits": {"max_best_of": 1}}),
    ({"decoder_input_details": True}, {}),
    ({"temperature": 1e-45}, {}),
    ({"temperature": 100}, {}),
    ({"repetition_penalty": 1e-45}, {}),
    ({"frequency_penalty": 2}, {}),
    ({"frequency_penalty": -2}, {}),
    ({"frequency_penalty": 2.00000001}, {}),
    ({"top_p": 1e-45}, {}),
    ({"top_p": 0.9999999}, {}),
    ({"typical_p": 0.9999999}, {}),
    ({"top_k": 1}, {}),
    ({"top_k": 2**31 - 1}, {}),
    ({"max_new_tokens": 1}, {}),
    ({"max_new_tokens": 5}, {}),
    ({"max_new_tokens": 4}, {"tokens": 4}),
    ({"stop": []}, {}),
    ({"stop": ["a"] * 4}, {}),
    ({"seed": 0}, {}),
    ({"seed": 2**64 - 1}, {}),
    ({"top_n_tokens": 0}, {}),
    ({"top_n_tokens": 5}, {}),
    ({}, {"inputs": " "}),
    ({"truncate": 1}, {}),
    ({"truncate": 4}, {}),
    ({"truncate": 4}, {"tokens": 100}),
    ({}, {"tokens": 4}),
    ({}, {"tokens": 0}),
    ({"grammar": REGEX}, {}),
    ({"grammar": None}, {"limits": {"disable_grammar_support": True}}),
    ({"presence_penalty": 2, "min_p": 1, "logit_bias": {"5": -100}}, {}),
    ({"presence_penalty": -2, "min_p": 0, "logit_bias": {}}, {}),
]


@pytest.mark.parametrize(("fields", "request_"), ACCEPTED)
def test_boundaries_are_accepted(fields: dict[str, Any], request_: dict[str, Any]) -> None:
    assert isinstance(check(fields, **request_), GenerationParameters)


@pytest.mark.parametrize(
    ("fields", "request_", "text"),
    [
        ({"best_of": 0}, {"stream": True}, "`best_of` != 1 is not supported when streaming tokens"),
        (
            {"best_of": 3, "do_sample": True},
            {"limits": {"max_best_of": 1}},
            "`best_of` != 1 is not a",
        ),
        ({"best_of": 2**64 - 1}, {}, "`best_of` must be > 0 and <= 2. Given: 18446744073709551615"),
        ({"temperature": -1.0}, {}, "`temperature` must be strictly positive"),
        ({"temperature": 1e-50}, {}, "`temperature` must be strictly positive"),
        ({"repetition_penalty": -1}, {}, "`repetition_penalty` must be strictly positive"),
        ({"frequency_penalty": -2.1}, {}, "`frequency_penalty` must be >= -2.0 and <= 2.0"),
        ({"frequency_penalty": 1e39}, {}, "`frequency_penalty` must be >= -2.0 and <= 2.0"),
        ({"top_p": 0}, {}, "`top_p` must be > 0.0 and < 1.0"),
        ({"top_p": -0.5}, {}, "`top_p` must be > 0.0 and < 1.0"),
        ({"top_p": 0.99999999}, {}, "`top_p` must be > 0.0 and < 1.0"),
        ({"top_p": 1e39}, {}, "`top_p` must be > 0.0 and < 1.0"),
        ({"typical_p": 0}, {}, "`typical_p` must be > 0.0 and < 1.0"),
        ({"typical_p": 0.99999999}, {}, "`typical_p` must be > 0.0 and < 1.0"),
        ({"top_k": -1}, {}, "`top_k` must be strictly positive"),
        ({"truncate": 0}, {}, "`truncate` must be strictly positive and less than 4. Given: 0"),
        (
            {"max_new_tokens": 6},
            {},
            "`inputs` tokens + `max_new_tokens` must be <= 8. Given: 3 `inp",
        ),
        (
            {"max_new_tokens": 2**32 - 1, "truncate": 2},
            {},
            "`inputs` tokens + `max_new_tokens` must",
        ),
        (
            {},
            {"tokens": 9},
            "`inputs` tokens + `max_new_tokens` must be <= 8. Given: 9 `inputs` toke",
        ),
        ({}, {"tokens": 8}, "`inputs` must have less than 4 tokens. Given: 8"),
        ({"temperature": 1e39}, {}, "temperature must be a finite number >= 0, or None, got inf"),
        ({"stop": [""]}, {}, "stop must be a sequence of non-empty strings"),
        ({"logit_bias": {"5": 1e39}}, {}, "logit_bias must be a mapping of token ids >= 0 to bias"),
    ],
)
def test_just_beyond_is_refused(
    fields: dict[str, Any], request_: dict[str, Any], text: str
) -> None:
    with pytest.raises(WireValidationError) as caught:
        check(fields, **request_)
    assert str(caught.value).startswith(text)


# What comes out


@pytest.mark.parametrize(
    ("fields", "request_", "result"),
    [
        (None, {}, {"do_sample": True, "max_new_tokens": 5}),
        ({}, {}, {"do_sample": False, "max_new_tokens": 5}),
        ({"max_new_tokens": None}, {"tokens": 4}, {"do_sample": False, "max_new_tokens": 4}),
        (
            {"truncate": 2},
            {"tokens": 100},
            {"do_sample": False, "truncate": 2, "max_new_tokens": 6},
        ),
        (
            {"truncate": 4},
            {"tokens": 2},
            {"do_sample": False, "truncate": 4, "max_new_tokens": 6},
        ),
        ({"best_of": 0}, {}, {"best_of": 1, "do_sample": False, "max_new_tokens": 5}),
        (
            {"best_of": 2, "temperature": 1.0},
            {},
            {"best_of": 2, "do_sample": True, "temperature": 1.0, "max_new_tokens": 5},
        ),
        (
            {"temperature": 0.1},
            {},
            {"do_sample": True, "temperature": 0.10000000149011612, "max_new_tokens": 5},
        ),
        ({"stop": ["a"]}, {}, {"do_sample": False, "stop": ["a"], "max_new_tokens": 5}),
        (
            {"logit_bias": {"7": -5}},
            {},
            {"do_sample": False, "logit_bias": {7: -5.0}, "max_new_tokens": 5},
        ),
        ({"future": {}, "max_tokens": "?"}, {}, {"do_sample": False, "max_new_tokens": 5}),
    ],
)
def test_the_result(fields: Any, request_: dict[str, Any], result: dict[str, Any]) -> None:
    assert check(fields, **request_).to_dict() == result


@pytest.mark.parametrize(
    ("fields", "result"),
    [
        # A temperature of 1.0 warps nothing, and without sampling TGI's server drops the seed.
        ({"temperature": 1.0}, {"do_sample": False}),
        ({"temperature": 1.0, "do_sample": False}, {"do_sample": False}),
        ({"temperature": 1.0, "seed": 3}, {"do_sample": False}),
        ({"seed": 3}, {"do_sample": False}),
        ({"seed": 3, "min_p": 0.0, "mirostat": 0}, {"do_sample": False}),
        ({"seed": 3, "do_sample": True}, {"do_sample": True, "seed": 3}),
        # A warper samples, also beside `do_sample: false`.
        ({"top_k": 5, "do_sample": False}, {"do_sample": True, "top_k": 5}),
        (
            {"top_p": 0.5, "temperature": 1.0, "seed": 3},
            {"do_sample": True, "top_p": 0.5, "temperature": 1.0, "seed": 3},
        ),
        ({"typical_p": 0.5}, {"do_sample": True, "typical_p": 0.5}),
        ({"min_p": 0.5}, {"do_sample": True, "min_p": 0.5}),
        ({"top_a": 0.5}, {"do_sample": True, "top_a": 0.5}),
        ({"p_less": True}, {"do_sample": True, "p_less": True}),
        ({"seed": 3, "tfs_z": 1.0, "smoothing_factor": 0.0}, {"do_sample": False}),
        ({"repetition_penalty": 2.0}, {"do_sample": False, "repetition_penalty": 2.0}),
    ],
)
def test_whether_tokens_are_sampled_is_the_servers_rule(
    fields: dict[str, Any], result: dict[str, Any]
) -> None:
    made = check(fields)
    assert made.to_dict() == {**result, "max_new_tokens": 5}
    assert is_sampling(made) is result["do_sample"]


def test_every_field_passes_through() -> None:
    fields: dict[str, Any] = {
        "adapter_id": "a",
        "best_of": 1,
        "decoder_input_details": True,
        "details": True,
        "do_sample": True,
        "frequency_penalty": 0.5,
        "grammar": {"type": "regex", "value": "a+"},
        "max_new_tokens": 2,
        "repetition_penalty": 1.5,
        "return_full_text": True,
        "seed": 7,
        "stop": ["x"],
        "temperature": 0.5,
        "top_k": 5,
        "top_n_tokens": 3,
        "top_p": 0.5,
        "truncate": 3,
        "typical_p": 0.5,
        "watermark": True,
        "presence_penalty": 0.5,
        "min_p": 0.25,
        "logit_bias": {"1": 2.0},
        "min_tokens": 1,
        "no_repeat_ngram_size": 3,
        "bad_words_ids": [[1, 2]],
        "suppress_tokens": [3],
        "allowed_token_ids": [4],
        "dry_multiplier": 0.5,
        "dry_base": 2.0,
        "dry_allowed_length": 2,
        "dynatemp_range": 0.25,
        "dynatemp_exponent": 1.5,
        "epsilon_cutoff": 0.25,
        "eta_cutoff": 0.25,
        "top_n_sigma": 1.0,
        "top_h": 0.5,
        "xtc_probability": 0.5,
        "xtc_threshold": 0.25,
        "mirostat": 2,
        "mirostat_tau": 4.0,
        "mirostat_eta": 0.25,
    }
    assert check(fields) == GenerationParameters.from_dict({**fields, "logit_bias": {1: 2.0}})


def test_tokens_are_counted_once_and_not_for_a_request_that_is_already_refused() -> None:
    counted: list[str] = []

    def count(text: str) -> int:
        counted.append(text)
        return len(text)

    validate("abc", {}, limits=WireLimits(), stream=False, count_tokens=count)
    assert counted == ["abc"]
    with pytest.raises(WireValidationError):
        validate("abc", {"top_k": 0}, limits=WireLimits(), stream=False, count_tokens=count)
    assert counted == ["abc"]


def test_a_tokenizers_error_is_the_cause() -> None:
    with pytest.raises(WireValidationError, match=r"^tokenizer error no such byte$") as caught:
        check({}, tokens=-1)
    assert isinstance(caught.value.__cause__, RuntimeError)


# Limits


def test_default_limits_are_those_of_tgis_router() -> None:
    assert WireLimits() == WireLimits(
        max_best_of=2,
        max_stop_sequences=4,
        max_top_n_tokens=5,
        max_input_tokens=1024,
        max_total_tokens=2048,
        disable_grammar_support=False,
    )


@pytest.mark.parametrize(
    ("limits", "name"),
    [
        ({"max_best_of": 0}, "max_best_of"),
        ({"max_stop_sequences": -1}, "max_stop_sequences"),
        ({"max_top_n_tokens": -1}, "max_top_n_tokens"),
        ({"max_input_tokens": 0}, "max_input_tokens"),
        ({"max_input_tokens": 8, "max_total_tokens": 8}, "max_total_tokens"),
    ],
)
def test_limits_that_allow_nothing_are_refused(limits: dict[str, int], name: str) -> None:
    with pytest.raises(ParameterError) as caught:
        WireLimits(**limits)
    assert caught.value.name == name
