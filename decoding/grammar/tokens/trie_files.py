"""Makes a vocabulary's token tries; caches those of large vocabularies on disk."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import warnings
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from decoding.cache import cache_folder
from decoding.grammar.tokens.trie import Trie, build_trie, trie_of
from decoding.kernels.folders import make_private
from decoding.kernels.grammar.trie_nodes import DEPTH, DEPTH_AT, SIZE_AT, TOKEN, TOKEN_AT

_FORMAT = b"1"
"""The version of the format of nodes and of the split into two tries."""
_LARGE = 10_000
"""Below so many tokens, building is faster than reading."""


def tries(spelled: Sequence[bytes]) -> tuple[Trie, Trie]:
    """The tries of the tokens without and with a double quote; index = token id.

    The tries of a large vocabulary are read from `cache_folder()`, under a hash of all token bytes,
    or built and written there: atomically, and not where the folder cannot be written. Nothing is
    read from a folder that others can write to; a damaged file is built again. Both give a warning.
    """
    if len(spelled) < _LARGE:
        return _built(spelled)
    folder = _folder(cache_folder() / "tries")
    if folder is None:
        return _built(spelled)
    path = folder / f"{_name(spelled)}.npz"
    try:
        return _read(path, len(spelled))
    except FileNotFoundError:
        pass
    except Exception as error:  # a damaged file may raise anything
        warnings.warn(
            f"{path} is damaged ({type(error).__name__}): it is built again",
            RuntimeWarning,
            stacklevel=2,
        )
    made = _built(spelled)
    with contextlib.suppress(OSError):
        _write(path, *made)
    return made


@cache
def _folder(folder: Path) -> Path | None:
    """The folder, or `None` where it cannot be used."""
    try:
        reason = make_private(folder)
    except OSError:
        return None
    if reason is not None:
        warnings.warn(f"{reason}: token tries are not kept", RuntimeWarning, stacklevel=2)
        return None
    return folder


def _built(spelled: Sequence[bytes]) -> tuple[Trie, Trie]:
    pairs = list(enumerate(spelled))
    bare = build_trie([pair for pair in pairs if b'"' not in pair[1]])
    return bare, build_trie([pair for pair in pairs if b'"' in pair[1]])


def _name(spelled: Sequence[bytes]) -> str:
    lengths = np.fromiter(map(len, spelled), np.int64, len(spelled))
    return hashlib.sha256(_FORMAT + lengths.tobytes() + b"".join(spelled)).hexdigest()


def _read(path: Path, tokens: int) -> tuple[Trie, Trie]:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as found:
        return (
            _whole(found["bare"], found["bare_twins"], tokens),
            _whole(found["quoted"], found["quoted_twins"], tokens),
        )


def _whole(nodes: NDArray[Any], twins: NDArray[Any], tokens: int) -> Trie:
    """The trie of these nodes; raises `ValueError` where a walk of them could leave the arrays."""
    if nodes.dtype != np.uint64 or nodes.ndim != 1:
        raise ValueError(nodes.dtype)
    if twins.dtype != np.int32 or twins.ndim != 2 or twins.shape[1:] != (2,):
        raise ValueError(twins.shape)
    depths = (nodes >> np.uint64(DEPTH_AT) & np.uint64(DEPTH)).astype(np.int64)
    ends = np.arange(len(nodes)) + (nodes >> np.uint64(SIZE_AT)).astype(np.int64)
    named = (nodes >> np.uint64(TOKEN_AT) & np.uint64(TOKEN)).astype(np.int64)
    steps = np.diff(depths, prepend=0)
    sizes = np.append(np.flatnonzero(depths == 1), len(nodes))
    if (
        (depths < 1).any()
        or (steps > 1).any()
        or (ends > len(nodes)).any()
        or (ends <= np.arange(len(nodes))).any()
        or (named > tokens).any()
        or not np.array_equal(ends[sizes[:-1]], sizes[1:])
        or ((twins < 0) | (twins >= tokens)).any()
    ):
        raise ValueError("no trie of so many tokens")
    return trie_of(nodes, twins)


def _write(path: Path, bare: Trie, quoted: Trie) -> None:
    descriptor, unfinished = tempfile.mkstemp(dir=path.parent, suffix=".unfinished")
    try:
        with os.fdopen(descriptor, "wb") as file:
            np.savez(
                file,
                bare=bare.nodes,
                bare_twins=bare.twins,
                quoted=quoted.nodes,
                quoted_twins=quoted.twins,
            )
        Path(unfinished).replace(path)
    except BaseException:
        Path(unfinished).unlink(missing_ok=True)
        raise
