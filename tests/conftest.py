"""What several test folders share."""

from __future__ import annotations

import pytest

from decoding.errors import FetchError
from decoding.models import LanguageModel, load


@pytest.fixture(scope="session")
def smollm2() -> LanguageModel:
    """SmolLM2-135M-Instruct in float32; `forward` is a `CachedModel`. Do not hold on to states."""
    try:
        return load("smollm2")
    except FetchError as error:
        pytest.skip(f"the model cannot be fetched: {error}")
