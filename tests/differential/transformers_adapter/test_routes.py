"""The routes of the adapter of transformers give the same tokens, on a small random model."""

from __future__ import annotations

import json
from typing import Any

import pytest
from profiles import spread

from decoding import (
    GenerationParameters,
    Grammar,
    GrammarMask,
    Watermark,
    chain,
    generate,
    pipeline_of,
)
from decoding.adapters.transformers import custom_generate, language_model, processor, tokenizer
from decoding.processors import AllowedTokens
from decoding.watermark.presets import tgi

torch = pytest.importorskip("torch")
transformers: Any = pytest.importorskip("transformers")


from small_models import (
    BATCH,
    COMPACT,
    IDS,
    MASK,
    PROMPT_WIDTH,
    by_generate,
    new_ids,
)

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
