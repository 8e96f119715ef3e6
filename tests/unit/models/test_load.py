"""Loading models: a folder and a GGUF file with the same weights, and faulty files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
from tokenizers import AddedToken, decoders, pre_tokenizers
from tokenizers.models import BPE

from decoding import Grammar
from decoding.errors import ModelFormatError, ParameterError
from decoding.models import LanguageModel, load
from decoding.models.config import LlamaConfig
from decoding.vocabulary.token_bytes import byte_alphabet

pytest.importorskip("torch")
gguf = pytest.importorskip("gguf")
safetensors = pytest.importorskip("safetensors.torch")

import torch

from decoding.models.weights import tensor_shapes

JSON = {
    "model_type": "llama",
    "vocab_size": 260,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "rms_norm_eps": 1e-5,
    "attention_bias": True,
    "eos_token_id": 257,
}
PROMPT = [3, 1, 4, 1, 5, 9]


def random_tensors() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = tensor_shapes(LlamaConfig.from_json(JSON))
    return {name: torch.randn(shape, generator=generator) * 0.3 for name, shape in shapes.items()}


TENSORS = random_tensors()


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "tiny"
    folder.mkdir()
    write_json(folder / "config.json", JSON)
    safetensors.save_file(TENSORS, folder / "model.safetensors")
    return folder


def logits_of(model: LanguageModel) -> torch.Tensor:
    forward: Any = model.forward
    logits: torch.Tensor = forward.prefill([PROMPT], all_positions=True)[1]
    return logits


def gguf_name(name: str) -> str:
    parts = {
        "model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output",
        "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
        "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
    }  # fmt: skip
    for theirs, ours in parts.items():
        name = name.replace(theirs, ours)
    return name.replace("model.layers.", "blk.")


def permuted(weights: np.ndarray, heads: int) -> np.ndarray:
    """As llama.cpp's converter lays out Llama's query and key rows."""
    pairs = weights.reshape(heads, 2, len(weights) // heads // 2, *weights.shape[1:])
    return pairs.swapaxes(1, 2).reshape(weights.shape)


TOKENS = [*sorted(byte_alphabet()), "<s>", "</s>", "<eot>", "ab"]


def write_gguf(
    path: Path,
    *,
    without: str = "",
    tokens: list[str] = TOKENS,
    template: Any = "{{ bos_token }}{{ messages[0].content }}",
    **extra: Any,
) -> Path:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(128)
    writer.add_embedding_length(32)
    writer.add_block_count(2)
    writer.add_feed_forward_length(64)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_vocab_size(260)
    writer.add_token_list(tokens)
    writer.add_token_types([1] * 256 + [3, 3, 3] + [1] * (len(tokens) - 259))
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(256)
    writer.add_eos_token_id(257)
    writer.add_eot_token_id(258)
    writer.add_chat_template(template)
    for name, tensor in TENSORS.items():
        array = tensor.numpy()
        for part, heads in (("q_proj", 4), ("k_proj", 2)):
            array = permuted(array, heads) if part in name else array
        if name != without:
            writer.add_tensor(gguf_name(name), np.ascontiguousarray(array))
    for name, array in extra.items():
        writer.add_tensor(name.replace("__", "."), array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_folder_and_a_gguf_file_give_the_same_logits(folder: Path, tmp_path: Path) -> None:
    from_folder = load(folder)
    from_gguf = load(write_gguf(tmp_path / "tiny.gguf"))
    assert torch.equal(logits_of(from_folder), logits_of(from_gguf))
    assert from_folder.name == from_gguf.name == "tiny"
    assert from_folder.context_length == from_gguf.context_length == 128
    width = logits_of(from_folder).shape[-1]
    assert from_folder.logits_width == from_gguf.logits_width == width


def test_what_a_gguf_file_tells(tmp_path: Path) -> None:
    model = load(str(write_gguf(tmp_path / "tiny.gguf")))
    assert model.eos_token_ids == {257, 258}
    assert model.chat_template == "{{ bos_token }}{{ messages[0].content }}"
    assert model.template_variables == {"bos_token": "<s>", "eos_token": "</s>"}
    assert model.tokenizer is not None
    assert model.tokenizer.encode("<s>ab") == [256, 259]


def test_a_gguf_file_with_more_tokens_than_logits(tmp_path: Path) -> None:
    tokens = [*sorted(byte_alphabet()), "<s>", "</s>", "<eot>", "ab", "ac"]
    with pytest.raises(ModelFormatError, match="261 tokens do not fit 260 logits"):
        load(write_gguf(tmp_path / "tiny.gguf", tokens=tokens))


def test_rope_divisors_of_a_gguf_file_are_used(tmp_path: Path) -> None:
    plain = logits_of(load(write_gguf(tmp_path / "a.gguf")))
    ones = write_gguf(tmp_path / "b.gguf", rope_freqs__weight=np.ones(4, np.float32))
    halves = write_gguf(tmp_path / "c.gguf", rope_freqs__weight=np.full(4, 2, np.float32))
    assert torch.equal(logits_of(load(ones)), plain)
    assert not torch.allclose(logits_of(load(halves)), plain, atol=1e-3)


def test_shards_give_the_same_logits(folder: Path) -> None:
    expected = logits_of(load(folder))
    (folder / "model.safetensors").unlink()
    names = sorted(TENSORS)
    index: dict[str, str] = {}
    for number, part in enumerate((names[:9], names[9:])):
        file = f"model-{number}.safetensors"
        safetensors.save_file({name: TENSORS[name] for name in part}, folder / file)
        index |= dict.fromkeys(part, file)
    write_json(folder / "model.safetensors.index.json", {"weight_map": index})
    assert torch.equal(logits_of(load(folder)), expected)
    others = {name: torch.zeros_like(tensor) for name, tensor in TENSORS.items()}
    safetensors.save_file(others, folder / "model.safetensors")
    assert not logits_of(load(folder)).any()  # a single file wins, as in transformers
    (folder / "model.safetensors").unlink()
    write_json(
        folder / "model.safetensors.index.json",
        {"weight_map": {**index, "lost": "model-0.safetensors"}},
    )
    with pytest.raises(ModelFormatError, match="lists absent tensors: lost"):
        load(folder)
    (folder / "model-1.safetensors").unlink()
    with pytest.raises(ModelFormatError, match=r"model-1\.safetensors: cannot be read"):
        load(folder)


def without(*names: str, **changed: torch.Tensor) -> dict[str, torch.Tensor]:
    return {**{name: tensor for name, tensor in TENSORS.items() if name not in names}, **changed}


def test_a_tied_model_uses_the_output_matrix_of_its_file(folder: Path) -> None:
    """A configuration that ties says nothing against a file with another matrix."""
    untied = logits_of(load(folder))
    write_json(folder / "config.json", {**JSON, "tie_word_embeddings": True})
    assert torch.equal(logits_of(load(folder)), untied)


def test_a_tied_model_without_an_output_matrix_uses_the_embedding(folder: Path) -> None:
    write_json(folder / "config.json", {**JSON, "tie_word_embeddings": True})
    safetensors.save_file(without("lm_head.weight"), folder / "model.safetensors")
    tied = logits_of(load(folder))
    embedding = TENSORS["model.embed_tokens.weight"]
    stored_twice = {**TENSORS, "lm_head.weight": embedding.clone()}
    safetensors.save_file(stored_twice, folder / "model.safetensors")
    model: Any = load(folder).forward
    assert model.output is model.embedding  # held once
    assert torch.equal(model.prefill([PROMPT], all_positions=True)[1], tied)


def test_a_tied_model_may_store_the_output_matrix_alone(folder: Path) -> None:
    write_json(folder / "config.json", {**JSON, "tie_word_embeddings": True})
    safetensors.save_file(without("lm_head.weight"), folder / "model.safetensors")
    tied = logits_of(load(folder))
    swapped = without("lm_head.weight", "model.embed_tokens.weight")
    swapped["lm_head.weight"] = TENSORS["model.embed_tokens.weight"]
    safetensors.save_file(swapped, folder / "model.safetensors")
    assert torch.equal(logits_of(load(folder)), tied)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lm_head.weight": None}, r"missing tensors: lm_head\.weight"),
        (dict.fromkeys(TENSORS), "missing tensors: 2 layers need more than 0"),
        (dict.fromkeys(list(TENSORS)[3:]), "and 21 more"),
        ({"model.layers.0.mlp.gate_proj.bias": torch.zeros(64)}, r"unexpected .*gate_proj\.bias"),
        ({"base_model.lora_A.weight": torch.zeros(2, 2)}, r"unexpected tensors: .*lora_A"),
        ({"extra": torch.zeros(1)}, "unexpected tensors: extra"),
        ({"model.norm.weight": torch.zeros(31)}, r"shape \(32,\), got \(31,\)"),
        (
            {"model.norm.weight": torch.zeros(32, dtype=torch.int8)},
            r"model\.norm\.weight' has type I8, not one of F64, F32, F16, BF16",
        ),
    ],
)
def test_tensors_that_do_not_fit(
    folder: Path, change: dict[str, torch.Tensor | None], message: str
) -> None:
    changed = {name: tensor for name, tensor in {**TENSORS, **change}.items() if tensor is not None}
    safetensors.save_file(changed, folder / "model.safetensors")
    with pytest.raises(ModelFormatError, match=message):
        load(folder)


def test_gguf_tensors_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(ModelFormatError, match=r"missing tensors: model\.norm\.weight"):
        load(write_gguf(tmp_path / "a.gguf", without="model.norm.weight"))
    with pytest.raises(ModelFormatError, match=r"unexpected tensors: blk\.0\.ssm\.weight"):
        load(write_gguf(tmp_path / "b.gguf", blk__0__ssm__weight=np.zeros(4, np.float32)))


def test_gguf_tensors_under_two_names(tmp_path: Path) -> None:
    """Under a name of Hugging Face the order of a tensor's rows is not known."""
    extra = {"model__norm__weight": np.ones(32, np.float32)}
    with pytest.raises(ModelFormatError, match=r"unexpected tensors: 'model\.norm\.weight'"):
        load(write_gguf(tmp_path / "a.gguf", **extra))
    with pytest.raises(ModelFormatError, match="unexpected tensors: 'lm_head"):
        load(write_gguf(tmp_path / "b.gguf", lm_head__weight=np.ones((260, 32), np.float32)))


def test_gguf_divisors_that_fit_no_head(tmp_path: Path) -> None:
    with pytest.raises(ModelFormatError, match=r"rope_freqs\.weight has the shape \(70000,\)"):
        load(write_gguf(tmp_path / "a.gguf", rope_freqs__weight=np.ones(70_000, np.float32)))


def test_damaged_folders(folder: Path) -> None:
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(ModelFormatError, match=r"model\.safetensors: cannot be read"):
        load(folder)
    (folder / "config.json").write_text("[1]", encoding="utf-8")
    with pytest.raises(ModelFormatError, match="must hold a JSON object, got list"):
        load(folder)
    (folder / "config.json").unlink()
    with pytest.raises(ModelFormatError, match=r"config\.json: cannot be read"):
        load(folder)


def tokenizer_json(*added: str) -> str:
    tokenizer = tokenizers.Tokenizer(
        BPE({character: index for index, character in enumerate(sorted(byte_alphabet()))}, [])
    )
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_tokens([AddedToken(text, special=True) for text in added])
    return str(tokenizer.to_str())


@pytest.mark.parametrize(
    ("value", "expected"),
    [(7, {7, 257}), ([7, 8], {7, 8, 257}), (None, {257}), ([], {257}), ([257], {257})],
)
def test_end_tokens_of_both_configurations(folder: Path, value: object, expected: set[int]) -> None:
    assert load(folder).eos_token_ids == {257}
    write_json(folder / "generation_config.json", {"eos_token_id": value})
    assert load(folder).eos_token_ids == expected


@pytest.mark.parametrize("text", ["<|im_end|>", {"content": "<|im_end|>", "special": True}])
def test_the_end_token_of_the_tokenizers_configuration(folder: Path, text: object) -> None:
    write_json(folder / "tokenizer_config.json", {"eos_token": text})
    assert load(folder).eos_token_ids == {257}  # without a tokenizer, a text has no id
    (folder / "tokenizer.json").write_text(tokenizer_json("<a>", "<b>", "<|im_end|>"))
    assert load(folder).eos_token_ids == {257, 258}
    write_json(folder / "tokenizer_config.json", {"eos_token": "<absent>"})
    assert load(folder).eos_token_ids == {257}


def test_tokens_beyond_the_logits_spell_nothing(folder: Path) -> None:
    """Grammars and details are as wide as the logits."""
    texts = ["<a>", "<b>", "<c>", "<d>", "[PAD]", "[MASK]"]
    (folder / "tokenizer.json").write_text(tokenizer_json(*texts))
    write_json(folder / "tokenizer_config.json", {"eos_token": "[PAD]"})
    model = load(folder)
    assert model.tokenizer is not None
    vocabulary = model.tokenizer.vocabulary
    assert len(vocabulary) == model.logits_width == 260
    assert vocabulary.special_token_ids == {256, 257, 258, 259}
    assert vocabulary.bytes_of(260) == b""
    assert model.eos_token_ids == {257}
    assert model.tokenizer.encode("[PAD]") == [260]
    assert model.grammars is not None
    model.grammars.mask_of(Grammar("regex", "a+"))


def test_an_end_token_of_the_older_map_of_special_tokens(folder: Path) -> None:
    (folder / "tokenizer.json").write_text(tokenizer_json("<a>", "<b>", "<|im_end|>"))
    write_json(folder / "special_tokens_map.json", {"eos_token": "<|im_end|>", "bos_token": "<a>"})
    model = load(folder)
    assert model.eos_token_ids == {257, 258}
    assert model.template_variables == {"eos_token": "<|im_end|>", "bos_token": "<a>"}
    write_json(folder / "tokenizer_config.json", {"eos_token": "<b>"})
    assert load(folder).eos_token_ids == {257}


def test_an_adapter_beside_the_weights_is_not_read_past(folder: Path) -> None:
    write_json(folder / "adapter_config.json", {"peft_type": "LORA"})
    with pytest.raises(ModelFormatError, match=r"adapter_config\.json: adapters are not"):
        load(folder)


@pytest.mark.parametrize("value", ["</s>", ["</s>"], True, -1, [3, -1], 260, 10**14, 1.0, {"a": 1}])
@pytest.mark.parametrize("file", ["generation_config.json", "config.json"])
def test_end_tokens_that_are_none(folder: Path, value: object, file: str) -> None:
    write_json(folder / file, {**JSON, "eos_token_id": value})
    with pytest.raises(ModelFormatError, match="eos_token_id must be an id or a list of ids") as e:
        load(folder)
    assert e.value.path == folder / file


@pytest.mark.parametrize("name", ["tokenizer.model", "tekken.json", "vocab.json"])
def test_a_tokenizer_of_another_kind_alone(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"\x0a\x0e")
    with pytest.raises(ModelFormatError, match=r"tokenizer\.json: is missing; .*save_pretrained"):
        load(folder)
    (folder / "tokenizer.json").write_text(tokenizer_json())
    assert load(folder).tokenizer is not None


def test_pickled_weights_alone(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelFormatError, match=r"pytorch_model\.bin, which can run code, is not"):
        load(folder)


def test_a_window_caps_the_context(folder: Path) -> None:
    whole = logits_of(load(folder))
    mistral = {**JSON, "model_type": "mistral", "sliding_window": 16, "attention_bias": False}
    write_json(folder / "config.json", mistral)
    biases = [name for name in TENSORS if name.endswith(".bias")]
    safetensors.save_file(without(*biases), folder / "model.safetensors")
    model = load(folder)
    assert model.context_length == 16
    assert logits_of(model).shape == whole.shape
    forward: Any = model.forward
    with pytest.raises(ParameterError, match="at most 16, the model's context length"):
        forward.prefill([[1] * 17])


def test_chat_templates_and_variables(folder: Path) -> None:
    model = load(folder)
    assert (model.tokenizer, model.chat_template, model.template_variables) == (None, None, {})
    texts: dict[str, object] = {
        "chat_template": "plain",
        "bos_token": "<s>",
        "eos_token": {"content": "</s>", "special": True},
        "pad_token": None,
        "add_bos_token": True,
    }
    write_json(folder / "tokenizer_config.json", texts)
    model = load(folder)
    assert model.chat_template == "plain"
    assert model.template_variables == {"bos_token": "<s>", "eos_token": "</s>"}
    texts["chat_template"] = [
        {"name": "tool_use", "template": "tools"},
        {"name": "default", "template": "named"},
    ]
    write_json(folder / "tokenizer_config.json", texts)
    assert load(folder).chat_template == "named"
    texts["chat_template"] = [{"template": "nameless"}, "text", {"name": "default"}]
    write_json(folder / "tokenizer_config.json", texts)
    assert load(folder).chat_template is None
    (folder / "chat_template.jinja").write_text("file", encoding="utf-8")
    assert load(folder).chat_template == "file"


def test_named_chat_templates(folder: Path, tmp_path: Path) -> None:
    named = [{"name": name, "template": f"{name}!"} for name in ("default", "tool_use", "rag")]
    write_json(folder / "tokenizer_config.json", {"chat_template": named})
    model = load(folder)
    assert model.chat_template == "default!"
    assert model.chat_templates == {"tool_use": "tool_use!", "rag": "rag!"}
    more = folder / "additional_chat_templates"
    more.mkdir()
    (more / "rag.jinja").write_text("file", encoding="utf-8")
    model = load(folder)
    assert (model.chat_template, model.chat_templates) == (None, {"rag": "file"})
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("secret", encoding="utf-8")
    (more / "tool_use.jinja").symlink_to(elsewhere)
    with pytest.raises(ModelFormatError, match="outside the model's folder"):
        load(folder)
    (more / "tool_use.jinja").unlink()
    for number in range(64):
        (more / f"{number}.jinja").write_text("", encoding="utf-8")
    with pytest.raises(ModelFormatError, match="holds 65 templates; at most 64 are read"):
        load(folder)


def test_named_chat_templates_of_a_gguf_file(tmp_path: Path) -> None:
    named = [{"name": name, "template": f"{name}!"} for name in ("default", "tool_use")]
    model = load(write_gguf(tmp_path / "tiny.gguf", template=named))
    assert model.chat_template == "default!"
    assert model.chat_templates == {"tool_use": "tool_use!"}


def test_the_environment_names_the_default(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DECODING_MODEL", str(folder))
    assert load().name == "tiny"


def test_arguments_of_a_wrong_type(folder: Path) -> None:
    source: Any
    for source in (5, b"smollm2", ["smollm2"]):
        with pytest.raises(ParameterError, match="source must be a string or a path"):
            load(source)
    wrong: Any = ["float32"]
    with pytest.raises(ParameterError, match="dtype must be one of float32"):
        load(folder, dtype=wrong)
    with pytest.raises(ParameterError, match="device must be usable by torch"):
        load(folder, device=wrong)


def test_unknown_sources_list_what_is_possible(tmp_path: Path) -> None:
    for source in ("gpt-5", tmp_path / "absent.gguf", tmp_path / "absent"):
        with pytest.raises(ParameterError, match=r"a known model \(smollm2\), an existing \.gguf"):
            load(source)
