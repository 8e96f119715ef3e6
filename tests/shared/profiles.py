"""How much the tests run in each profile: the one table of it.

`check` is for `make check`, which must end within 90 seconds; `nightly` for `make nightly`. All
other runs are full: `pytest`, `make test` and `.ci/run`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from hypothesis import settings

Case = TypeVar("Case")

EXAMPLES = {"check": 12, "full": 100, "nightly": 5000}
"""Examples of a property that asks for no other number."""


def register() -> None:
    """Register the profiles with Hypothesis. A slow machine breaks no law: there are no deadlines.

    In CI, Hypothesis takes its own profile of that name, with as many examples as `full`.
    """
    for name, examples in EXAMPLES.items():
        settings.register_profile(name, deadline=None, max_examples=examples)


def amount(*, check: int, full: int, nightly: int | None = None) -> int:
    """The number for the profile that runs; as many as in full by night unless it is said."""
    by_name = {"check": check, "nightly": full if nightly is None else nightly}
    return by_name.get(settings.get_current_profile_name(), full)


def spread(cases: Iterable[Case], most: int) -> list[Case]:
    """All cases of a test; for `make check` at most `most` of them, the first and evenly spread."""
    listed = list(cases)
    count = amount(check=min(most, len(listed)), full=len(listed))
    return [listed[index * len(listed) // count] for index in range(count)]
