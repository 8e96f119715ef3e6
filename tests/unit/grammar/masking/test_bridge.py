"""Masks are there at once, by NumPy and Python, and kernels that come later change none of them."""

from __future__ import annotations

import importlib
import random
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from mask_cases import END, SCHEMAS, SPELLED, token_table_of_pieces
from profiles import spread

from decoding import compilation
from decoding.errors import ParameterError
from decoding.grammar import (
    CompiledGrammar,
    Machine,
    compile_gbnf,
    compile_json_schema,
    compile_lark,
    compile_regex,
)
from decoding.grammar.masking.routes import BRIDGED, KERNELS
from decoding.kernels.grammar.entries import Entry
from decoding.kernels.grammar.loading import AUTOMATA, NESTED

RULES = r"""
    root ::= value
    value ::= object | array | text | number | "true" | "null"
    object ::= "{" (text ":" value ("," text ":" value)*)? "}"
    array ::= "[" (value ("," value)*)? "]"
    text ::= "\"" [^"\\]* "\""
    number ::= "-"? [0-9]+ ("." [0-9]+)?
"""
LARK = """
    start: sum
    sum: sum "+" product | product
    product: NAME | "(" sum ")"
    NAME: /[a-z"]+/
"""
GRAMMARS: dict[str, Callable[[Machine], CompiledGrammar]] = {
    **{
        f"schema{number}": lambda machine, schema=schema: compile_json_schema(schema, machine)
        for number, schema in enumerate(SCHEMAS)
    },
    "regex": lambda machine: compile_regex(r"([a-z]{2,9} ?)+\d*(\.\d+)?", machine),
    "gbnf": lambda machine: compile_gbnf(RULES, machine),
    "lark": lambda machine: compile_lark(LARK, machine),
}
ENTRIES: list[Entry] = [
    getattr(importlib.import_module(unit.source), unit.name.partition(".")[2])
    for group in (AUTOMATA, NESTED)
    for unit in group.units
]


class Switch:
    """Runs kernels as Python until they are switched back."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._compiled = {entry: entry._compiled for entry in ENTRIES}
        for entry in ENTRIES:
            monkeypatch.setattr(entry, "_compiled", None)

    def back(self, entry: Entry) -> None:
        entry._compiled = self._compiled[entry]


@pytest.fixture(autouse=True)
def compiled() -> None:
    pytest.importorskip("numba")
    for group in (AUTOMATA, NESTED):
        compilation.loader().wait(group)


def walked(grammar: CompiledGrammar, seed: int, before_step: Callable[[int], None]) -> Iterator[
    tuple[bytes, bool]
]:  # fmt: skip
    """The masks along a text that the seed chooses; `before_step` runs before each."""
    rng = random.Random(seed)
    matcher = grammar.matcher()
    for step in range(40):
        before_step(step)
        mask = matcher.mask()
        yield mask.tobytes(), matcher.is_accepting
        bits = np.unpackbits(mask.view(np.uint8), bitorder="little")
        choices = [int(token) for token in np.flatnonzero(bits) if token != END]
        if not choices:
            return
        chosen = max(rng.sample(choices, min(4, len(choices))), key=lambda one: len(SPELLED[one]))
        assert matcher.advance(chosen)


@pytest.mark.parametrize("name", spread(GRAMMARS, 8))
def test_a_switch_in_mid_text_changes_no_mask(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens, seed = token_table_of_pieces(), len(name)
    grammar = GRAMMARS[name](Machine(tokens, route=KERNELS))
    expected = list(walked(grammar, seed, lambda _: None))
    switch = Switch(monkeypatch)
    grammar = GRAMMARS[name](Machine(tokens, route=BRIDGED))
    order = random.Random(seed).sample(ENTRIES, len(ENTRIES))

    def switch_one(step: int) -> None:
        for entry in order[2 * step : 2 * step + 2] if step else ():
            switch.back(entry)

    # Kernels come one after the other in any order, as their machine code is loaded.
    assert list(walked(grammar, seed, switch_one)) == expected


@pytest.mark.parametrize("name", ["schema0", "regex", "gbnf"])
def test_interpreted_masks_are_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = token_table_of_pieces()
    expected = list(walked(GRAMMARS[name](Machine(tokens, route=KERNELS)), 1, lambda _: None))
    Switch(monkeypatch)
    grammar = GRAMMARS[name](Machine(tokens, route=BRIDGED))
    assert list(walked(grammar, 1, lambda _: None)) == expected


@pytest.mark.parametrize(
    ("value", "begun", "waited"), [("aside", 1, 0), ("", 1, 0), ("wait", 0, 1), ("never", 0, 0)]
)
def test_the_environment_says_when_kernels_are_compiled(
    monkeypatch: pytest.MonkeyPatch, value: str, begun: int, waited: int
) -> None:
    monkeypatch.setenv("DECODING_COMPILE", value)
    calls: list[str] = []

    class Recorder:
        def is_ready(self, _: object) -> bool:
            return False

        def begin(self, _: object) -> None:
            calls.append("begin")

        def wait(self, _: object) -> None:
            calls.append("wait")

    monkeypatch.setattr(compilation, "loader", Recorder)
    compile_regex("a", Machine(token_table_of_pieces(), route=BRIDGED))
    assert (calls.count("begin"), calls.count("wait")) == (begun, waited)


def test_another_word_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DECODING_COMPILE", "sometimes")
    with pytest.raises(ParameterError, match="DECODING_COMPILE must be one of aside, wait, never"):
        compilation.when()
