"""Untrusted model folders: links out of the folder, endless files, false sizes."""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from decoding.errors import DecodingError, ModelFormatError
from decoding.models import load
from decoding.models.files import member, read_bytes, read_text, shown
from decoding.models.json_files import MOST_BYTES, MOST_VALUES, parse_json, read_json

pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.torch")

import torch

from decoding.models.config import LlamaConfig
from decoding.models.weights import tensor_shapes

CONFIG = {
    "model_type": "llama",
    "vocab_size": 8,
    "hidden_size": 4,
    "intermediate_size": 4,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "max_position_embeddings": 16,
}
SHAPES = tensor_shapes(LlamaConfig.from_json(CONFIG))
WEIGHTS = {name: torch.ones(shape) for name, shape in SHAPES.items()}
INDEX = "model.safetensors.index.json"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "models" / "tiny"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    safetensors.save_file(WEIGHTS, folder / "model.safetensors")
    return folder


def test_the_folder_itself_loads(folder: Path) -> None:
    assert load(folder).logits_width == 8


def as_pipe(path: Path) -> None:
    os.mkfifo(path)


def as_socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # a socket's path may have a hundred bytes
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path.name)
    os.chdir(here)


def as_folder(path: Path) -> None:
    path.mkdir()


def as_endless_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def as_circle(path: Path) -> None:
    path.symlink_to(path.name)


@pytest.mark.parametrize("make", [as_pipe, as_socket, as_folder, as_endless_device, as_circle])
@pytest.mark.parametrize(
    "name",
    [
        "config.json",
        "generation_config.json",
        "tokenizer_config.json",
        "tokenizer.json",
        "chat_template.jinja",
        INDEX,
        "model.safetensors",
    ],
)
def test_only_regular_files_are_opened(
    folder: Path, name: str, make: Callable[[Path], None]
) -> None:
    (folder / name).unlink(missing_ok=True)
    if name == INDEX:
        (folder / "model.safetensors").unlink()
    make(folder / name)
    with pytest.raises(ModelFormatError):
        load(folder)


@pytest.mark.parametrize("make", [as_pipe, as_socket, as_endless_device, as_circle])
def test_a_gguf_path_that_is_no_file(tmp_path: Path, make: Callable[[Path], None]) -> None:
    from decoding.models.gguf import GGUFFile

    make(tmp_path / "model.gguf")
    with pytest.raises(ModelFormatError, match="cannot be read"):
        GGUFFile.open(tmp_path / "model.gguf")
    with pytest.raises(DecodingError):
        load(tmp_path / "model.gguf")


def shard_outside(folder: Path, name: str) -> None:
    (folder / "model.safetensors").unlink()
    safetensors.save_file(WEIGHTS, folder.parent / "shard.safetensors")
    index = {"weight_map": dict.fromkeys(WEIGHTS, name)}
    (folder / INDEX).write_text(json.dumps(index))


@pytest.mark.parametrize(
    "name",
    [
        "../shard.safetensors",
        "x/../../shard.safetensors",
        "..\\shard.safetensors",
        "ABSOLUTE",
        "C:\\shard.safetensors",
        "\\\\server\\shard.safetensors",
        "",
        ".",
        "a\0b",
    ],
)
def test_shards_outside_the_folder_are_refused(folder: Path, name: str) -> None:
    outside = str(folder.parent / "shard.safetensors")
    shard_outside(folder, outside if name == "ABSOLUTE" else name)
    with pytest.raises(ModelFormatError, match="leaves the model's folder"):
        load(folder)


def test_shard_names_that_no_path_can_spell(folder: Path) -> None:
    shard_outside(folder, "here")
    for name in ("\ud800.safetensors", "x" * 5000):
        index = {"weight_map": dict.fromkeys(WEIGHTS, name)}
        (folder / INDEX).write_text(json.dumps(index))
        with pytest.raises(ModelFormatError) as caught:
            load(folder)
        assert len(str(caught.value)) < 10_000


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "chat_template.jinja"])
def test_links_out_of_the_folder_are_refused(folder: Path, name: str) -> None:
    outside = folder.parent / "elsewhere"
    if (folder / name).exists():
        (folder / name).rename(outside)
    else:
        outside.write_text("{{ messages }}")
    (folder / name).symlink_to(outside)
    with pytest.raises(ModelFormatError, match="outside the model's folder"):
        load(folder)


def test_links_within_the_folder_are_followed(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "weights")
    (folder / "model.safetensors").symlink_to("weights")
    assert load(folder).logits_width == 8


def test_a_folder_that_is_a_link_is_followed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    assert load(tmp_path / "link").name == "tiny"


def test_the_cache_of_hugging_face_is_followed(folder: Path, tmp_path: Path) -> None:
    """It stores files by their hash, and links to them from each revision."""
    repository = tmp_path / "hub" / "models--a--tiny"
    revision = repository / "snapshots" / "0123abc"
    revision.mkdir(parents=True)
    (repository / "blobs").mkdir()
    for file in folder.iterdir():
        file.rename(repository / "blobs" / f"hash-of-{file.name}")
        (revision / file.name).symlink_to(Path("../../blobs") / f"hash-of-{file.name}")
    assert load(revision).logits_width == 8
    (revision / "config.json").unlink()
    (revision / "config.json").symlink_to("../../refs-main")
    (repository / "refs-main").write_text(json.dumps(CONFIG))
    with pytest.raises(ModelFormatError, match="outside the model's folder"):
        load(revision)


def test_a_shard_that_holds_another_tensor_too(folder: Path) -> None:
    """The index says which shard a tensor is read from; two shards may not dispute it."""
    (folder / "model.safetensors").unlink()
    names = sorted(WEIGHTS)
    first = {name: WEIGHTS[name] for name in names}
    first["model.norm.weight"] = torch.full((4,), 7.0)
    safetensors.save_file(first, folder / "a.safetensors")
    safetensors.save_file({"model.norm.weight": torch.ones(4)}, folder / "b.safetensors")
    index = dict.fromkeys(names, "a.safetensors") | {"model.norm.weight": "b.safetensors"}
    (folder / INDEX).write_text(json.dumps({"weight_map": index}))
    model: Any = load(folder).forward
    assert model.norm.tolist() == [1.0] * 4
    del index["model.norm.weight"]
    index["lm_head.weight"] = "b.safetensors"
    safetensors.save_file(
        {"model.norm.weight": torch.ones(4), "lm_head.weight": WEIGHTS["lm_head.weight"]},
        folder / "b.safetensors",
    )
    (folder / INDEX).write_text(json.dumps({"weight_map": index}))
    with pytest.raises(
        ModelFormatError, match=r"has 'model\.norm\.weight', which another shard has too"
    ):
        load(folder)


@pytest.mark.parametrize("layers", [10**9, 2**31 - 1, 2])
def test_layers_that_the_file_cannot_hold(folder: Path, layers: int) -> None:
    """Named before a name a layer is spelled out, which for a billion takes all memory."""
    (folder / "config.json").write_text(json.dumps({**CONFIG, "num_hidden_layers": layers}))
    with pytest.raises(ModelFormatError, match="missing tensors"):
        load(folder)


@pytest.mark.parametrize("header", [b"", b"\xff" * 8, struct.pack("<Q", 2**40), b"\0" * 8])
def test_safetensors_headers_that_lie(folder: Path, header: bytes) -> None:
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(header + whole[8:] if header else b"")
    with pytest.raises(ModelFormatError, match="cannot be read"):
        load(folder)


def test_json_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    with path.open("wb") as stream:
        stream.truncate(MOST_BYTES + 1)  # a hole: it takes no room on the disk
    with pytest.raises(ModelFormatError, match=f"at most {MOST_BYTES} are read"):
        read_json(path)
    for text, problem in (
        ("[" * 100_000, "cannot be read"),
        ('{"a":' * 100_000, "cannot be read"),
        ('{"a":[' + "[]," * MOST_VALUES + "0]}", f"more than {MOST_VALUES} values"),
        ('{"a": 1' + "0" * 10_000 + "}", "cannot be read"),
        ('{"a": NaN}', "NaN is not a number of JSON"),
        ('{"a": -Infinity}', "-Infinity is not a number of JSON"),
        (r'{"a": "\ud800"}', "cannot be read"),
        (r'{"\udfff": 1}', "cannot be read"),
        ("[]", "must hold a JSON object, got list"),
        ("", "cannot be read"),
    ):
        with pytest.raises(ModelFormatError, match=problem):
            parse_json(text, path)
    assert parse_json(r'{"a": "\ud83d\ude42"}', path) == {"a": "🙂"}


def test_texts_are_bounded(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"abc\xff")
    assert read_bytes(path, 4) == b"abc\xff"
    with pytest.raises(ModelFormatError, match="has 4 bytes; at most 3 are read"):
        read_bytes(path, 3)
    with pytest.raises(ModelFormatError, match="cannot be read"):
        read_text(path, 4)
    assert member(tmp_path, "x") == path


def test_values_are_shown_in_short() -> None:
    for value in ("x" * 10**6, list(range(10**6)), {str(i): i for i in range(10**5)}, 10**4000):
        assert len(shown(value)) < 300
