"""LoRA adapters: what they compute is what peft computes, and what is read is checked."""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from decoding import Engine, GenerationParameters, LanguageModel, Request, generate
from decoding.errors import DecodingError, ModelFormatError, ParameterError, UnsupportedFeatureError
from decoding.models import load

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.torch")

from decoding.models.config import LlamaConfig
from decoding.models.weights import tensor_shapes

EVERY = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
PROMPT = [1, 7, 3, 40, 12]
MODEL = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 50,
    "hidden_size": 32,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-6,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "tie_word_embeddings": False,
}
ADAPTERS: dict[str, dict[str, Any]] = {
    "every": {"r": 4, "lora_alpha": 16, "target_modules": EVERY},
    "some": {"r": 3, "lora_alpha": 5, "target_modules": ["q_proj", "v_proj", "up_proj"]},
    "stable": {"r": 2, "lora_alpha": 4, "target_modules": ["k_proj", "o_proj"], "use_rslora": True},
    "later": {"r": 2, "lora_alpha": 8, "target_modules": EVERY, "layers_to_transform": [1]},
}
Tensors = dict[str, Any]


def save_model(folder: Path, tensors: Tensors) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(MODEL))
    safetensors.save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def adapted_layers(tensors: Tensors, options: dict[str, Any]) -> list[str]:
    """The linear layers that an adapter adds to."""
    return [
        name.removesuffix(".weight")
        for name in tensors
        if name.split(".")[-2] in options["target_modules"]
        and int(name.split(".")[2]) in options.get("layers_to_transform", [0, 1])
    ]


def merged(tensors: Tensors, options: dict[str, Any], pairs: Tensors) -> Tensors:
    """The weights with an adapter's product added: what a model computes with it."""
    rank = options["r"]
    scale = options["lora_alpha"] / (rank**0.5 if "use_rslora" in options else rank)
    weights = dict(tensors)
    for name in adapted_layers(tensors, options):
        down, up = (pairs[f"base_model.model.{name}.lora_{half}.weight"] for half in "AB")
        weights[f"{name}.weight"] = tensors[f"{name}.weight"] + scale * (up @ down)
    return weights


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder with a model, and one with adapters; beside the first, the model merged with each."""
    folder = tmp_path_factory.mktemp("models") / "model"
    adapters = tmp_path_factory.mktemp("adapters")
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Any:
        return torch.randn(shape, generator=generator)

    shapes = tensor_shapes(LlamaConfig.from_json(MODEL))
    tensors = {
        name: normal(*shape) * 0.2 if len(shape) == 2 else torch.ones(shape)
        for name, shape in shapes.items()
    }
    save_model(folder, tensors)
    for name, options in ADAPTERS.items():
        pairs = {}
        for layer in adapted_layers(tensors, options):
            rows, columns = shapes[f"{layer}.weight"]
            start = f"base_model.model.{layer}.lora_"
            pairs[f"{start}A.weight"] = normal(options["r"], columns) * 0.3
            pairs[f"{start}B.weight"] = normal(rows, options["r"]) * 0.3
        (adapters / name).mkdir()
        safetensors.save_file(pairs, adapters / name / "adapter_model.safetensors")
        config = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "inference_mode": True, **options}
        (adapters / name / "adapter_config.json").write_text(json.dumps(config))
        save_model(folder.with_name(name), merged(tensors, options, pairs))
    return folder, adapters


@pytest.fixture(scope="module")
def expected(base: tuple[Path, Path]) -> dict[str | None, Any]:
    """The logits of the prompt, by adapter, of the model that is merged with it."""

    def logits_of(folder: Path) -> Any:
        model: Any = load(folder).forward
        return model.prefill([PROMPT], all_positions=True)[1]

    folder, _ = base
    return {None: logits_of(folder)} | {
        name: logits_of(folder.with_name(name)) for name in ADAPTERS
    }


def test_logits_equal_those_of_merged_weights(
    base: tuple[Path, Path], expected: dict[str | None, Any]
) -> None:
    model: Any = load(base[0], adapters=base[1]).forward
    for name in ADAPTERS:
        _, logits = model.adapted(name).prefill([PROMPT], all_positions=True)
        assert (logits - expected[name]).abs().max() < 1e-4
        assert (logits - expected[None]).abs().max() > 0.1


@pytest.mark.slow  # the import of peft alone takes seconds
@pytest.mark.filterwarnings("ignore:.*is deprecated:FutureWarning")
def test_logits_equal_those_of_transformers_and_peft(
    base: tuple[Path, Path], expected: dict[str | None, Any]
) -> None:
    peft = pytest.importorskip("peft")
    transformers = pytest.importorskip("transformers")
    for name in [None, *ADAPTERS]:
        model = transformers.AutoModelForCausalLM.from_pretrained(base[0])
        if name is not None:
            model = peft.PeftModel.from_pretrained(model, base[1] / name)
        with torch.no_grad():
            logits = model.eval()(torch.tensor([PROMPT])).logits[0]
        assert (logits - expected[name]).abs().max() < 1e-4


def test_several_adapters_and_none_in_one_call_equal_each_alone(
    base: tuple[Path, Path], expected: dict[str | None, Any]
) -> None:
    model: Any = load(base[0], adapters=base[1]).forward
    names = [None, "every", "some", "stable", None, "every", "later"]
    states = []
    for name in names:
        started = model if name is None else model.adapted(name)
        [state], _ = started.prefill([PROMPT[:2]])
        states.append(state)
        from_nothing = started.start()
        logits = model.extend([from_nothing], [PROMPT[:2]], all_positions=True)
        assert (logits - expected[name][:2]).abs().max() < 1e-4
        model.release(from_nothing)
    forks = [model.fork(state) for state in states]
    logits = model.extend(states, [PROMPT[2:]] * len(names), all_positions=True)
    for index, name in enumerate(names):
        rows = logits[3 * index : 3 * index + 3]
        assert (rows - expected[name][2:]).abs().max() < 1e-4
    for position, token in enumerate(PROMPT[2:], start=2):
        logits = model.extend(forks, [[token]] * len(names))
        for row, name in zip(logits, names, strict=True):
            assert (row - expected[name][position]).abs().max() < 1e-4


def test_generate_and_an_engine_answer_with_the_adapter_that_a_request_names(
    base: tuple[Path, Path],
) -> None:
    model = load(base[0], adapters=base[1])
    asked = {
        name: GenerationParameters(max_new_tokens=8, adapter_id=name)
        for name in (None, "every", "some")
    }
    alone = {name: generate(model, PROMPT, item) for name, item in asked.items()}
    engine = Engine(model)
    together = {}
    for name, item in asked.items():
        together[name] = engine.submit(Request(PROMPT, item))
        engine.step()  # so that each joins those that run
    while engine.busy:
        engine.step()
    texts = {name: [token.id for token in item.tokens] for name, item in alone.items()}
    for name, generation in together.items():
        assert [token.id for token in generation.result().tokens] == texts[name]
    assert len(set(map(tuple, texts.values()))) == 3, "each adapter answers in its own way"
    for unknown in (load(base[0]), LanguageModel(forward=lambda rows: [[0.0]] * len(rows))):
        with pytest.raises(UnsupportedFeatureError, match="adapter_id cannot be used"):
            generate(unknown, PROMPT, asked["every"])


def test_a_model_without_a_folder_of_adapters_has_none(base: tuple[Path, Path]) -> None:
    model: Any = load(base[0]).forward
    with pytest.raises(UnsupportedFeatureError, match="adapter_id cannot be used"):
        model.adapted("every")


@pytest.mark.parametrize(
    "adapter_id",
    ["", ".", "..", "../adapters/every", "/every", "none", "every/../every", "a\0b", "x" * 5000],
)
def test_only_adapters_of_the_folder_can_be_named(base: tuple[Path, Path], adapter_id: str) -> None:
    model: Any = load(base[0], adapters=base[1]).forward
    with pytest.raises(ParameterError, match="adapter_id must be an adapter of this model"):
        model.adapted(adapter_id)


def test_a_link_out_of_the_folder_is_not_followed(base: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "linked").symlink_to(base[1] / "every")
    model: Any = load(base[0], adapters=tmp_path / "inside").forward
    with pytest.raises(ParameterError, match="an adapter of this model"):
        model.adapted("linked")


def test_adapters_are_loaded_once_and_the_oldest_leave(base: tuple[Path, Path]) -> None:
    model: Any = load(base[0], adapters=base[1], adapter_limit=2).forward
    first = model.adapted("every").key
    assert model.adapted("every").key is first
    assert model.adapters.names() == tuple(sorted(ADAPTERS))
    model.adapted("some")
    model.adapted("every")
    model.adapted("stable")
    assert model.adapted("every").key is first
    assert model.adapted("some").key is not first
    copy = pickle.loads(pickle.dumps(model))
    assert copy.adapted("every").key is not first


def copied(base: tuple[Path, Path], folder: Path) -> Path:
    for file in (base[1] / "some").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


def refused(base: tuple[Path, Path], folder: Path) -> DecodingError:
    model: Any = load(base[0], adapters=folder.parent).forward
    with pytest.raises(ModelFormatError) as caught:
        model.adapted(folder.name)
    return caught.value


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"peft_type": "IA3"}, "peft_type must be 'LORA', got 'IA3'"),
        ({"use_dora": True}, "not implemented: 'use_dora'"),
        ({"modules_to_save": ["lm_head"]}, "not implemented: 'modules_to_save'"),
        ({"bias": "all"}, "not implemented: 'bias'"),
        ({"rank_pattern": {"q_proj": 2}}, "not implemented: 'rank_pattern'"),
        ({"alpha_pattern": {"q_proj": 2}}, "not implemented: 'alpha_pattern'"),
        ({"init_lora_weights": "pissa"}, "not implemented: 'init_lora_weights'"),
        ({"a_later_idea": 1}, "not implemented: 'a_later_idea'"),
        ({"r": 0}, "r must be an integer from 1 to 2147483647, got 0"),
        ({"r": 10**400}, "r must be an integer from 1 to 2147483647, got 1000"),
        ({"r": True}, "r must be an integer from 1 to 2147483647, got True"),
        ({"r": 7}, r"must have the shape \(7, 32\)"),
        ({"lora_alpha": "1"}, "lora_alpha must be a number"),
        ({"lora_alpha": 1e300}, "lora_alpha must be a number"),
    ],
)
def test_a_configuration_is_checked(
    base: tuple[Path, Path], tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    path = copied(base, tmp_path) / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    error = refused(base, tmp_path)

    assert re.search(message, str(error))


FIRST = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"


def renamed(new: str) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {new if key == FIRST else key: item for key, item in tensors.items()}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (renamed(FIRST.replace("layers.0", "layers.2")), "is of no layer of the model"),
        (renamed(FIRST.replace("q_proj", "x_proj")), "is of no layer of the model"),
        (renamed("lm_head.weight"), "is of no layer of the model"),
        (lambda tensors: {k: v for k, v in tensors.items() if k != FIRST}, "is missing"),
        (lambda tensors: {**tensors, FIRST: torch.zeros(3, 31)}, "must have the shape"),
        (lambda tensors: {**tensors, FIRST: torch.zeros(3, 32, dtype=torch.int32)}, "has type I32"),
        (lambda tensors: {}, "has no tensors"),
    ],
)
def test_tensors_are_checked(
    base: tuple[Path, Path], tmp_path: Path, change: Callable[[Tensors], Tensors], message: str
) -> None:
    path = copied(base, tmp_path) / "adapter_model.safetensors"
    tensors = {key: value.clone() for key, value in safetensors.load_file(path).items()}
    safetensors.save_file(change(tensors), path)
    assert message in str(refused(base, tmp_path))


def test_a_damaged_file_is_refused(base: tuple[Path, Path], tmp_path: Path) -> None:
    (copied(base, tmp_path) / "adapter_model.safetensors").write_bytes(b"\xff" * 100)
    assert "cannot be read" in str(refused(base, tmp_path))


def test_the_folder_is_checked(base: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="adapters must be an existing folder"):
        load(base[0], adapters=tmp_path / "absent")
    with pytest.raises(ParameterError, match="limit must be"):
        load(base[0], adapters=tmp_path, adapter_limit=0)
