"""README.md's table of processors has a row for each, and is the generated one."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import decoding.presets
from benchmarks.processors import BEGIN, END, FURTHER, REQUESTED, render, render_fields
from benchmarks.tables import FIELDS, README, block_of
from decoding import processors
from decoding.engine.request_pipeline import pipeline_of
from decoding.facts import PEERS
from decoding.grammar.protocol import TokenMatcher
from decoding.parameters import GenerationParameters
from decoding.processors import GrammarMask
from decoding.request_fields import BOOLEAN

ROWS = {item.__name__: item.facts for item in (*REQUESTED, *FURTHER)}
MODULES = {
    "tgi": "TGI",
    "transformers": "transformers",
    "vllm": "vLLM",
    "sglang": "SGLang",
    "llama_cpp": "llama.cpp",
    "mlx_lm": "mlx-lm",
}


class Unread:
    """A grammar that nobody follows."""

    def matcher(self) -> TokenMatcher:
        raise NotImplementedError


def test_every_processor_has_one_row() -> None:
    assert len(ROWS) == len(REQUESTED) + len(FURTHER)
    assert set(ROWS) == set(processors.__all__)


def test_the_readme_shows_what_is_generated() -> None:
    assert block_of(README.read_text("utf-8"), (BEGIN, END)) == render()
    assert FIELDS.read_text("utf-8") == render_fields()


def test_no_cell_breaks_the_table() -> None:
    assert {line.count("|") for line in render().splitlines()} == {8}


@pytest.mark.parametrize("module", MODULES)
def test_a_peer_has_what_its_preset_uses(module: str) -> None:
    preset = importlib.import_module(f"{decoding.presets.__name__}.{module}")
    used = {name for name in ROWS if inspect.isclass(getattr(preset, name, None))}
    assert used
    assert used <= {name for name, facts in ROWS.items() if MODULES[module] in facts.peers}


@pytest.mark.parametrize("name", ROWS)
def test_the_source_is_the_docstrings(name: str) -> None:
    """Numbers of papers and pull requests, and who has it, are also in the class's docstring."""
    facts = ROWS[name]
    path = Path(inspect.getfile(getattr(processors, name)))
    text = path.read_text("utf-8")
    for part in facts.source.replace(",", "").replace(";", "").split():
        if ":" in part or "#" in part:
            assert part in text
    assert set(facts.peers) <= set(PEERS)


def asked_for(**given: Any) -> GenerationParameters:
    """Parameters that ask for every class; what no one gives a value is a number in its range."""
    for item in REQUESTED:
        field = item.facts.fields[0]
        if field.name not in given:
            ends = (field.type.low, field.type.high, 0.5, 1.0)
            legal = (end for end in ends if field.type.accepts(end) and abs(end) < np.inf)
            given[field.name] = field.type is BOOLEAN or next(
                end for end in legal if end != field.neutral
            )
    return GenerationParameters(**given)


def test_the_first_rows_are_in_a_requests_order() -> None:
    asked = asked_for(
        watermark=True,
        logit_bias={1: 1.0},
        grammar=None,
        bad_words_ids=[[1]],
        suppress_tokens=[1],
        allowed_token_ids=[2],
        no_repeat_ngram_size=3,
        min_tokens=1,
        dynatemp_range=0.0,
        temperature=0.5,
        top_k=5,
        mirostat=1,
    )
    other = replace(asked, dynatemp_range=0.5, mirostat=2)
    names = [item.__name__ for item in REQUESTED]
    for parameters, left_out in (
        (asked, {"DynamicTemperature", "Mirostat2"}),
        (other, {"Temperature", "Mirostat1"}),
    ):
        made = [
            type(item).__name__
            for item in pipeline_of(parameters, grammar_mask=GrammarMask(Unread())).processors
        ]
        assert made == [name for name in names if name not in left_out]
    assert names[0] == "Watermark"
    order = ["GrammarMask", "Temperature", "TopK", "TopP", "TypicalP", "MinP", "Xtc", "Mirostat2"]
    assert [name for name in names if name in order] == order


def test_a_row_names_the_fields_of_a_request() -> None:
    named = [field.name for item in REQUESTED for field in item.facts.fields]
    assert named
    assert {*named} == {entry.name for entry in fields(GenerationParameters)} - {
        *("adapter_id", "best_of", "decoder_input_details", "details", "do_sample"),
        *("max_new_tokens", "return_full_text", "seed", "stop", "top_n_tokens", "truncate"),
    }
    assert not [item.__name__ for item in FURTHER if item.facts.fields]


def test_every_class_says_what_it_does_and_who_published_it() -> None:
    assert [name for name, facts in ROWS.items() if not (facts.formula and facts.source)] == []
