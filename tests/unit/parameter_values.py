"""Legal and illegal values of every generation parameter, and those that mean sampling."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from decoding.parameters import REQUEST_FIELDS
from decoding.parameters import SAMPLING as SAMPLING_FIELDS
from decoding.request_fields import BOOLEAN, RequestField
from decoding.request_grammar import Grammar

TINY = math.ulp(0.0)
BELOW_ONE = math.nextafter(1.0, 0.0)
ABOVE_ONE = math.nextafter(1.0, 2.0)
INF, NAN = math.inf, math.nan
LARGEST = 1.7976931348623157e308
FLOAT32 = 3.4028234663852886e38

LEGAL: dict[str, list[Any]] = {
    "adapter_id": ["", "x"],
    "best_of": [1],
    "decoder_input_details": [True, False],
    "details": [True, False],
    "do_sample": [True, False],
    "frequency_penalty": [-FLOAT32, -2.0, 0.0, 2.0, FLOAT32],
    "grammar": [Grammar("regex", "a+")],
    "max_new_tokens": [1, 2**40],
    "repetition_penalty": [1.5e-45, 1.0, FLOAT32],
    "return_full_text": [True, False],
    "seed": [0, 2**64 - 1],
    "stop": [(), ("a",), ("a", "b")],
    "temperature": [0.0, TINY, 1.0, LARGEST],
    "top_k": [0, 1, 2**40],
    "top_n_tokens": [0, 1],
    "top_p": [TINY, BELOW_ONE, 1.0],
    "truncate": [1, 2**40],
    "typical_p": [TINY, BELOW_ONE, 1.0],
    "watermark": [True, False],
    "presence_penalty": [-FLOAT32, 0.0, FLOAT32],
    "min_p": [0.0, TINY, 1.0],
    "logit_bias": [{}, {0: 0.0}, {5: -100.0, 3: -INF}, {1: FLOAT32, 2: -FLOAT32}],
    "repeat_last_n": [-1, 0, 2**40],
    "min_tokens": [0, 1],
    "no_repeat_ngram_size": [0, 3],
    "bad_words_ids": [(), ((1,), (2, 3))],
    "bad_words": [(), ("a", " b")],
    "suppress_tokens": [(), (0, 2**31 - 1)],
    "allowed_token_ids": [(5,), (7, 1)],
    "dry_multiplier": [0.0, LARGEST],
    "dry_base": [1.0, LARGEST],
    "dry_allowed_length": [1, 2**40],
    "dry_penalty_last_n": [-1, 0, 2**40],
    "dry_sequence_breakers": [(), ("\n", ":")],
    "dynatemp_range": [0.0, LARGEST],
    "dynatemp_exponent": [0.0, LARGEST],
    "epsilon_cutoff": [0.0, BELOW_ONE],
    "eta_cutoff": [0.0, BELOW_ONE],
    "top_n_sigma": [0.0, LARGEST],
    "top_h": [TINY, 1.0],
    "xtc_probability": [0.0, 1.0],
    "xtc_threshold": [0.0, 1.0],
    "mirostat": [0, 1, 2],
    "mirostat_tau": [0.0, LARGEST],
    "mirostat_eta": [0.0, LARGEST],
    "jump_forward": [True, False],
}

NOT_INTEGERS = [True, 1.0, "1", [1], NAN, np.float64(1.0), np.True_]
NOT_REALS = [True, "1", [1.0], NAN, 1j, np.True_, 10**400, np.float32("nan")]
NOT_BOOLEANS = [0, 1, "true", np.int64(1)]
NOT_TEXTS = [1, b"x", ["x"]]

ILLEGAL: dict[str, list[Any]] = {
    "adapter_id": NOT_TEXTS,
    "best_of": [0, -1, 2**14 + 1, 10**400, *NOT_INTEGERS],
    "decoder_input_details": [None, *NOT_BOOLEANS],
    "details": [None, *NOT_BOOLEANS],
    "do_sample": NOT_BOOLEANS,
    "frequency_penalty": [INF, -INF, 3.5e38, *NOT_REALS],
    "grammar": ["a+", {"type": "regex", "value": "a+"}],
    "max_new_tokens": [0, -1, 2**53 + 1, 10**400, *NOT_INTEGERS],
    "repetition_penalty": [0, 0.0, -1.0, INF, 3.5e38, TINY, *NOT_REALS],
    "return_full_text": NOT_BOOLEANS,
    "seed": [-1, 2**64, *NOT_INTEGERS],
    "stop": [None, "stop", b"stop", [""], ["a", ""], [1], {"a"}, 5],
    "temperature": [-TINY, INF, *NOT_REALS],
    "top_k": [-1, 2**53 + 1, 10**400, *NOT_INTEGERS],
    "top_n_tokens": [-1, 2**53 + 1, 10**400, *NOT_INTEGERS],
    "top_p": [0, 0.0, ABOVE_ONE, INF, *NOT_REALS],
    "truncate": [0, 2**53 + 1, 10**400, *NOT_INTEGERS],
    "typical_p": [0, 0.0, ABOVE_ONE, INF, *NOT_REALS],
    "watermark": [None, *NOT_BOOLEANS],
    "presence_penalty": [INF, -INF, -3.5e38, *NOT_REALS],
    "min_p": [-TINY, ABOVE_ONE, *NOT_REALS],
    "logit_bias": [
        None,
        [(1, 2.0)],
        {-1: 0.0},
        {2**31: 0.0},
        {10**400: 0.0},
        {0: INF},
        {0: NAN},
        {True: 0.0},
        {0: True},
        {"0": 0.0},
        {0.0: 0.0},
        {0: None},
        {2**31: 0.0},
        {10**400: 0.0},
    ],
    "repeat_last_n": [-2, *NOT_INTEGERS],
    "min_tokens": [-1, *NOT_INTEGERS],
    "no_repeat_ngram_size": [-1, *NOT_INTEGERS],
    "bad_words_ids": [None, 5, [1], [[]], [[-1]], ["ab"], "ab"],
    "bad_words": [None, "word", [""], [1], [b"a"], 5],
    "suppress_tokens": [None, 5, np.array(5), [-1], [2**31], [1.0], "ab"],
    "allowed_token_ids": [(), 5, [-1], [2**31], [True]],
    "dry_multiplier": [-TINY, INF, *NOT_REALS],
    "dry_base": [BELOW_ONE, INF, *NOT_REALS],
    "dry_allowed_length": [0, *NOT_INTEGERS],
    "dry_penalty_last_n": [-2, *NOT_INTEGERS],
    "dry_sequence_breakers": ["a", [""], [1], [b"a"], 5],
    "dynatemp_range": [-TINY, INF, *NOT_REALS],
    "dynatemp_exponent": [-TINY, INF, *NOT_REALS],
    "epsilon_cutoff": [-TINY, 1.0, *NOT_REALS],
    "eta_cutoff": [-TINY, 1.0, *NOT_REALS],
    "top_n_sigma": [-TINY, INF, *NOT_REALS],
    "top_h": [0.0, ABOVE_ONE, *NOT_REALS],
    "xtc_probability": [-TINY, ABOVE_ONE, *NOT_REALS],
    "xtc_threshold": [-TINY, ABOVE_ONE, *NOT_REALS],
    "mirostat": [-1, 3, *NOT_INTEGERS],
    "mirostat_tau": [-TINY, INF, *NOT_REALS],
    "mirostat_eta": [-TINY, INF, *NOT_REALS],
    "jump_forward": [None, *NOT_BOOLEANS],
}
NAMES = list(REQUEST_FIELDS)


def ends(field: RequestField) -> tuple[list[Any], list[Any]]:
    """Numbers in the range of a field, and others: just outside, and of other types."""
    if field.type is BOOLEAN:
        return [True, False], [0, "true", None]
    low, high = field.type.low, field.type.high
    kind = int if field.type.annotation == "int" else float
    inside = [kind(end) for end in (low, high) if field.type.accepts(end)]
    outside = [kind(end) for end in (low, high) if math.isfinite(end) and kind(end) not in inside]
    return inside, [*outside, kind(low) - 1, NAN, True, "1"]


# Fields that no one has written examples for are numbers or bools.
for NAME in NAMES:
    if NAME not in LEGAL:
        LEGAL[NAME], ILLEGAL[NAME] = ends(REQUEST_FIELDS[NAME])

SAMPLING = {
    "temperature": [TINY, 1.0, 2.0],
    "seed": [0],
    "top_k": [0, 1],
    "top_p": [0.5, 1.0],
    "typical_p": [0.5, 1.0],
    "min_p": [0.0, 0.1],
    "dynatemp_range": [0.0, 0.5],
    "epsilon_cutoff": [0.0, 0.5],
    "eta_cutoff": [0.0, 0.5],
    "top_n_sigma": [0.0, 1.0],
    "top_h": [0.5, 1.0],
    "xtc_probability": [0.0, 0.5],
    "mirostat": [0, 2],
}
assert set(SAMPLING) - {"seed"} <= set(SAMPLING_FIELDS)
SAMPLING |= {
    name: [value for value in LEGAL[name] if value != REQUEST_FIELDS[name].initial]
    for name in SAMPLING_FIELDS
    if name not in SAMPLING
}
