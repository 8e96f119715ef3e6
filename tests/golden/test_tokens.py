"""Golden tokens: a seed draws the same tokens on all machines, backends and versions.

`tokens.json` is written by `make golden` alone (this file run as a script). A change of it breaks
everyone who has stored a seed, and needs an entry in the changelog.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from decoding import __version__
from decoding.history import History
from decoding.pipeline import Pipeline, chain
from decoding.processors import MinP, RepetitionPenalty, Temperature, TopK, TopP, TypicalP
from decoding.sampling.batch import Sample, Sampler, sample

FILE = Path(__file__).with_name("tokens.json")

PIPELINES: dict[str, Pipeline] = {
    "none": chain(),
    "temperature": chain(Temperature(0.75)),
    "chain": chain(RepetitionPenalty(1.25), Temperature(0.8), TopK(40), TopP(0.9)),
    "min_p": chain(Temperature(1.5), MinP(0.05)),
    "typical": chain(TypicalP(0.8)),
}
SEEDS = (0, 1, 42, 2**32 + 7, 2**63, 2**64 - 1)
WIDTHS = (1, 5, 1000, 49_152)
POSITIONS = 3


def row(width: int, position: int) -> Any:
    """Logits made of exact arithmetic only, in (−6, 6): the same bits on every machine."""
    scrambled = (np.arange(width, dtype=np.uint64) * 2_654_435_761 + 97 * position) % 2**16
    return (scrambled.astype(np.float32) / 2**16 * 12 - 6)[np.newaxis]


def draw(pipeline: Pipeline, width: int, seed: int) -> list[int]:
    tokens: list[int] = []
    for position in range(POSITIONS):
        history = History.of([[0]], [tokens])
        [drawn] = sample(row(width, position), history, [Sampler(pipeline, seed)])
        assert isinstance(drawn, Sample)
        tokens.append(drawn.token_id)
    return tokens


def table() -> dict[str, list[int]]:
    return {
        f"{name}/{width}/{seed}": draw(pipeline, width, seed)
        for name, pipeline in PIPELINES.items()
        for width in WIDTHS
        for seed in SEEDS
    }


@pytest.mark.parametrize("name", PIPELINES)
def test_golden_tokens(name: str) -> None:
    golden = json.loads(FILE.read_text())["tokens"]
    for width in WIDTHS:
        for seed in SEEDS:
            assert draw(PIPELINES[name], width, seed) == golden[f"{name}/{width}/{seed}"]


def test_the_file_holds_this_table_and_no_other() -> None:
    keys = {f"{name}/{width}/{seed}" for name in PIPELINES for width in WIDTHS for seed in SEEDS}
    assert set(json.loads(FILE.read_text())["tokens"]) == keys


if __name__ == "__main__":
    document = {
        "generator": "tests/golden/test_tokens.py",
        "version": __version__,
        "date": datetime.now(tz=UTC).date().isoformat(),
        "tokens": table(),
    }
    lines = json.dumps(document, indent=1).replace(",\n   ", ", ").replace("[\n   ", "[")
    FILE.write_text(lines.replace("\n  ]", "]") + "\n")
    sys.stdout.write(f"wrote {FILE}\n")
