"""A Llama in ONNX, from weights by their Hugging Face names: the graph that tests hand over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from decoding.models.config import LlamaConfig


class _Graph:
    """Nodes and constants under construction."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, name: str, value: NDArray[Any]) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def add(
        self, operator: str, inputs: list[str], outputs: int = 1, **attributes: Any
    ) -> list[str]:
        names = [f"{operator}_{len(self.nodes)}_{index}" for index in range(outputs)]
        self.nodes.append(helper.make_node(operator, inputs, names, **attributes))
        return names

    def one(self, operator: str, inputs: list[str], **attributes: Any) -> str:
        return self.add(operator, inputs, **attributes)[0]


def build(config: LlamaConfig, weights: Mapping[str, NDArray[np.float32]]) -> bytes:
    """The model with past key values in and out, named as `optimum` names them."""
    graph = _Graph()
    heads, kv_heads, size = config.heads, config.kv_heads, config.head_dim

    def linear(x: str, name: str) -> str:
        return graph.one("MatMul", [x, graph.constant(name, weights[f"{name}.weight"].T)])

    def norm(x: str, name: str) -> str:
        scale = graph.constant(name, weights[f"{name}.weight"])
        return graph.one("RMSNormalization", [x, scale], epsilon=config.norm_eps)

    frequencies = config.rope_theta ** -(np.arange(0, size, 2) / size)
    angles = np.outer(np.arange(config.context_length), frequencies)
    cos = graph.constant("cos", np.cos(angles).astype(np.float32))
    sin = graph.constant("sin", np.sin(angles).astype(np.float32))

    # Query i sees the keys up to its own position.
    total = graph.one("Shape", ["attention_mask"], start=1, end=2)
    scalar = graph.one("Squeeze", [total])
    zero, step = graph.constant("zero", np.array(0)), graph.constant("step", np.array(1))
    keys = graph.one("Range", [zero, scalar, step])
    at = graph.one("Unsqueeze", ["position_ids", graph.constant("axes", np.array([1, 3]))])
    mask = graph.one("LessOrEqual", [keys, at])

    embedding = graph.constant("embedding", weights["model.embed_tokens.weight"])
    x = graph.one("Gather", [embedding, "input_ids"])
    outputs = []
    for layer in range(config.layers):
        prefix = f"model.layers.{layer}"
        y = norm(x, f"{prefix}.input_layernorm")
        q, k, v = (linear(y, f"{prefix}.self_attn.{part}_proj") for part in "qkv")
        q = graph.one("RotaryEmbedding", [q, cos, sin, "position_ids"], num_heads=heads)
        k = graph.one("RotaryEmbedding", [k, cos, sin, "position_ids"], num_heads=kv_heads)
        pasts = [f"past_key_values.{layer}.{kind}" for kind in ("key", "value")]
        attended, key, value = graph.add(
            "Attention", [q, k, v, mask, *pasts], 3, q_num_heads=heads, kv_num_heads=kv_heads
        )
        for name, kind in ((key, "key"), (value, "value")):
            graph.nodes.append(helper.make_node("Identity", [name], [f"present.{layer}.{kind}"]))
            outputs.append(f"present.{layer}.{kind}")
        x = graph.one("Add", [x, linear(attended, f"{prefix}.self_attn.o_proj")])
        y = norm(x, f"{prefix}.post_attention_layernorm")
        gate = linear(y, f"{prefix}.mlp.gate_proj")
        gate = graph.one("Mul", [gate, graph.one("Sigmoid", [gate])])
        inner = graph.one("Mul", [gate, linear(y, f"{prefix}.mlp.up_proj")])
        x = graph.one("Add", [x, linear(inner, f"{prefix}.mlp.down_proj")])
    x = norm(x, "model.norm")
    head = weights["model.embed_tokens.weight" if config.tied else "lm_head.weight"]
    projected = graph.constant("head", head.T)
    graph.nodes.append(helper.make_node("MatMul", [x, projected], ["logits"]))

    integers = {"input_ids": "tokens", "attention_mask": "total", "position_ids": "tokens"}
    past = ["batch", kv_heads, "past", size]
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", axis])
        for name, axis in integers.items()
    ] + [
        helper.make_tensor_value_info(
            name.replace("present", "past_key_values"), TensorProto.FLOAT, past
        )
        for name in outputs
    ]
    made = helper.make_graph(
        graph.nodes,
        "llama",
        inputs,
        [
            helper.make_tensor_value_info(
                "logits", TensorProto.FLOAT, ["batch", "tokens", config.vocab_size]
            ),
            *(
                helper.make_tensor_value_info(
                    name, TensorProto.FLOAT, ["batch", kv_heads, "total", size]
                )
                for name in outputs
            ),
        ],
        graph.constants,
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 23)], ir_version=11)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
