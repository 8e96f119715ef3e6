"""Hypothesis strategies of batches, parameters near a row's cuts, tokens and JSON Schemas.

`strategies` draws every logit as a choice of Hypothesis, which shrinks well. Here a row is drawn
from a seed by `cases.draw_row`, which is quick at any width.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from decoding.testing.cases import Case, Shapes, draw_case, draw_row

Row: TypeAlias = NDArray[np.float32]
Schema: TypeAlias = dict[str, Any]
"""A JSON Schema."""

DISTANCES = (0.0, 1e-5, -1e-5, 1e-4, -1e-4, 1e-3, -1e-3)
"""How far from a cut of the row an aimed parameter lies."""

_SEEDS = st.integers(0, 2**32 - 1)
_ANY_CASE = Shapes()


def cases(shapes: Shapes = _ANY_CASE) -> st.SearchStrategy[Case]:
    """Batches of logits with prompts and texts, of any kind that `shapes` allows."""
    return _SEEDS.map(lambda seed: draw_case(np.random.default_rng(seed), shapes))


@st.composite
def rows(draw: st.DrawFn, widths: tuple[int, int] = (1, 1000)) -> Row:
    """One legal float32 row of any kind; widths: the smallest and the largest."""
    return draw_row(np.random.default_rng(draw(_SEEDS)), draw(st.integers(*widths)))


@st.composite
def rows_with_top_p(draw: st.DrawFn, widths: tuple[int, int] = (1, 40)) -> tuple[Row, float]:
    """A row of logits, and a top-p in (0, 1] on or next to a cumulative sum of that row."""
    row = draw(rows(widths))
    weights = np.sort(np.exp(row.astype(np.float64) - row.max()))[::-1]
    sums = np.cumsum(weights) / weights.sum()
    aimed = sums[draw(st.integers(0, len(row) - 1))] + draw(st.sampled_from(DISTANCES))
    return row, float(np.clip(aimed, 1e-9, 1.0))


@st.composite
def rows_with_min_p(draw: st.DrawFn, widths: tuple[int, int] = (1, 40)) -> tuple[Row, float]:
    """A row of logits, and a min-p in [0, 1] on or next to p / max p of one of its tokens."""
    row = draw(rows(widths))
    shares = np.exp(row.astype(np.float64) - row.max())
    aimed = shares[draw(st.integers(0, len(row) - 1))] + draw(st.sampled_from(DISTANCES))
    return row, float(np.clip(aimed, 0.0, 1.0))


@st.composite
def rows_with_top_k(draw: st.DrawFn, widths: tuple[int, int] = (1, 40)) -> tuple[Row, int]:
    """A row of logits, and a top-k from 1 to two more than the row's width."""
    row = draw(rows(widths))
    return row, draw(st.integers(1, len(row) + 2))


@st.composite
def tokens_of(draw: st.DrawFn, text: bytes) -> tuple[bytes, ...]:
    """A text cut into tokens anywhere, also inside characters; some tokens are empty."""
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=len(text) + 1)))
    edges = [0, *cuts, len(text)]
    return tuple(text[a:b] for a, b in pairwise(edges))


@st.composite
def token_ids_of(draw: st.DrawFn, text: bytes, token_bytes: Sequence[bytes]) -> tuple[int, ...]:
    """A text spelled with tokens of a vocabulary that has every byte, each spelling possible."""
    spelled: list[int] = []
    at = 0
    while at < len(text):
        fitting = [
            token for token, part in enumerate(token_bytes) if part and text.startswith(part, at)
        ]
        spelled.append(draw(st.sampled_from(fitting)))
        at += len(token_bytes[spelled[-1]])
    return tuple(spelled)


@st.composite
def schemas_with_texts(draw: st.DrawFn, depth: int = 2) -> tuple[Schema, str]:
    """A JSON Schema, and a compact JSON text that it holds."""
    schema, value = draw(_schemas_with_values(depth))
    return schema, json.dumps(value, separators=(",", ":"), ensure_ascii=False)


@st.composite
def _schemas_with_values(draw: st.DrawFn, depth: int) -> tuple[Schema, Any]:
    made = _SCALARS + [_arrays(depth - 1), _objects(depth - 1)] * (depth > 0)
    return draw(draw(st.sampled_from(made)))


@st.composite
def _integers(draw: st.DrawFn) -> tuple[Schema, Any]:
    low = draw(st.integers(-100, 100))
    high = draw(st.integers(low, low + 100))
    return {"type": "integer", "minimum": low, "maximum": high}, draw(st.integers(low, high))


@st.composite
def _strings(draw: st.DrawFn) -> tuple[Schema, Any]:
    value = draw(st.text('ab é"\\', max_size=6))
    return {"type": "string", "maxLength": draw(st.integers(len(value), 10))}, value


@st.composite
def _enumerations(draw: st.DrawFn) -> tuple[Schema, Any]:
    members = draw(st.lists(st.integers(0, 9) | st.text("ab", max_size=2), min_size=1))
    return {"enum": members}, draw(st.sampled_from(members))


@st.composite
def _arrays(draw: st.DrawFn, depth: int) -> tuple[Schema, Any]:
    schema, value = draw(_schemas_with_values(depth))
    count = draw(st.integers(0, 3))
    return {"type": "array", "items": schema, "maxItems": 3}, [value] * count


@st.composite
def _objects(draw: st.DrawFn, depth: int) -> tuple[Schema, Any]:
    names = draw(st.lists(st.sampled_from("abc"), unique=True, max_size=3))
    members = {name: draw(_schemas_with_values(depth)) for name in names}
    schema = {
        "type": "object",
        "properties": {name: schema for name, (schema, _) in members.items()},
        "required": names,
        "additionalProperties": False,
    }
    return schema, {name: value for name, (_, value) in members.items()}


_SCALARS: list[st.SearchStrategy[tuple[Schema, Any]]] = [
    _integers(),
    _strings(),
    st.booleans().map(lambda value: ({"type": "boolean"}, value)),
    st.just(({"type": "null"}, None)),
    _enumerations(),
]
