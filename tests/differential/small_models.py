"""Small random models of transformers, a batch of prompts of different lengths, and a schema."""

from __future__ import annotations

from typing import Any

import pytest

from decoding import GenerationParameters, Grammar, generate
from decoding.grammar import JsonStyle

torch = pytest.importorskip("torch")
transformers: Any = pytest.importorskip("transformers")


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


def new_ids(output: Any) -> list[list[int]]:
    """The generated tokens of every row up to its end token."""
    rows = output[:, PROMPT_WIDTH:].tolist()
    return [row[: row.index(299) + 1] if 299 in row else row for row in rows]


def by_generate(language: Any, parameters: GenerationParameters) -> list[list[int]]:
    return [[token.id for token in item.tokens] for item in generate(language, PROMPTS, parameters)]
