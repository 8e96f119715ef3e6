"""Ranks in processes of their own, over gloo, beside one process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from decoding import Sampler
from decoding.distributed import VocabularyParallel
from decoding.errors import ParameterError

pytest.importorskip("torch")

PROGRAM = Path(__file__).with_name("gloo_ranks.py")


def ranks(world: int, steps: int, width: int) -> list[dict[str, Any]]:
    command = [sys.executable, str(PROGRAM), str(world), str(steps), str(width)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def check(world: int, steps: int, width: int) -> list[list[int]]:
    """Run the ranks; returns their texts, which are those of one process."""
    found = ranks(world, steps, width)
    assert [len(text) for text in found[0]["texts"]] == [steps] * 6
    assert all(rank["texts"] == found[0]["texts"] for rank in found)
    assert found[0]["different"] == 0
    assert found[0]["furthest"] < 1e-9
    assert all(rank["bytes"] <= 6_000 for rank in found)
    assert len({rank["error"] for rank in found}) == 1
    texts: list[list[int]] = found[0]["texts"]
    return texts


@pytest.mark.slow
def test_twenty_steps() -> None:
    check(2, 20, 1_500)


@pytest.mark.nightly
def test_a_thousand_steps() -> None:
    assert check(1, 1000, 49_152) == check(2, 1000, 49_152) == check(4, 1000, 49_152)


def test_without_a_group_it_says_what_is_missing() -> None:
    with pytest.raises(ParameterError, match="init_process_group"):
        VocabularyParallel(None, [Sampler()])
