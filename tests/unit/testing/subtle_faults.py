"""Faults that show only in long texts, wide rows, large batches, at the ends of numbers or in turn."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from held_faults import Grammar, Slots, choose, noise, softmax, top_p_by_loop

# Processors.


def frequency_of_one_byte(logits: Any, generated_ids: Any) -> Any:
    """Counts are kept in a byte."""
    result = logits.copy()
    for row, ids in enumerate(generated_ids):
        seen, counts = np.unique(ids[ids >= 0], return_counts=True)
        result[row, seen] -= (np.minimum(counts, 255) * 0.5).astype(np.float32)
    return result


def repetition_of_the_last_64(logits: Any, token_ids: Any) -> Any:
    result = logits.copy()
    for row, ids in enumerate(token_ids):
        seen = np.unique(ids[ids >= 0][-64:])
        values = result[row, seen]
        result[row, seen] = np.where(values < 0, values * 1.2, values / 1.2)
    return result


def top_k_of_16_bits(logits: Any) -> Any:
    """Token ids are kept in 16 bits."""
    best = np.argsort(-logits, axis=-1, kind="stable")[:, :5].astype(np.uint16).astype(int)
    keep = np.zeros(logits.shape, bool)
    np.put_along_axis(keep, best, values=True, axis=-1)
    return np.where(keep, logits, -np.inf)


def temperature_without_the_end_of_a_block(logits: Any) -> Any:
    result = logits / np.float32(0.7)
    if logits.shape[1] % 4096 == 0:
        result[:, -1] = logits[:, -1]
    return result


def top_p_of_eight_rows(logits: Any) -> Any:
    result = top_p_by_loop(logits)
    result[8:] = logits[8:]
    return result


def top_p_through_reshape(logits: Any) -> None:
    """`reshape` copies what is not contiguous, and the copy is written."""
    flat = logits.reshape(-1)
    flat[:] = top_p_by_loop(logits).reshape(-1)


class TopPOfOneBuffer:
    """All results of one shape share their memory."""

    def __init__(self) -> None:
        self.buffers: dict[Any, Any] = {}

    def __call__(self, logits: Any) -> Any:
        buffer = self.buffers.setdefault(logits.shape, np.empty_like(logits))
        buffer[...] = top_p_by_loop(logits)
        return buffer


# Samplers.


def mixed(words: Any) -> Any:
    """The finaliser of SplitMix64."""
    words = np.asarray(words).astype(np.uint64)
    with np.errstate(over="ignore"):
        words = words + np.uint64(0x9E3779B97F4A7C15)
        words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def race(logits: Any, words: Any) -> Any:
    uniforms = ((words >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    return (logits - np.log(-np.log(uniforms))).argmax(axis=-1)


def addressed(
    seed: Callable[[Any], Any] = lambda seed: seed,
    position: Callable[[Any], Any] = lambda position: position,
    token: Callable[[Any], Any] = lambda token: token,
) -> Callable[..., Any]:
    """A right sampler, or one that loses a part of an address."""

    def draw(logits: Any, seeds: Any, positions: Any) -> Any:
        seeds, positions = np.asarray(seeds)[:, None], np.asarray(positions)[:, None]
        rows = mixed(mixed(seed(seeds)) + position(positions).astype(np.uint64))
        return race(logits, mixed(rows + token(np.arange(logits.shape[1])).astype(np.uint64)))

    return draw


def noise_moves_with_the_position(logits: Any, seeds: Any, positions: Any) -> Any:
    """A token has the noise that the next one had at the position before."""
    tokens = np.arange(logits.shape[1]) + np.asarray(positions)[:, None]
    return race(logits, mixed(mixed(np.asarray(seeds)[:, None]) + tokens.astype(np.uint64)))


def seed_plus_a_thousand_positions(logits: Any, seeds: Any, positions: Any) -> Any:
    return addressed()(logits, seeds + 1000 * positions, positions * 0)


def draw_from_the_best_thousand(logits: Any, u: Any) -> Any:
    cut = np.sort(logits, axis=-1)[:, -min(1000, logits.shape[1])][:, None]
    return choose(np.where(logits >= cut, logits, -np.inf), u)


def draw_with_u_in_float32(logits: Any, u: Any) -> Any:
    """u becomes 1, of which the sums fall short."""
    totals = np.cumsum(softmax(logits.astype(np.float64)), axis=-1)
    below = np.asarray(u, np.float32)[:, None] >= totals / totals[:, -1:]
    return np.minimum(below.sum(axis=-1), logits.shape[1] - 1)


def draw_with_another_generator(logits: Any, generator: Any) -> Any:
    return choose(logits, np.random.default_rng().random(len(logits)))


def draw_logprobs_of_ten_at_most(logits: Any, u: Any) -> Any:
    tokens = np.array(choose(logits, u))
    logprobs = np.log(softmax(logits.astype(np.float64)))
    return tokens, np.maximum(logprobs[np.arange(len(tokens)), tokens], -10.0)


def greedy_takes_the_last(logits: Any) -> Any:
    return logits.shape[1] - 1 - logits[:, ::-1].argmax(axis=-1)


# Streams.


def decoded(tokens: Any, encoding: str = "utf-8") -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    for token in tokens:
        yield decoder.decode(token)
    yield decoder.decode(b"", final=True)


def stopped(text: str, found: list[tuple[int, str]]) -> str:
    ends = [(at + len(stop), at) for at, stop in found if at >= 0]
    return text[: min(ends)[1]] if ends else text


def stream_of_any_case(tokens: Any, stops: Any) -> str:
    text = "".join(decoded(tokens))
    return stopped(text, [(text.lower().find(stop.lower()), stop) for stop in stops])


def stream_of_expressions(tokens: Any, stops: Any) -> str:
    text = "".join(decoded(tokens))
    found = [(re.search(stop, text), stop) for stop in stops]
    return stopped(text, [(match.start() if match else -1, stop) for match, stop in found])


def stream_of_one_kind_of_line(tokens: Any) -> str:
    return "".join(decoded(tokens)).replace("\r\n", "\n")


def stream_without_a_mark(tokens: Any) -> str:
    return "".join(decoded(tokens, "utf-8-sig"))


def stream_of_four_stops(tokens: Any, stops: Any) -> str:
    text = "".join(decoded(tokens))
    return stopped(text, [(text.find(stop), stop) for stop in stops[:4]])


def stream_of_short_stops(tokens: Any, stops: Any) -> str:
    text = "".join(decoded(tokens))
    return stopped(text, [(text.find(stop), stop) for stop in stops if len(stop) <= 32])


def stream_of_a_buffer(tokens: Any) -> str:
    return "".join(decoded(tokens))[:4096]


_shared = codecs.getincrementaldecoder("utf-8")("replace")


def stream_of_one_decoder(tokens: Any) -> Iterator[str]:
    """All streams share the bytes of a character that is not complete."""
    for token in tokens:
        yield _shared.decode(token)
    yield _shared.decode(b"", final=True)


def stream_sorts_the_stops(tokens: Any, stops: Any) -> str:
    stops.sort()
    text = "".join(decoded(tokens))
    return stopped(text, [(text.find(stop), stop) for stop in stops])


# Grammars of (ab)+c; token 0 ends a text.


class ForkBeginsAgain(Grammar):
    def fork(self) -> Grammar:
        return type(self)()


class OneTextForAll(Grammar):
    """Every text is kept in the class."""

    kept = b""

    def __init__(self) -> None:
        super().__init__()
        type(self).kept = b""

    @property
    def text(self) -> bytes:
        return type(self).kept

    @text.setter
    def text(self, text: bytes) -> None:
        type(self).kept = text


class EndsAnywhere(Grammar):
    """An end is taken where the text may not end."""

    def advance(self, token_id: int) -> bool:
        return token_id == 0 or super().advance(token_id)


class ShortTexts(Grammar):
    """After 80 bytes nothing fits."""

    def leads(self, text: bytes) -> bool:
        return len(text) <= 80 and super().leads(text)


# Engines.


class ShortMemory(Slots):
    """The model sees the first token and the last 16."""

    def __init__(self, forward: Any) -> None:
        super().__init__(lambda rows: forward([row[:1] + row[1:][-16:] for row in rows]))


class SeedOfOneByte(Slots):
    def address(self, request: Any) -> tuple[int, ...]:
        return (request["seed"] & 255, request["made"])


class PositionOfFourBitsInCompany(Slots):
    def address(self, request: Any) -> tuple[int, ...]:
        made = request["made"]
        return (request["seed"], made & 15 if len(self.running()) > 1 else made)


class RaisesWithoutWork(Slots):
    def step(self) -> list[tuple[int, int]]:
        if not self.waiting and not self.running():
            raise IndexError("no request")
        return super().step()


def right_noise(logits: Any, seeds: Any, positions: Any) -> Any:
    return choose(
        logits, [noise(int(s), int(p), 1)[0] for s, p in zip(seeds, positions, strict=True)]
    )
