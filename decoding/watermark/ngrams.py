"""Yields the context before each token, marks first occurrences, for watermark detectors."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence


def contexts(
    token_ids: Sequence[int], width: int, prompt: Sequence[int] = ()
) -> Iterator[tuple[int, ...] | None]:
    """The `width` tokens before each token of a text; None where there are fewer.

    >>> list(contexts([4, 5, 6], 2))
    [None, None, (4, 5)]
    """
    whole = [int(token) for token in (*prompt, *token_ids)]
    for place in range(len(prompt), len(whole)):
        yield tuple(whole[place - width : place]) if place >= width else None


def first_time(items: Sequence[Hashable | None]) -> Iterator[bool]:
    """Whether each item is not None and occurs for the first time.

    >>> list(first_time(["a", None, "b", "a"]))
    [True, False, True, False]
    """
    seen: set[Hashable] = set()
    for item in items:
        yield item is not None and item not in seen
        seen.add(item)
