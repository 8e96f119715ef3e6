"""Processors that only a preset has obey the processor contract."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decoding.history import History
from decoding.presets.mlx_lm import TopPWithTies
from decoding.presets.sglang import JointTopKTopP
from decoding.presets.tgi import RelativeFrequencyPenalty
from decoding.testing import laws, strategies

_MASS = st.floats(0.0, 1.0, exclude_min=True)
CASES: dict[str, tuple[st.SearchStrategy[Any], Any]] = {
    "RelativeFrequencyPenalty": (
        st.floats(-9, 9).map(RelativeFrequencyPenalty),
        RelativeFrequencyPenalty(0.0),
    ),
    "JointTopKTopP": (
        st.builds(JointTopKTopP, st.none() | st.integers(1, 30), _MASS),
        JointTopKTopP(None, 1.0),
    ),
    "TopPWithTies": (_MASS.map(TopPWithTies), TopPWithTies(1.0)),
}


@pytest.mark.parametrize("name", CASES)
@given(data=st.data(), batch=strategies.batches())
def test_the_contract(name: str, data: st.DataObject, batch: tuple[Any, History]) -> None:
    processor = data.draw(CASES[name][0])
    laws.check_contract(processor, *batch)
    laws.check_declarations(processor, *batch)
    laws.check_value(processor)
    laws.check_neutral(CASES[name][1], *batch)
