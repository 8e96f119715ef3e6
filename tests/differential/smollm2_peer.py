"""SmolLM2 as a model of transformers, with the weights of the GGUF file."""

from __future__ import annotations

from typing import Any

from decoding.models import LanguageModel
from decoding.models.config import LlamaConfig
from decoding.models.fetch import fetch
from decoding.models.gguf import GGUFFile


def peer_of(smollm2: LanguageModel) -> Any:
    import torch
    import transformers

    from decoding.models.weights import GGUFSource, tensor_shapes

    ours: Any = smollm2.forward
    config = ours.config
    file = GGUFFile.open(fetch("smollm2"))
    assert LlamaConfig.from_gguf(file.metadata, file.tensors) == config
    source = GGUFSource(file, config)
    theirs = transformers.LlamaConfig(
        vocab_size=config.vocab_size,
        hidden_size=config.hidden_size,
        intermediate_size=config.intermediate_size,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        num_key_value_heads=config.kv_heads,
        max_position_embeddings=config.context_length,
        rms_norm_eps=config.norm_eps,
        rope_parameters={"rope_type": "default", "rope_theta": config.rope_theta},
        tie_word_embeddings=config.tied,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
    )
    with torch.device("meta"):
        model = transformers.LlamaForCausalLM(theirs)
    weights = {name: source.read(name) for name in tensor_shapes(config)}
    model.load_state_dict(weights, strict=False, assign=True)
    model.tie_weights()
    # The rotary frequencies are no weights; on the meta device they were not computed.
    model.model.rotary_emb = type(model.model.rotary_emb)(theirs)
    assert not any(parameter.is_meta for parameter in model.parameters())
    return model.eval()
