"""Look-up of figures in benchmark results."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

OURS = "decoding-numba"
TWO_THREADS = "decoding-numba-2-threads"
FLOOR = "floor"
"""The implementation that only reads the rows."""

Row: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """Which logits, how wide."""

    logits: str
    vocab: int


@dataclass(frozen=True, slots=True)
class Figures:
    """The rows of a result; those with an error count as not there."""

    rows: Sequence[Row]

    def find(
        self,
        workload: str,
        place: Place,
        *,
        implementation: str = OURS,
        batch: int = 1,
        dtype: str = "float32",
    ) -> Row | None:
        """The row of a figure."""
        key = (workload, place.logits, place.vocab, implementation, batch, dtype)
        names = ("workload", "logits", "vocab", "implementation", "batch", "dtype")
        for row in self.rows:
            if row["us_per_row"] is not None and tuple(row[name] for name in names) == key:
                return row
        return None

    def cost(
        self,
        workload: str,
        place: Place,
        *,
        implementation: str = OURS,
        batch: int = 1,
        dtype: str = "float32",
    ) -> float:
        """Its microseconds a row; NaN where there is none."""
        row = self.find(workload, place, implementation=implementation, batch=batch, dtype=dtype)
        return math.nan if row is None else float(row["us_per_row"])

    def floors(self, workload: str, place: Place, *, batch: int = 1) -> float:
        """Ours in floors of the same batch; NaN where there is none."""
        row = self.find(workload, place, batch=batch)
        return math.nan if row is None else float(row["x_floor"])

    def places(self, logits: str) -> list[Place]:
        """Every width that a kind was measured at, ascending."""
        widths = {row["vocab"] for row in self.rows if row["logits"] == logits}
        return [Place(logits, width) for width in sorted(widths)]

    def main_places(self) -> list[Place]:
        """Gaussian rows at their widest but for one of 2**20 tokens, and real ones."""
        gaussian = [place for place in self.places("gaussian") if place.vocab < 2**20]
        return gaussian[-1:] + self.places("real")[-1:]

    def batches(self) -> list[int]:
        """Every batch size, ascending."""
        return sorted({row["batch"] for row in self.rows})
