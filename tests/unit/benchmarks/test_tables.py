"""README.md's tables equal the committed results."""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks import RESULTS, mask_scores
from benchmarks.tables import (
    BEGIN,
    EMBEDDING,
    EMBEDDING_MARKERS,
    END,
    FILES,
    MASKS,
    README,
    block_of,
    render,
    render_embedding,
    replace_block,
)

MACHINE = {
    "cpu": "A processor",
    "cores": 2,
    "python": "3.11.7",
    "numpy": "2.4.6",
    "numba": "0.68.1",
    "torch": None,
    "transformers": "5.24.0",
    "llama_cpp": None,
    "mlx": None,
    "mlx_lm": None,
    "date": "2026-01-02",
    "threads": 1,
    "commit": "abcdef0",
}


def row(workload: str, microseconds: float | None, **facts: Any) -> dict[str, Any]:
    return {
        "workload": workload,
        "batch": 1,
        "logits": "gaussian",
        "dtype": "float32",
        "vocab": 1000,
        "implementation": "decoding-numba",
        "us_per_row": microseconds,
        "spread": 0.1,
        "x_floor": microseconds and microseconds / 6,
        "faster_than": {},
        "peak_bytes": 100,
        **facts,
    }


HOT_LOOP = {
    "machine": MACHINE,
    "rows": [
        row("greedy", 9.0, faster_than={"llama_cpp": 12.04, "transformers": 3.0}),
        row("greedy", 40.0, implementation="decoding-numpy"),
        row("greedy", 4.0, dtype="bfloat16"),
        row("greedy", 8.0, batch=64),
        row("greedy", 4.44, batch=64, implementation="decoding-numba-2-threads"),
        row("greedy", 99.0, vocab=2**20),
        row("chain", None, error="row 0: rank 2, expected 1"),
        row("typical", 1234.5, faster_than={"transformers": 10.6}),
    ],
}
ENGINE = {
    "machine": MACHINE,
    "rows": [{"batch": 32, "chain": True, "us_per_token": 60.26, "us_around_sampler": 30.0}],
}
PARTS = {
    "machine": MACHINE,
    "vocab": 1000,
    "rows": [{"part": "floor", "us": 1.5, "spread": 0.1, "x_floor": 1.0}],
    "workloads": [
        {
            "workload": "top_p",
            "goal": 11,
            "x_floor": 12.34,
            "needs": ["one pass", "another"],
            "x_floor_of_needs": 10.02,
        }
    ],
}
EXPECTED = """\
Measured on 2026-01-02 at abcdef0: A processor, 1 thread, float32, medians; Python 3.11.7,\
 NumPy 2.4.6, numba 0.68.1, transformers 5.24.0.

Gaussian logits, 1,000 tokens, batch 1. The floor is one `max` over the row; the last columns say\
 how many times as long a peer takes for the same distribution.

| step | µs | × floor | llama.cpp, × | transformers, × | mlx-lm, × | vLLM, × |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |
| greedy, the token alone | 9.0 | 1.5 | 12 | 3.0 | – | – |
| typical-p 0.9 | 1,234 | 206 | – | 11 | – | – |

Microseconds a row in batches of the same; `mixed` has other rows:

| step | batch 1 | batch 64 | batch 64, two threads |
| --- | ---: | ---: | ---: |
| greedy | 9.0 | 8.0 | 4.4 |

The whole loop, microseconds a token: parameters, history, text, stops, details and events, with a\
 forward pass that costs nothing:

| batch | parameters | in all | around the sampler |
| --- | ---: | ---: | ---: |
| 32 | sampling chain | 60 | 30 |

What bounds these: the passes over one such row, each alone. Whatever gives logprobs needs\
 Σ exp over the row. A draw from all tokens needs the noise of every block of 256, and\
 that of the tokens in the few blocks that may hold the winner. A machine with wider vectors has shorter passes, the call stays what it is.

| part | µs | × floor |
| --- | ---: | ---: |
| floor | 1.5 | 1.0 |

So the goal of a workload is out of reach on that machine where the passes that it cannot do\
 without already cost more: the same run, gaussian rows of 128,256 tokens, float32, batch 1\
 (`python -m benchmarks.parts`):

| workload | goal, × floor | × floor | what it needs, × floor | these are |
| --- | ---: | ---: | ---: | ---: |
| top_p | 11 | 12.3 | 10.0 | one pass; another |
"""


def test_the_tables_of_a_small_result() -> None:
    assert render(HOT_LOOP, ENGINE, PARTS) == EXPECTED


def test_only_what_stands_between_the_markers_is_replaced() -> None:
    text = f"# Title\n\n{BEGIN}\nold\n{END}\n\nThe end.\n"
    replaced = replace_block(text, "new\n")
    assert replaced == f"# Title\n\n{BEGIN}\n\nnew\n\n{END}\n\nThe end.\n"
    assert replace_block(replaced, "new\n") == replaced
    assert block_of(replaced) == "new\n"


@pytest.mark.parametrize("text", ["", BEGIN, END, f"{END}{BEGIN}", f"{BEGIN}{END}{BEGIN}"])
def test_markers_must_be_there_once(text: str) -> None:
    with pytest.raises(ValueError, match="needs one"):
        replace_block(text, "new")


def test_the_readme_shows_the_committed_results() -> None:
    paths = [RESULTS / name for name in (*FILES, MASKS, EMBEDDING)]
    if not all(path.exists() for path in paths):
        pytest.skip("no results are committed")
    *results, masks, embedding = [json.loads(path.read_text("utf-8")) for path in paths]
    text = README.read_text("utf-8")
    assert block_of(text) == render(*results)
    markers = mask_scores.BEGIN, mask_scores.END
    assert block_of(text, markers) == mask_scores.render(masks)
    assert block_of(text, EMBEDDING_MARKERS) == render_embedding(embedding)


def test_the_table_of_adapters_has_ours_beside_the_engine_s_own() -> None:
    def figure(engine: str, batch: int, side: str, cost: float | None) -> dict[str, Any]:
        return {
            "engine": engine, "batch": batch, "implementation": side, "us_per_step": cost,
            "vocab": 1000,
        }  # fmt: skip

    rows = [
        figure("one", 1, "ours", 20.0),
        figure("one", 1, "its own", 4.04),
        figure("one", 8, "ours", 101.5),
        figure("other", 1, "ours", None),
    ]
    table = render_embedding({"machine": MACHINE, "rows": rows}).partition("\n\n| ")[2]
    assert table.splitlines() == [
        "engine | batch 1: ours | batch 1: its own | batch 8: ours | batch 8: its own |",
        "| --- | ---: | ---: | ---: | ---: |",
        "| one | 20 | 4.0 | 102 | – |",
        "| other | – | – | – | – |",
    ]
