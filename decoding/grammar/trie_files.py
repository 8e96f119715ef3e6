"""The tries of large vocabularies, kept on disk: every process would build the same."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import warnings
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

from decoding.cache import cache_folder
from decoding.grammar.trie import Trie, build_trie, trie_of
from decoding.kernels.folders import make_private

_FORMAT = b"1"
"""To be changed with the layout of nodes, or what belongs to which trie."""
_ARRAYS = ("bare", "bare_twins", "quoted", "quoted_twins")
_KINDS = [(np.dtype(np.uint64), ()), (np.dtype(np.int32), (2,))] * 2
"""Their types, and their shapes but for the lengths."""
_LARGE = 10_000
"""Below so many tokens, building is faster than reading."""


def tries(spelled: Sequence[bytes]) -> tuple[Trie, Trie]:
    """The tries of the tokens without and with a double quote; index = token id.

    Those of a large vocabulary are looked for in `cache_folder()`, under a hash of all that is
    spelled, and written there: whole or not at all, and not where that cannot be done. Nothing is
    read from a folder that others can write to, and a damaged file is written again; a warning says
    either.
    """
    if len(spelled) < _LARGE:
        return _built(spelled)
    folder = _folder(cache_folder() / "tries")
    if folder is None:
        return _built(spelled)
    path = folder / f"{_name(spelled)}.npz"
    try:
        return _read(path)
    except FileNotFoundError:
        pass
    except Exception as error:  # noqa: BLE001 -- a damaged file may raise anything
        warnings.warn(
            f"{path} is damaged ({type(error).__name__}): it is made again",
            RuntimeWarning,
            stacklevel=2,
        )
    made = _built(spelled)
    with contextlib.suppress(OSError):
        _write(path, *made)
    return made


@cache
def _folder(folder: Path) -> Path | None:
    """The folder, where it can be used; None where it cannot."""
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


def _read(path: Path) -> tuple[Trie, Trie]:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as found:
        arrays = [found[name] for name in _ARRAYS]
    if [(array.dtype, array.shape[1:]) for array in arrays] != _KINDS:
        raise ValueError("not what was written")
    bare, bare_twins, quoted, quoted_twins = arrays
    return trie_of(bare, bare_twins), trie_of(quoted, quoted_twins)


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
