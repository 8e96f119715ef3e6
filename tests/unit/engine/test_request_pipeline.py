"""Requests that are alike share a pipeline; it is the one that each would have of its own."""

from __future__ import annotations

from typing import Any

import pytest
from hashed_models import ByteTokenizer
from parameter_values import LEGAL

from decoding import GenerationParameters
from decoding.engine import request_pipeline
from decoding.engine.request_pipeline import pipeline_of
from decoding.facts import requested
from decoding.processors import PROCESSORS

FIELDS = sorted({asked.name for item in requested(PROCESSORS) for asked in item.facts.fields})
AROUND: list[dict[str, Any]] = [
    {},
    {"temperature": 0.7, "repetition_penalty": 1.5, "mirostat": 2},
    {"dynatemp_range": 0.2, "dry_multiplier": 0.5, "xtc_probability": 0.5, "mirostat": 1},
    {"temperature": 0.0, "frequency_penalty": 0.5, "smoothing_factor": 0.2, "min_tokens": 2},
]
ENDS, TOKENIZER = frozenset({0, 3}), ByteTokenizer()


@pytest.mark.parametrize("name", sorted(set(FIELDS) - {"grammar", "jump_forward"}))
def test_every_field_that_a_processor_reads_decides(name: str) -> None:
    for around in AROUND:
        for value in (*LEGAL[name], *reversed(LEGAL[name])):
            asked = GenerationParameters(**{**around, name: value})
            own = request_pipeline._made(
                request_pipeline._Asked(asked, None, ENDS, None, 7, TOKENIZER)
            )
            got = pipeline_of(asked, eos_token_ids=ENDS, seed=7, tokenizer=TOKENIZER)
            assert got.processors == own.processors


def test_requests_that_differ_elsewhere_share_a_pipeline() -> None:
    def of(**given: Any) -> Any:
        asked = GenerationParameters(temperature=0.8, top_k=50, repetition_penalty=1.1, **given)
        return pipeline_of(asked, 500, eos_token_ids=ENDS, seed=given.get("seed", 0))

    assert of(seed=1, max_new_tokens=5) is of(seed=2, stop=["a"])
    assert of(suppress_tokens=[4]) is not of(suppress_tokens=[4]), "lists are not remembered"


def test_end_tokens_decide() -> None:
    asked = GenerationParameters(min_tokens=3)
    found = [pipeline_of(asked, eos_token_ids={end}).processors for end in (1, 2)]
    assert found[0] != found[1]


def test_the_seed_of_a_coin_is_each_requests_own() -> None:
    asked = GenerationParameters(xtc_probability=0.5, do_sample=True)
    assert pipeline_of(asked, seed=1).processors != pipeline_of(asked, seed=2).processors
