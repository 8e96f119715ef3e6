"""Several ranks in one process: computations that talk to each other, run in turn."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from decoding import History, Sampler
from decoding.distributed.vocabulary_parallel import VocabularyParallel


class _Alone:
    def __init__(self, rank: int) -> None:
        self.rank = rank

    def __call__(self, message: bytes) -> list[bytes]:
        raise AssertionError("the ranks are run in turn")


def together(talks: Sequence[Any], told: list[int] | None = None) -> list[Any]:
    """The results of all ranks, each a value or the exception that it raised."""
    results: dict[int, Any] = {}
    messages: dict[int, bytes] = {}

    def go_on(rank: int, step: Callable[[], bytes]) -> None:
        try:
            messages[rank] = step()
        except StopIteration as stop:
            results[rank] = stop.value
        except Exception as error:  # the test looks at it
            results[rank] = error

    for rank, talk in enumerate(talks):
        go_on(rank, lambda talk=talk: next(talk))
    while messages:
        assert len(messages) == len(talks), f"only {sorted(messages)} talk: {results}"
        assert len({len(message) for message in messages.values()}) == 1
        replies = [messages[rank] for rank in range(len(talks))]
        if told is not None:
            told.append(len(replies[0]))
        messages.clear()
        for rank, talk in enumerate(talks):
            go_on(rank, lambda talk=talk, replies=replies: talk.send(list(replies)))
    return [results[rank] for rank in range(len(talks))]


class Ranks:
    """`VocabularyParallel` on several ranks of one process."""

    def __init__(self, samplers: Sequence[Any], **arguments: Any) -> None:
        """One list of samplers for each rank."""
        self.ranks = []
        talks = []
        for rank, own in enumerate(samplers):
            one = VocabularyParallel.__new__(VocabularyParallel)
            one._run = talks.append
            one._begin(_Alone(rank), own, arguments.get("logits_width"))
            self.ranks.append(one)
        self.made = together(talks)
        self.told: list[int] = []

    def step(
        self, slices: Sequence[Any], histories: Sequence[History], *, describe: bool = True
    ) -> list[Any]:
        self.told = []
        talks = [
            one._step(own, history, describe=describe)
            for one, own, history in zip(self.ranks, slices, histories, strict=True)
        ]
        return together(talks, self.told)


def split(logits: Any, widths: Sequence[int]) -> list[Any]:
    ends = np.cumsum([0, *widths]).tolist()
    return [logits[:, start:stop] for start, stop in itertools.pairwise(ends)]


def sampled(
    samplers: Sequence[Sampler], logits: Any, history: History, widths: Sequence[int]
) -> list[Any]:
    """What all ranks draw, which is the same."""
    ranks = Ranks([samplers] * len(widths))
    assert ranks.made == [None] * len(widths), ranks.made
    results = ranks.step(split(logits, widths), [history] * len(widths))
    assert all(repr(other) == repr(results[0]) for other in results), results
    return list(results[0])
