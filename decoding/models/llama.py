"""The Llama family's forward pass in torch, with one growing KV cache a sequence.

All new tokens of all sequences go through the linear layers as one `(tokens, hidden)` matrix;
attention runs per sequence over its own cache, so there is no padding and nothing of one sequence
reaches another.

Queries and keys use the half-split rotary convention: dimension i is paired with i + head_dim/2.

Source: Touvron et al. 2023, "LLaMA: Open and Efficient Foundation Language Models",
arXiv:2302.13971; Su et al. 2021, "RoFormer", arXiv:2104.09864; Ainslie et al. 2023, "GQA",
arXiv:2305.13245.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from decoding.errors import MissingDependencyError, ParameterError
from decoding.models.config import LlamaConfig
from decoding.models.rope import inverse_frequencies

try:
    import torch
    from torch import Tensor
    from torch.nn.functional import linear, rms_norm, silu
except ImportError as error:
    raise MissingDependencyError("torch", "torch") from error

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_LEAST_CAPACITY = 64
_QUERY_CHUNK = 256  # bounds the attention scores of a long prompt to (heads, 256, keys)


@dataclass(slots=True, eq=False)
class LlamaState:
    """The KV cache of one sequence.

    cache: `(layers, 2, kv_heads, capacity, head_dim)`, keys before values; None once released.
    length: tokens in it.
    """

    cache: Tensor | None = field(repr=False)
    length: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class _Linear:
    weight: Tensor
    bias: Tensor | None

    def __call__(self, inputs: Tensor) -> Tensor:
        return linear(inputs, self.weight, self.bias)


@dataclass(frozen=True, slots=True, eq=False)
class _Layer:
    attention_norm: Tensor
    qkv: _Linear
    query_norm: Tensor | None
    key_norm: Tensor | None
    output: _Linear
    mlp_norm: Tensor
    gate_up: _Linear
    down: _Linear


@dataclass(frozen=True, slots=True, eq=False)
class LlamaModel:
    """A `CachedModel`: logits are float32 torch tensors on the model's device.

    Only the positions that were asked for pass through the output matrix. Every method raises
    ParameterError, before anything is changed, for an empty or overlong sequence, a token id
    outside the vocabulary, a released state or one that is given twice.
    """

    config: LlamaConfig
    embedding: Tensor = field(repr=False)
    layers: tuple[_Layer, ...] = field(repr=False)
    norm: Tensor = field(repr=False)
    output: Tensor = field(repr=False)
    inverse_frequencies: Tensor = field(repr=False)

    @classmethod
    def from_tensors(
        cls,
        config: LlamaConfig,
        read: Callable[[str], Tensor],
        *,
        dtype: str = "float32",
        device: str = "cpu",
    ) -> LlamaModel:
        """Build a model from tensors that are asked for by name, one at a time.

        read: gives the tensor of a Hugging Face name, of the shape in `tensor_shapes(config)`.

        Raises:
            ParameterError: the dtype is not float32, bfloat16 or float16, or torch has no such
                device here.
        """
        if not isinstance(dtype, str) or dtype not in _DTYPES:
            raise ParameterError("dtype", dtype, f"one of {', '.join(_DTYPES)}")
        try:
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError, TypeError) as error:
            raise ParameterError("device", device, f"usable by torch ({error})") from error

        def get(name: str) -> Tensor:
            return read(name).to(device=device, dtype=_DTYPES[dtype])

        def fused(parts: Sequence[str], *, bias: bool) -> _Linear:
            weight = torch.cat([get(f"{part}.weight") for part in parts])
            return _Linear(weight, torch.cat([get(f"{p}.bias") for p in parts]) if bias else None)

        def layer(index: int) -> _Layer:
            name = f"model.layers.{index}"
            qkv = [f"{name}.self_attn.{part}_proj" for part in "qkv"]
            return _Layer(
                attention_norm=get(f"{name}.input_layernorm.weight"),
                qkv=fused(qkv, bias=config.qkv_bias),
                query_norm=get(f"{name}.self_attn.q_norm.weight") if config.qk_norm else None,
                key_norm=get(f"{name}.self_attn.k_norm.weight") if config.qk_norm else None,
                output=fused([f"{name}.self_attn.o_proj"], bias=config.output_bias),
                mlp_norm=get(f"{name}.post_attention_layernorm.weight"),
                gate_up=fused(
                    [f"{name}.mlp.gate_proj", f"{name}.mlp.up_proj"], bias=config.mlp_bias
                ),
                down=fused([f"{name}.mlp.down_proj"], bias=config.mlp_bias),
            )

        embedding = get("model.embed_tokens.weight")
        output = embedding if config.tied else get("lm_head.weight")
        if torch.equal(output, embedding):
            output = embedding  # held once
        return cls(
            config=config,
            embedding=embedding,
            layers=tuple(layer(index) for index in range(config.layers)),
            norm=get("model.norm.weight"),
            output=output,
            inverse_frequencies=inverse_frequencies(config).to(device),
        )

    @torch.inference_mode()
    def prefill(
        self, prompts: Sequence[Sequence[int]], *, all_positions: bool = False
    ) -> tuple[list[LlamaState], Tensor]:
        """See `CachedModel.prefill`."""
        states = [LlamaState(self._new_cache(len(prompt))) for prompt in prompts]
        return states, self.extend(states, prompts, all_positions=all_positions)

    @torch.inference_mode()
    def extend(
        self,
        states: Sequence[LlamaState],
        token_ids: Sequence[Sequence[int]],
        *,
        all_positions: bool = False,
    ) -> Tensor:
        """See `CachedModel.extend`."""
        flat = self._checked(states, token_ids)
        counts = [len(ids) for ids in token_ids]
        caches = [self._reserve(state, count) for state, count in zip(states, counts, strict=True)]
        hidden = self._forward(flat, caches, [state.length for state in states], counts)
        for state, count in zip(states, counts, strict=True):
            state.length += count
        if not all_positions:
            hidden = hidden[torch.tensor(counts, device=hidden.device).cumsum(0) - 1]
        hidden = rms_norm(hidden, hidden.shape[-1:], self.norm, self.config.norm_eps)
        return linear(hidden, self.output).float()

    @torch.inference_mode()
    def fork(self, state: LlamaState) -> LlamaState:
        """See `CachedModel.fork`."""
        cache = self._new_cache(state.length)
        cache[..., : state.length, :] = _live(state)[..., : state.length, :]
        return LlamaState(cache, state.length)

    def rollback(self, state: LlamaState, count: int) -> None:
        """See `CachedModel.rollback`; raises ParameterError for more tokens than there are."""
        _live(state)
        if not 0 <= count <= state.length:
            raise ParameterError("count", count, f"in [0, {state.length}], the sequence's length")
        state.length -= count

    def release(self, state: LlamaState) -> None:
        """See `CachedModel.release`; releasing twice is harmless."""
        state.cache, state.length = None, 0

    def _new_cache(self, length: int) -> Tensor:
        """Room for `length` tokens and some more."""
        config = self.config
        capacity = min(max(_LEAST_CAPACITY, 2 * length), config.context_length)
        shape = (config.layers, 2, config.kv_heads, capacity, config.head_dim)
        return torch.empty(shape, dtype=self.embedding.dtype, device=self.embedding.device)

    def _reserve(self, state: LlamaState, count: int) -> Tensor:
        """The state's cache with room for `count` more tokens; doubling amortises the copies."""
        cache = _live(state)
        if state.length + count > cache.shape[3]:
            old, cache = cache, self._new_cache(state.length + count)
            cache[..., : state.length, :] = old[..., : state.length, :]
            state.cache = cache
        return cache

    def _checked(self, states: Sequence[LlamaState], token_ids: Sequence[Sequence[int]]) -> Tensor:
        """All new ids in one tensor, once everything about the call is known to be legal."""
        if not states or len(states) != len(token_ids):
            expected = "as many lists as states, at least one"
            raise ParameterError("token_ids", f"{len(token_ids)} for {len(states)}", expected)
        if len({id(state) for state in states}) != len(states):
            raise ParameterError("states", "one state twice", "different states")
        limit = self.config.context_length
        for index, (state, ids) in enumerate(zip(states, token_ids, strict=True)):
            _live(state)
            if not len(ids):
                raise ParameterError(f"token_ids[{index}]", [], "at least one token")
            if state.length + len(ids) > limit:
                expected = f"at most {limit}, the model's context length"
                raise ParameterError(
                    f"length of sequence {index}", state.length + len(ids), expected
                )
        flat = [token for ids in token_ids for token in ids]
        if min(flat) < 0 or max(flat) >= self.config.vocab_size:
            wrong = next(token for token in flat if not 0 <= token < self.config.vocab_size)
            raise ParameterError("token id", wrong, f"in [0, {self.config.vocab_size})")
        return torch.tensor(flat, device=self.embedding.device)

    def _forward(
        self, flat: Tensor, caches: list[Tensor], lengths: list[int], counts: list[int]
    ) -> Tensor:
        """The residual stream `(tokens, hidden)` before the last norm; fills the caches."""
        config, eps = self.config, self.config.norm_eps
        spans = [(length, length + n) for length, n in zip(lengths, counts, strict=True)]
        positions = torch.cat([torch.arange(*span, device=flat.device) for span in spans])
        angles = positions[:, None].float() * self.inverse_frequencies
        cosine, sine = (f.to(self.embedding.dtype)[:, None] for f in (angles.cos(), angles.sin()))
        hidden = self.embedding[flat]
        for index, layer in enumerate(self.layers):
            normed = rms_norm(hidden, hidden.shape[-1:], layer.attention_norm, eps)
            heads = layer.qkv(normed).view(len(flat), -1, config.head_dim)
            queries, keys = heads[:, : config.heads], heads[:, config.heads : -config.kv_heads]
            values = heads[:, -config.kv_heads :]
            if layer.query_norm is not None and layer.key_norm is not None:
                queries = rms_norm(queries, queries.shape[-1:], layer.query_norm, eps)
                keys = rms_norm(keys, keys.shape[-1:], layer.key_norm, eps)
            queries, keys = _rotate(queries, cosine, sine), _rotate(keys, cosine, sine)
            attended = torch.empty_like(queries)
            first = 0
            for cache, (start, stop) in zip(caches, spans, strict=True):
                rows = slice(first, first + stop - start)
                cache[index, 0, :, start:stop] = keys[rows].transpose(0, 1)
                cache[index, 1, :, start:stop] = values[rows].transpose(0, 1)
                _attend(queries[rows], cache[index, :, :, :stop], attended[rows])
                first = rows.stop
            hidden = hidden + layer.output(attended.flatten(1))
            normed = rms_norm(hidden, hidden.shape[-1:], layer.mlp_norm, eps)
            gate, up = layer.gate_up(normed).chunk(2, -1)
            hidden = hidden + layer.down(silu(gate) * up)
        return hidden


def _live(state: LlamaState) -> Tensor:
    if state.cache is None:
        raise ParameterError("state", "a released one", "one that was not released")
    return state.cache


def _rotate(heads: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotate `(tokens, heads, head_dim)` by the angles of each token's position."""
    left, right = heads.chunk(2, -1)
    return torch.cat((left * cosine - right * sine, right * cosine + left * sine), -1)


def _attend(queries: Tensor, cache: Tensor, out: Tensor) -> None:
    """Causal attention of a sequence's newest tokens; writes `out`, shaped as `queries`.

    queries: `(tokens, heads, head_dim)`; cache: `(2, kv_heads, keys, head_dim)`, theirs at its end.
    """
    keys, values = cache.unbind()
    tokens, heads, width = queries.shape
    kv_heads, total, _ = keys.shape
    for begin in range(0, tokens, _QUERY_CHUNK):
        end = min(begin + _QUERY_CHUNK, tokens)
        count, seen = end - begin, total - tokens + end
        # The heads that share a key-value head become rows of one product: keys are not repeated.
        grouped = queries[begin:end].reshape(count, kv_heads, -1, width).permute(1, 2, 0, 3)
        flat = grouped.reshape(kv_heads, -1, width)
        scores = (flat @ keys[:, :seen].transpose(1, 2)).float() * (1.0 / math.sqrt(width))
        if count > 1:
            future = torch.ones(count, seen, dtype=torch.bool, device=out.device)
            future = future.triu(seen - count + 1)
            scores.view(kv_heads, -1, count, seen).masked_fill_(future, -math.inf)
        mixed = scores.softmax(-1).to(values.dtype) @ values[:, :seen]
        mixed = mixed.view(kv_heads, -1, count, width).permute(2, 0, 1, 3)
        out[begin:end] = mixed.reshape(count, heads, width)
