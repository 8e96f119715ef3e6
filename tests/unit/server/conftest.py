"""One server for the tests that need no other."""

from collections.abc import Iterator

import pytest
from serving import Served, hashed, serving


@pytest.fixture(scope="session")
def served() -> Iterator[Served]:
    with serving(hashed()) as running:
        yield running
