"""A paged KV cache: the keys and values of all sequences of a model, in one block of memory.

A page holds the keys and values of `PAGE_TOKENS` consecutive tokens of one sequence, for all
layers. A fork shares its parent's pages; whoever writes into a page that others may share copies it
first.

Which pages are in use follows from the states that are alive: when no free page is known, the pages
of all living states are marked and the others are free. So no interrupt and no forgotten state
loses a page for longer than that.

Source: Kwon et al. 2023, "Efficient Memory Management for Large Language Model Serving with
PagedAttention", arXiv:2309.06180.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from weakref import WeakSet

import numpy as np

from decoding.errors import CapacityError, MissingDependencyError
from decoding.models.cached_calls import in_use
from decoding.typing import Anything

try:
    import torch
    from torch import Tensor
except ImportError as error:
    raise MissingDependencyError("torch", "torch") from error

PAGE_TOKENS = 16
_DEFAULT_CONTEXTS = 32
_UNKNOWN_MEMORY = 4 << 30


@dataclass(slots=True, eq=False, weakref_slot=True)
class CachedSequence:
    """The KV cache of one sequence: its pages and its length.

    pages: numbers of the pages, in the order of the tokens; None once released.
    length: tokens in them. adapter: what the sequence's tokens are computed with besides the model.
    shares_last: whether another sequence may have the last page that is written to, too.
    """

    pages: list[int] | None = field(default_factory=list)
    length: int = 0
    adapter: Any = None
    shares_last: bool = False


class PagedCache:
    """The storage of a paged KV cache, and its pages, which sequences take and give back.

    capacity_tokens: most tokens that all sequences can hold together, in whole pages.
    On a CPU the operating system provides the memory as pages are first written.
    """

    def __init__(
        self,
        *,
        layers: int,
        kv_heads: int,
        head_dim: int,
        capacity_tokens: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self._shape = layers, kv_heads, head_dim
        self._page_count = max(1, capacity_tokens // PAGE_TOKENS)
        self._dtype, self._device = dtype, device
        self._living: WeakSet[CachedSequence] = WeakSet()
        self._lock = threading.Lock()
        self._storage: Tensor | None = None
        # Page 0 stays zero: what is not there is read from it. The context that a file claims may
        # have more pages than a list can hold: those that were never used are only counted.
        self._free: list[int] = []
        self._unused = 1

    def __reduce__(self) -> tuple[Any, ...]:
        # Of a copy, no sequence is known.
        return _empty_cache, (*self._shape, self.capacity_tokens, self._dtype, self._device)

    @property
    def capacity_tokens(self) -> int:
        """Most tokens that all sequences can hold together."""
        return self._page_count * PAGE_TOKENS

    @property
    def free_tokens(self) -> int:
        """How many tokens there are whole free pages for."""
        with self._lock:
            return (self._page_count - len(self._used())) * PAGE_TOKENS

    def start(self, adapter: Anything = None) -> CachedSequence:  # the model's own
        """Start a sequence without tokens."""
        state = CachedSequence(adapter=adapter)
        with self._lock:
            self._living.add(state)
        return state

    def fork(self, state: CachedSequence) -> CachedSequence:
        """Copy a sequence; the copy shares its pages until one of them writes."""
        copy = self.start(state.adapter)
        with self._lock:
            state.shares_last = copy.shares_last = True
            copy.pages = pages_of(state)[: _pages_for(state.length)]
            copy.length = state.length
        return copy

    def rollback(self, state: CachedSequence, count: int) -> None:
        """Forget the last tokens of a sequence."""
        with self._lock:
            state.shares_last = True  # the page that is the last one now may have been shared
            state.length -= count
            del pages_of(state)[_pages_for(state.length) :]

    def release(self, state: CachedSequence) -> None:
        """Give back all pages of a sequence, which must not be used again."""
        with self._lock:
            state.pages, state.length, state.adapter = None, 0, None
            self._living.discard(state)

    def reserve(self, states: Sequence[CachedSequence], counts: Sequence[int]) -> None:
        """Give sequences pages of their own, in place, for their next tokens.

        Raises:
            CapacityError: there are not enough; no sequence has changed.
        """
        with self._lock:
            wanted = [
                max(0, _pages_for(state.length + count) - len(pages_of(state))) + _copies(state)
                for state, count in zip(states, counts, strict=True)
            ]
            if sum(wanted) > self._count_free():
                used = self._used()
                self._free = [page for page in range(self._unused - 1, 0, -1) if page not in used]
            if sum(wanted) > self._count_free():
                free = self._count_free() * PAGE_TOKENS
                raise CapacityError(sum(wanted) * PAGE_TOKENS, free, "tokens are free")
            for state, count in zip(states, counts, strict=True):
                self._make_room(state, count)

    def _make_room(self, state: CachedSequence, count: int) -> None:
        pages = pages_of(state)
        storage = self.storage()
        if _copies(state):
            page, last = self._take(), state.length // PAGE_TOKENS
            storage[:, page] = storage[:, pages[last]]
            pages[last] = page
        state.shares_last = False
        missing = _pages_for(state.length + count) - len(pages)
        if missing > 0:
            fresh = [self._take() for _ in range(missing)]
            # What an earlier owner left may be no numbers, and 0 · NaN is NaN.
            storage[:, fresh] = 0
            pages += fresh

    def _count_free(self) -> int:
        return len(self._free) + self._page_count + 1 - self._unused

    def _take(self) -> int:
        """Take a page that is free; one that was used before, if there is any."""
        if self._free:
            return self._free.pop()
        self._unused += 1
        return self._unused - 1

    def storage(self) -> Tensor:
        """`(layers, pages, PAGE_TOKENS, 2, kv_heads, head_dim)`: keys, then values.

        Raises:
            CapacityError: there is no memory for all pages.
        """
        if self._storage is None:
            layers, kv_heads, head_dim = self._shape
            shape = (layers, self._page_count + 1, PAGE_TOKENS, 2, kv_heads, head_dim)
            try:
                self._storage = _zeros(shape, self._dtype, self._device)
            except (MemoryError, torch.OutOfMemoryError) as error:
                wanted = self._page_count * PAGE_TOKENS
                raise CapacityError(wanted, 0, "fit into memory") from error
        return self._storage

    def _used(self) -> set[int]:
        return {page for state in self._living if state.pages for page in state.pages}


def pages_of(state: CachedSequence) -> list[int]:
    """The pages of a sequence.

    Raises:
        ParameterError: it was released.
    """
    return in_use(state.pages)


def default_capacity(context_length: int, token_bytes: int, device: torch.device) -> int:
    """Tokens for 32 whole contexts, or for half of the memory that is available where that is less.

    token_bytes: what the keys and values of one token take.
    """
    room = int(_available_memory(device) // 2 // token_bytes)
    return max(PAGE_TOKENS, min(_DEFAULT_CONTEXTS * context_length, room))


def _available_memory(device: torch.device) -> float:
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        for line in Path("/proc/meminfo").read_text("ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return min(int(line.split()[1]) * 1024, _left_to_process())
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (OSError, ValueError, AttributeError):
        return _UNKNOWN_MEMORY


def _empty_cache(*arguments: Anything) -> PagedCache:  # those of `__reduce__`
    names = ("layers", "kv_heads", "head_dim", "capacity_tokens", "dtype", "device")
    return PagedCache(**dict(zip(names, arguments, strict=True)))


def _pages_for(tokens: int) -> int:
    return -(-tokens // PAGE_TOKENS)


def _copies(state: CachedSequence) -> int:
    """How many pages are copied before the sequence grows: one, or none."""
    return int(state.shares_last and state.length % PAGE_TOKENS > 0)


def _left_to_process() -> float:
    """The bytes that Linux lets this process take beside those that it has; infinity: no limit."""
    import resource

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return math.inf
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
    return max(0, limit - pages * resource.getpagesize())


def _zeros(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    if device.type != "cpu":
        return torch.zeros(shape, dtype=dtype, device=device)
    # NumPy leaves it to the operating system to clear memory when it is first used.
    width = dtype.itemsize
    words = np.zeros(shape, np.int32 if width == 4 else np.int16)
    return torch.from_numpy(words).view(dtype)
