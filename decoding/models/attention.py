"""Attention over a paged cache: the newest token of many sequences at once, or many of one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from decoding.errors import MissingDependencyError
from decoding.models.kv_cache import PAGE_TOKENS, CachedSequence, pages_of

try:
    import torch
    from torch import Tensor
    from torch.nn.functional import scaled_dot_product_attention
except ImportError as error:
    raise MissingDependencyError("torch", "torch") from error

_QUERY_CHUNK = 256  # bounds the attention scores of a long prompt to (heads, 256, keys)
_MOST_SHARED_PAGES = 16
"""Most pages of a sequence that is attended to together with others, on the host.

A copy of more is read from the processor's cache if it is made and used for one sequence at a time.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Single:
    """Attention for sequences of similar length that have one new token each.

    rows: of the call's tokens; None for all of them. table: `(sequences · pages,)`, their pages,
    filled up with page 0. longest: tokens of the longest. mask: `(sequences, 1, 1, longest)`, True
    where a sequence has a token; None where all are as long.
    """

    rows: Tensor | None
    count: int
    table: Tensor
    longest: int
    mask: Tensor | None

    def attend(self, queries: Tensor, pages: Tensor, out: Tensor) -> None:
        """Compute the attention of these rows into `out`, shaped as `queries`.

        queries: `(tokens, heads, head_dim)`. pages: one layer of `PagedCache.storage`.
        """
        own = queries if self.rows is None else queries[self.rows]
        keys, values = _gathered(pages, self.table, self.count, self.longest)
        # The heads that share a key-value head are as many queries of it: keys are not repeated.
        grouped = own.view(self.count, keys.shape[1], -1, own.shape[-1])
        mixed = scaled_dot_product_attention(grouped, keys, values, attn_mask=self.mask)
        rows = slice(None) if self.rows is None else self.rows
        out[rows] = mixed.reshape(own.shape)


@dataclass(frozen=True, slots=True, eq=False)
class Several:
    """Attention for one sequence with several new tokens: rows `first` to `last` of the call.

    table: its pages. total: its tokens, the new ones included.
    """

    first: int
    last: int
    table: Tensor
    total: int

    def attend(self, queries: Tensor, pages: Tensor, out: Tensor) -> None:
        """Compute the attention, as `Single.attend` does."""
        keys, values = _gathered(pages, self.table, 1, self.total)
        rows = slice(self.first, self.last)
        attend_causally(queries[rows], keys[0], values[0], out[rows])


@dataclass(frozen=True, slots=True, eq=False)
class Alone:
    """Attention for one long sequence that has one new token, on the host.

    row: of the call's tokens. pages: a slice where they follow each other, else their numbers.
    total: its tokens, the new one included. copy: `(pages, PAGE_TOKENS, 2, kv_heads, head_dim)`,
    where the pages of all such sequences are gathered, one sequence after the other.
    """

    row: int
    pages: slice | Tensor
    total: int
    copy: Tensor

    def attend(self, queries: Tensor, pages: Tensor, out: Tensor) -> None:
        """Compute the attention, as `Single.attend` does."""
        if isinstance(self.pages, slice):
            own = pages[self.pages]
        else:
            own = self.copy[: len(self.pages)]
            torch.index_select(pages, 0, self.pages, out=own)
        keys, values = _keys_and_values(own, 1, self.total)
        query = queries[self.row].view(1, keys.shape[1], -1, queries.shape[-1])
        mixed = scaled_dot_product_attention(query, keys, values)
        out[self.row] = mixed.reshape(out.shape[1:])


Group: TypeAlias = Single | Several | Alone


def layout(
    states: Sequence[CachedSequence], counts: Sequence[int], storage: Tensor
) -> tuple[Tensor, Tensor, list[Group]]:
    """The cache slots of a call's new tokens, and the plan of their attention.

    The states have pages for them and do not count them yet. storage: `PagedCache.storage`.

    Returns positions `(tokens,)`, slots `(tokens,)` of the flat cache, and groups that cover all
    tokens. A sequence's group depends on its own length, in powers of two, and so does what it is
    filled up to, at most twice its length.
    """
    device = storage.device
    positions: list[int] = []
    slots: list[int] = []
    groups: list[Group] = []
    singles: dict[int, list[tuple[int, CachedSequence]]] = {}
    long: list[tuple[int, CachedSequence]] = []
    for state, count in zip(states, counts, strict=True):
        first, pages = len(positions), pages_of(state)
        new = range(state.length, state.length + count)
        positions += new
        slots += [pages[i // PAGE_TOKENS] * PAGE_TOKENS + i % PAGE_TOKENS for i in new]
        if count == 1 and len(pages) > _MOST_SHARED_PAGES and device.type == "cpu":
            long.append((first, state))
        elif count == 1:
            singles.setdefault((len(pages) - 1).bit_length(), []).append((first, state))
        else:
            table = torch.tensor(pages, device=device)
            groups.append(Several(first, first + count, table, state.length + count))
    groups += _single_groups(list(singles.values()), len(positions), device)
    groups += _long_groups(long, storage)
    return torch.tensor(positions, device=device), torch.tensor(slots, device=device), groups


def _single_groups(
    buckets: Sequence[Sequence[tuple[int, CachedSequence]]], tokens: int, device: torch.device
) -> Iterator[Single]:
    for bucket in buckets:
        lengths = [state.length + 1 for _, state in bucket]
        longest = max(lengths)
        width = -(-longest // PAGE_TOKENS)
        table = [
            page
            for _, state in bucket
            for page in [*pages_of(state)[:width], *[0] * (width - len(pages_of(state)))]
        ]
        mask = None
        if min(lengths) < longest:
            ends = torch.tensor(lengths, device=device)
            mask = (torch.arange(longest, device=device) < ends[:, None])[:, None, None]
        rows = None
        if len(bucket) < tokens:
            rows = torch.tensor([row for row, _ in bucket], device=device)
        yield Single(rows, len(bucket), torch.tensor(table, device=device), longest, mask)


def _long_groups(
    sequences: Sequence[tuple[int, CachedSequence]], storage: Tensor
) -> Iterator[Alone]:
    tables = [pages_of(state)[: state.length // PAGE_TOKENS + 1] for _, state in sequences]
    runs = [table == list(range(table[0], table[0] + len(table))) for table in tables]
    widest = max((len(t) for t, is_run in zip(tables, runs, strict=True) if not is_run), default=0)
    copy = storage.new_empty((widest, *storage.shape[2:]))
    for (row, state), table, is_run in zip(sequences, tables, runs, strict=True):
        pages = slice(table[0], table[-1] + 1) if is_run else torch.tensor(table)
        yield Alone(row, pages, state.length + 1, copy)


def _gathered(pages: Tensor, table: Tensor, count: int, longest: int) -> tuple[Tensor, Tensor]:
    """Keys and values `(count, kv_heads, longest, head_dim)` of the pages of `count` sequences."""
    return _keys_and_values(pages.index_select(0, table), count, longest)


def _keys_and_values(pages: Tensor, count: int, longest: int) -> tuple[Tensor, Tensor]:
    """The keys and values of pages that are in the order of the sequences."""
    flat = pages.view(count, -1, *pages.shape[2:])[:, :longest]
    keys, values = flat.permute(2, 0, 3, 1, 4).unbind()
    return keys, values


def attend_causally(queries: Tensor, keys: Tensor, values: Tensor, out: Tensor) -> None:
    """Causal attention of a sequence's newest tokens; writes `out`, shaped as `queries`.

    queries: `(tokens, heads, head_dim)`; keys and values: `(kv_heads, keys, head_dim)`, those of
    the newest tokens at the end.
    """
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
