"""The tables of the long checks, from small results."""

from __future__ import annotations

import json
from typing import Any

from benchmarks import RESULTS, proof_tables, tables


def run_of(backend: str, way: str, name: str, seed: int, rows: int, broken: str = "") -> Any:
    return {
        "backend": backend, "way": way, "format": name, "claim": "TopP(top_p=0.9)", "seed": seed,
        "rows": rows, "broken": broken,
    }  # fmt: skip


def test_rows_and_violations_are_counted_by_place() -> None:
    runs = [
        run_of("numpy", "edit", "float32", 5, 1000),
        run_of("numpy", "edit", "float32", 6, 1),
        run_of("numpy", "edit", "float64", 7, 500),
        run_of("triton", "step", "float32", 8, 0, "a counterexample"),
    ]
    assert (
        proof_tables.render_laws(runs)
        == """\
1,501 rows, 1 violations; seeds 5 to 8.

|  | float32 | float64 | violations |
| --- | ---: | ---: | ---: |
| numpy, edit | 1,001 | 500 | 0 |
| triton, step | – | – | 1 |
"""
    )


def test_masks_are_counted_in_both_directions() -> None:
    engines = {
        "ours": {"schemas": {"compiled": 9, "exact": 9}, "tokens": {"required": 1200}},
        "peer": {
            "schemas": {"compiled": 8, "refused": 1, "over": 2},
            "tokens": {"required": 1100, "over": 3, "under": 4},
        },
    }
    lines = proof_tables.mask_table(engines).splitlines()
    assert "| schemas with exact masks | 9 | 0 |" in lines
    assert "| refused though something is valid | 0 | 1 |" in lines
    assert "| tokens that must be allowed | 1,200 | 1,100 |" in lines
    assert "| of these refused (over-constraint) | 0 | 3 |" in lines
    assert "| of these allowed (under-constraint) | 0 | 4 |" in lines
    versions = {"llguidance": "1", "xgrammar": "2", "jsonschema": "3"}
    text = proof_tables.render_masks(
        {"drawn": 1000, "published": 60, "seed": 0, "versions": versions, "engines": engines}
    )
    assert text.startswith(
        "1,000 schemas drawn with seed 0 and 60 parts of schemas from packages;"
        " llguidance 1, xgrammar 2;"
    )


def test_the_page_shows_the_committed_results() -> None:
    page = tables.TESTING.read_text("utf-8")
    for markers, block in tables.testing_blocks().items():
        assert tables.block_of(page, markers) == block


def test_the_committed_results_are_what_is_claimed() -> None:
    laws = [json.loads(line) for line in (RESULTS / tables.LAWS).read_text("utf-8").splitlines()]
    assert sum(run["rows"] for run in laws) >= 1_000_000
    assert not [run for run in laws if run["broken"]]
    assert len({run["seed"] for run in laws}) == len(laws)
    masks = json.loads((RESULTS / tables.EXACT_MASKS).read_text("utf-8"))
    assert masks["drawn"] >= 1000
    assert masks["published"] >= 500
    assert {"ours", "llguidance", "xgrammar"} <= masks["engines"].keys()
    ours = masks["engines"]["ours"]
    assert ours["schemas"]["exact"] == ours["schemas"]["compiled"]
