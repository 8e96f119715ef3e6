"""A cheap digest of a model's files, which tells two models apart without reading them whole."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from decoding.models.files import require_regular

_SAMPLES, _SAMPLE_BYTES = 256, 4096
_HEAD_BYTES = 1 << 20


def fingerprint_of(paths: Iterable[Path], dtype: str) -> str:
    """Digest of model files: names, sizes, first MiB, and 256 samples of 4 KiB of each.

    A model that was trained on differs in every sample of its weights, so that the digest differs;
    one that was changed in a few bytes on purpose need not. About 2 MiB a file are read.

    paths: the configuration and the weights; the order does not count. dtype: that the weights are
    held in, which the digest ends with.

    Raises:
        ModelFormatError: a file cannot be read.
    """
    digest = hashlib.sha256()
    for path in sorted(paths, key=lambda item: item.name):
        size = require_regular(path)
        digest.update(os.fsencode(path.name) + f"\0{size}\0".encode())
        with path.open("rb") as stream:
            digest.update(stream.read(_HEAD_BYTES))
            for sample in range(_SAMPLES if size > _HEAD_BYTES else 0):
                stream.seek(size * sample // _SAMPLES)
                digest.update(stream.read(_SAMPLE_BYTES))
    return f"{digest.hexdigest()[:32]}-{dtype}"
