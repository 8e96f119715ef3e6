"""What a model runner of vLLM hands to a logits processor, on the host: its two dataclasses' fields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

SLOTS, LONGEST = 4, 128


@dataclass
class SamplingParams:
    """The fields that the plug-in reads, with vLLM's defaults."""

    temperature: float = 1.0
    min_p: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    seed: int | None = None
    extra_args: dict[str, Any] | None = None


def config(vocab_size: int, end_token_ids: Sequence[int] = ()) -> Any:
    """A `VllmConfig` of a model without a tokenizer."""
    model = SimpleNamespace(
        skip_tokenizer_init=True,
        get_vocab_size=lambda: vocab_size,
        hf_config=SimpleNamespace(eos_token_id=list(end_token_ids)),
        try_get_generation_config=dict,
    )
    return SimpleNamespace(model_config=model)


@dataclass
class BatchUpdate:
    removed: Sequence[int] = ()
    added: Sequence[Any] = ()
    moved: Sequence[Any] = ()


@dataclass
class States:
    """`LogitsProcRequestState`: the buffers of all slots."""

    all_token_ids: Any = field(
        default_factory=lambda: SimpleNamespace(gpu=torch.zeros(SLOTS, LONGEST, dtype=torch.int32))
    )
    prompt_len: Any = field(
        default_factory=lambda: SimpleNamespace(np=np.zeros(SLOTS, dtype=np.int32))
    )

    def begin(self, slot: int, prompt: Sequence[int]) -> None:
        self.prompt_len.np[slot] = len(prompt)
        self.commit(slot, 0, prompt)

    def commit(self, slot: int, start: int, token_ids: Sequence[int]) -> None:
        row = self.all_token_ids.gpu[slot]
        row[start:] = 99  # whatever a former request has left
        row[start : start + len(token_ids)] = torch.tensor(list(token_ids), dtype=torch.int32)


def context(rows: Sequence[tuple[int, int, int, int]]) -> Any:
    """`LogitsContext` of rows: slot, offset within the request, input token, its position."""
    slots, offsets, inputs, positions = (torch.tensor(column) for column in zip(*rows, strict=True))
    mapping = np.array(list(dict.fromkeys(slots.tolist())))
    return SimpleNamespace(
        expanded_idx_mapping=slots,
        idx_mapping=torch.from_numpy(mapping),
        idx_mapping_np=mapping,
        expanded_local_pos=offsets,
        input_ids=inputs,
        pos=positions,
        seq_lens_upper_bound_np=np.zeros(len(mapping)),
    )
