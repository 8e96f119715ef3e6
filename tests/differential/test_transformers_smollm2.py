"""SmolLM2 in transformers: the three routes of the adapter give the same tokens."""

from __future__ import annotations

import json
from typing import Any

import pytest

from decoding import GenerationParameters, Grammar, LanguageModel, generate, pipeline_of
from decoding.grammar import JsonStyle

pytest.importorskip("torch")
transformers: Any = pytest.importorskip("transformers")

from smollm2_peer import peer_of

from decoding.adapters.transformers import custom_generate, language_model, processor

PROMPTS = [
    "What is the capital of France?",
    "Count from one to ten.",
    "Describe a cat as JSON.",
    "Why is the sky blue?",
    "Name three rivers in Europe.",
    "Write a haiku about rain.",
    "What is 12 times 12?",
    "Give a recipe for pancakes with sugar and milk.",
]
SCHEMA = {
    "type": "object",
    "properties": {
        "animal": {"enum": ["cat", "dog", "none"]},
        "sure": {"type": "boolean"},
    },
    "required": ["animal", "sure"],
    "additionalProperties": False,
}
CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "schema": {"grammar": Grammar("json", SCHEMA, style=JsonStyle(whitespace="spaced"))},
    "watermark": {"watermark": True},
    "dry": {"dry_multiplier": 0.8},
}
NEW = 30


@pytest.fixture(scope="module")
def peer(smollm2: LanguageModel) -> Any:
    return peer_of(smollm2)


@pytest.fixture(scope="module")
def words(smollm2: LanguageModel) -> Any:
    tokenizer: Any = smollm2.tokenizer
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer.tokenizer,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",
        padding_side="left",
    )


@pytest.mark.model
@pytest.mark.nightly
@pytest.mark.parametrize("name", CASES)
def test_three_routes(name: str, smollm2: LanguageModel, peer: Any, words: Any) -> None:
    chats = [f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n" for text in PROMPTS]
    batch = words(chats, return_tensors="pt", padding=True, return_token_type_ids=False)
    width = batch.input_ids.shape[1]
    language = language_model(peer, words)
    parameters = GenerationParameters(max_new_tokens=NEW, **CASES[name])

    def ids_of(output: Any) -> list[list[int]]:
        rows = output[:, width:].tolist()
        return [row[: row.index(2) + 1] if 2 in row else row for row in rows]

    want = [[token.id for token in item.tokens] for item in generate(language, chats, parameters)]
    made = custom_generate(parameters, tokenizer=words)
    assert ids_of(peer.generate(**batch, max_new_tokens=NEW, custom_generate=made)) == want
    assert language.grammars is not None
    mask = None if parameters.grammar is None else language.grammars.mask_of(parameters.grammar)
    pipeline = pipeline_of(
        parameters, language.logits_width, grammar_mask=mask, tokenizer=language.tokenizer
    )
    given = processor(pipeline, eos_token_ids=[2], attention_mask=batch.attention_mask)
    output = peer.generate(**batch, max_new_tokens=NEW, do_sample=False, logits_processor=[given])
    assert ids_of(output) == want
    # Our own forward pass of the same weights: the tokens of `generate(model...)` here.
    own = generate(smollm2, chats, parameters)
    assert [[token.id for token in item.tokens] for item in own] == want
    if name == "schema":
        for item in own:
            assert item.finish_reason == "eos_token"
            assert json.loads(item.generated_text).keys() == {"animal", "sure"}
    assert sum(map(len, want)) > 4 * NEW
