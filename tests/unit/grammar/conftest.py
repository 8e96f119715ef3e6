"""What tests of grammars run under: compiled kernels, where Numba is there."""

import pytest

from decoding import compilation
from decoding.kernels.grammar.loading import AUTOMATA, NESTED


@pytest.fixture(autouse=True, scope="session")
def _compiled_kernels() -> None:
    """Also where a test calls kernels without a grammar, which would begin to load them."""
    compilation.begin(AUTOMATA)
    compilation.begin(NESTED)
