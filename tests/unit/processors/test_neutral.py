"""At a neutral value a processor returns the same object."""

from __future__ import annotations

import numpy as np
import pytest

from decoding.history import History
from decoding.processors import TopK


@pytest.mark.parametrize("top_k", [0, 3, 4])
def test_top_k_of_the_whole_vocabulary(top_k: int) -> None:
    row = np.array([[1.0, 2.0, 3.0]])
    assert TopK(top_k)(row, History.empty(1)) is row
