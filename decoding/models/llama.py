"""The Llama family's forward pass in torch, over a paged KV cache.

All new tokens of all sequences go through the linear layers as one `(tokens, hidden)` matrix.
Sequences of similar length with one new token each share a call of attention, in which each sees
its own keys and values only.

Queries and keys use the half-split rotary convention: dimension i is paired with i + head_dim/2.

Source: Touvron et al. 2023, "LLaMA: Open and Efficient Foundation Language Models",
arXiv:2302.13971; Su et al. 2021, "RoFormer", arXiv:2104.09864; Ainslie et al. 2023, "GQA",
arXiv:2305.13245.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from decoding.checks import checked_integer
from decoding.errors import MissingDependencyError, ParameterError, UnsupportedFeatureError
from decoding.models.attention import layout
from decoding.models.cached_calls import (
    check_lengths,
    check_rollback,
    check_states,
    check_token_range,
)
from decoding.models.config import LlamaConfig
from decoding.models.kv_cache import (
    PAGE_TOKENS,
    CachedSequence,
    PagedCache,
    default_capacity,
    pages_of,
)
from decoding.models.lora import Adapters, LoadedAdapters, LoraAdapter, LoraPair
from decoding.models.rope import inverse_frequencies

try:
    import torch
    from torch import Tensor
    from torch.nn.functional import linear, rms_norm, silu
except ImportError as error:
    raise MissingDependencyError("torch", "torch") from error

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
LlamaState = CachedSequence
"""The model state of one sequence: its KV cache."""


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
    """A Llama-family `CachedModel`; logits are float32 torch tensors on the model's device.

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
    cache: PagedCache = field(repr=False)
    adapters: LoadedAdapters | None = field(default=None, repr=False)

    @classmethod
    def from_tensors(
        cls,
        config: LlamaConfig,
        read: Callable[[str], Tensor],
        *,
        dtype: str = "float32",
        device: str = "cpu",
        cache_tokens: int | None = None,
        adapters: Adapters | None = None,
    ) -> LlamaModel:
        """Build a model from tensors that are asked for by name, one at a time.

        read: gives the tensor of a Hugging Face name, of the shape in `tensor_shapes(config)`.
        cache_tokens: most tokens that the KV cache holds, rounded up to whole pages of 16; None
            takes those of 32 whole contexts, or half of the available memory where that is less.
        adapters: where LoRA adapters are loaded from.

        Raises:
            ParameterError: the dtype is not float32, bfloat16 or float16, or torch has no such
                device here, or `cache_tokens` is no integer >= 1.
        """
        if cache_tokens is not None:
            expected = ">= 1, or None"
            cache_tokens = checked_integer("cache_tokens", cache_tokens, 1, expected=expected)
        if not isinstance(dtype, str) or dtype not in _DTYPES:
            raise ParameterError("dtype", dtype, f"one of {', '.join(_DTYPES)}")
        try:
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError, TypeError) as error:
            raise ParameterError("device", device, f"usable by torch ({error})") from error

        def get(name: str) -> Tensor:
            return read(name).to(device=device, dtype=_DTYPES[dtype])

        def fused(parts: Sequence[str], *, bias: bool) -> _Linear:
            weight = joined([get(f"{part}.weight") for part in parts])
            return _Linear(weight, joined([get(f"{p}.bias") for p in parts]) if bias else None)

        def joined(tensors: list[Tensor]) -> Tensor:
            return tensors[0] if len(tensors) == 1 else torch.cat(tensors)

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
        if output is not embedding and torch.equal(output, embedding):
            output = embedding  # held once
        width = 2 * config.layers * config.kv_heads * config.head_dim * embedding.dtype.itemsize
        if cache_tokens is None:
            cache_tokens = default_capacity(config.context_length, width, embedding.device)
        return cls(
            config=config,
            embedding=embedding,
            layers=tuple(layer(index) for index in range(config.layers)),
            norm=get("model.norm.weight"),
            output=output,
            inverse_frequencies=inverse_frequencies(config).to(device),
            cache=PagedCache(
                layers=config.layers,
                kv_heads=config.kv_heads,
                head_dim=config.head_dim,
                capacity_tokens=-(-cache_tokens // PAGE_TOKENS) * PAGE_TOKENS,
                dtype=embedding.dtype,
                device=embedding.device,
            ),
            adapters=None
            if adapters is None
            else LoadedAdapters(adapters, config, embedding.dtype, embedding.device),
        )

    @property
    def capacity_tokens(self) -> int:
        """See `CacheBudget`."""
        return self.cache.capacity_tokens

    @property
    def free_tokens(self) -> int:
        """See `CacheBudget`."""
        return self.cache.free_tokens

    @property
    def page_tokens(self) -> int:
        """See `CacheBudget`."""
        return PAGE_TOKENS

    def adapted(self, adapter_id: str) -> AdaptedLlama:
        """See `AdapterModel`.

        Raises:
            UnsupportedFeatureError: the model was loaded without a folder of adapters.
            ParameterError: there is no such adapter.
            ModelFormatError: its files are damaged or do not fit the model.
        """
        if self.adapters is None:
            raise UnsupportedFeatureError("adapter_id", "the model has no folder of adapters")
        return AdaptedLlama(self, self.adapters.load(adapter_id))

    def start(self) -> LlamaState:
        """See `StartingModel`."""
        return self.cache.start()

    @torch.inference_mode()
    def prefill(
        self, prompts: Sequence[Sequence[int]], *, all_positions: bool = False
    ) -> tuple[list[LlamaState], Tensor]:
        """See `CachedModel.prefill`."""
        return self.prefill_adapted(prompts, None, all_positions=all_positions)

    def prefill_adapted(
        self, prompts: Sequence[Sequence[int]], adapter: LoraAdapter | None, *, all_positions: bool
    ) -> tuple[list[LlamaState], Tensor]:
        """Start sequences with an adapter, or with none; see `CachedModel.prefill`."""
        states = [self.cache.start(adapter) for _ in prompts]
        try:
            return states, self.extend(states, prompts, all_positions=all_positions)
        except BaseException:
            for state in states:
                self.cache.release(state)
            raise

    @torch.inference_mode()
    def extend(
        self,
        states: Sequence[LlamaState],
        token_ids: Sequence[Sequence[int]],
        *,
        all_positions: bool = False,
    ) -> Tensor:
        """See `CachedModel.extend`; raises CapacityError where the cache is full."""
        flat = self._checked(states, token_ids)
        counts = [len(ids) for ids in token_ids]
        self.cache.reserve(states, counts)
        hidden = self._forward(flat, states, counts)
        for state, count in zip(states, counts, strict=True):
            state.length += count
        if not all_positions:
            hidden = hidden[torch.tensor(counts, device=hidden.device).cumsum(0) - 1]
        hidden = rms_norm(hidden, hidden.shape[-1:], self.norm, self.config.norm_eps)
        return linear(hidden, self.output).float()

    def fork(self, state: LlamaState) -> LlamaState:
        """See `CachedModel.fork`; the copy shares what is in the cache."""
        pages_of(state)
        return self.cache.fork(state)

    def rollback(self, state: LlamaState, count: int) -> None:
        """See `CachedModel.rollback`; raises ParameterError for more tokens than there are."""
        pages_of(state)
        check_rollback(count, state.length)
        self.cache.rollback(state, count)

    def release(self, state: LlamaState) -> None:
        """See `CachedModel.release`; releasing twice is harmless."""
        self.cache.release(state)

    def _checked(self, states: Sequence[LlamaState], token_ids: Sequence[Sequence[int]]) -> Tensor:
        """All new ids in one tensor, once everything about the call is known to be legal."""
        check_states(states, token_ids)
        for state in states:
            pages_of(state)
        check_lengths([state.length for state in states], token_ids, self.config.context_length)
        check_token_range(token_ids, self.config.vocab_size)
        flat = [token for ids in token_ids for token in ids]
        return torch.tensor(flat, device=self.embedding.device)

    def _forward(self, flat: Tensor, states: Sequence[LlamaState], counts: list[int]) -> Tensor:
        """The residual stream `(tokens, hidden)` before the last norm; fills the cache."""
        config, eps = self.config, self.config.norm_eps
        storage = self.cache.storage()
        positions, slots, groups = layout(states, counts, storage)
        adapted = _rows_by_adapter(states, counts, flat.device)
        angles = positions[:, None].float() * self.inverse_frequencies
        cosine, sine = (f.to(self.embedding.dtype)[:, None] for f in (angles.cos(), angles.sin()))
        hidden = self.embedding[flat]
        for index, layer in enumerate(self.layers):
            lora = [(rows, adapter.layers[index]) for rows, adapter in adapted]
            normed = rms_norm(hidden, hidden.shape[-1:], layer.attention_norm, eps)
            qkv = _added(layer.qkv(normed), normed, [(rows, item.qkv) for rows, item in lora])
            heads = qkv.view(len(flat), -1, config.head_dim)
            values = heads[:, -config.kv_heads :]
            turned = heads[:, : -config.kv_heads]
            if layer.query_norm is not None and layer.key_norm is not None:
                queries, keys = turned[:, : config.heads], turned[:, config.heads :]
                queries = rms_norm(queries, queries.shape[-1:], layer.query_norm, eps)
                keys = rms_norm(keys, keys.shape[-1:], layer.key_norm, eps)
                turned = torch.cat((queries, keys), 1)
            turned = _rotate(turned, cosine, sine)
            queries, keys = turned[:, : config.heads], turned[:, config.heads :]
            pages = storage[index]
            pages.view(-1, *pages.shape[2:]).index_copy_(0, slots, torch.stack((keys, values), 1))
            attended = torch.empty_like(queries)
            for group in groups:
                group.attend(queries, pages, attended)
            mixed = attended.flatten(1)
            hidden = hidden + _added(
                layer.output(mixed), mixed, [(rows, item.output) for rows, item in lora]
            )
            normed = rms_norm(hidden, hidden.shape[-1:], layer.mlp_norm, eps)
            both = _added(
                layer.gate_up(normed), normed, [(rows, item.gate_up) for rows, item in lora]
            )
            gate, up = both.chunk(2, -1)
            inner = silu(gate) * up
            hidden = hidden + _added(
                layer.down(inner), inner, [(rows, item.down) for rows, item in lora]
            )
        return hidden


@dataclass(frozen=True, slots=True, eq=False)
class AdaptedLlama:
    """A model whose new sequences are computed with an adapter; see `AdaptedModel`."""

    model: LlamaModel = field(repr=False)
    adapter: LoraAdapter

    @property
    def key(self) -> object:
        """See `AdaptedModel`."""
        return self.adapter

    def start(self) -> LlamaState:
        """See `StartingModel`."""
        return self.model.cache.start(self.adapter)

    @torch.inference_mode()
    def prefill(
        self, prompts: Sequence[Sequence[int]], *, all_positions: bool = False
    ) -> tuple[list[LlamaState], Tensor]:
        """See `CachedModel.prefill`."""
        return self.model.prefill_adapted(prompts, self.adapter, all_positions=all_positions)


def _rows_by_adapter(
    states: Sequence[LlamaState], counts: Sequence[int], device: torch.device
) -> list[tuple[Tensor, LoraAdapter]]:
    """The rows of a call that each adapter is applied to."""
    found: dict[int, tuple[LoraAdapter, list[int]]] = {}
    first = 0
    for state, count in zip(states, counts, strict=True):
        if state.adapter is not None:
            _, rows = found.setdefault(id(state.adapter), (state.adapter, []))
            rows += range(first, first + count)
        first += count
    return [(torch.tensor(rows, device=device), adapter) for adapter, rows in found.values()]


def _added(
    outputs: Tensor, inputs: Tensor, adapted: Sequence[tuple[Tensor, LoraPair | None]]
) -> Tensor:
    """The outputs of a linear layer with what adapters add to some of its rows."""
    for rows, pair in adapted:
        if pair is not None:
            outputs.index_add_(0, rows, linear(linear(inputs[rows], pair.down), pair.up))
    return outputs


def _rotate(heads: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotate `(tokens, heads, head_dim)` by the angles of each token's position."""
    left, right = heads.chunk(2, -1)
    return torch.cat((left * cosine - right * sine, right * cosine + left * sine), -1)
