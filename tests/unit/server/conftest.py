"""One server for the tests that need no other."""

from collections.abc import Iterator

import pytest
from serving import Served, hashed, serving

TEMPLATES = {
    "tool_use": "tools: {{ tools[0].function.name }}",
    "rag": "rag: {{ messages[0].content }}",
}


# Its named templates are of no effect where a request offers no tools and names none.
@pytest.fixture(scope="session")
def served() -> Iterator[Served]:
    with serving(hashed(chat_templates=TEMPLATES)) as running:
        yield running
