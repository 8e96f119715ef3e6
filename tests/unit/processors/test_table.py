"""README.md's table of processors has a row for each, and is the generated one."""

from __future__ import annotations

import importlib
import inspect
import re
from dataclasses import fields, replace
from pathlib import Path

import pytest

import decoding.presets
from benchmarks.processors import ALL, BEGIN, END, FURTHER, REQUESTED, render
from benchmarks.tables import README, block_of
from decoding import processors
from decoding.engine.request_pipeline import pipeline_of
from decoding.grammar.protocol import TokenMatcher
from decoding.parameters import GenerationParameters
from decoding.processors import GrammarMask

ROWS = {facts.name: facts for facts in (*REQUESTED, *FURTHER)}
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
    assert set(facts.peers) <= set(ALL)


def test_the_first_rows_are_in_a_requests_order() -> None:
    asked = GenerationParameters(
        watermark=True,
        repetition_penalty=1.1,
        frequency_penalty=0.1,
        presence_penalty=0.1,
        logit_bias={1: 1.0},
        temperature=0.5,
        top_k=5,
        top_p=0.5,
        typical_p=0.5,
        min_p=0.1,
        min_tokens=1,
        no_repeat_ngram_size=3,
        bad_words_ids=[[1]],
        suppress_tokens=[1],
        allowed_token_ids=[2],
        dry_multiplier=0.8,
        epsilon_cutoff=0.1,
        eta_cutoff=0.1,
        top_n_sigma=1.0,
        top_h=0.5,
        xtc_probability=0.5,
        mirostat=1,
    )
    other = replace(asked, dynatemp_range=0.5, mirostat=2)
    names = [facts.name for facts in REQUESTED]
    for parameters, left_out in (
        (asked, {"DynamicTemperature", "Mirostat2"}),
        (other, {"Temperature", "Mirostat1"}),
    ):
        made = [
            type(item).__name__
            for item in pipeline_of(parameters, grammar_mask=GrammarMask(Unread())).processors
        ]
        assert made == [name for name in names if name not in left_out]


def test_a_row_names_the_fields_of_a_request() -> None:
    named = {name for facts in REQUESTED for name in re.findall("`([a-z_]+)`", facts.request)}
    assert named == {
        *(entry.name for entry in fields(GenerationParameters)),
    } - {
        *("adapter_id", "best_of", "decoder_input_details", "details", "do_sample"),
        *("max_new_tokens", "return_full_text", "seed", "stop", "top_n_tokens", "truncate"),
    }
