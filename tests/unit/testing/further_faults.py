"""More wrong samplers, processors, streams, grammars and engines, in the style of other projects.

Nothing here knows a class of this library. Each has one fault, which its name or docstring says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from held_faults import TOKENS, Grammar, Slots, choose, noise, softmax

# Processors.


def top_k_keeps_one_more_at_ties(scores: Any) -> Any:
    """Of tokens tied at the fifth place all are kept, where exactly five were promised."""
    fifth = np.sort(scores, -1)[:, -min(5, scores.shape[1])][:, None]
    return np.where(scores >= fifth, scores, -np.inf)


def min_p_of_the_batch(scores: Any) -> Any:
    return np.where(scores < scores.max() + np.log(0.05), -np.inf, scores).astype(scores.dtype)


def min_p_before_the_temperature(scores: Any) -> Any:
    best = scores.max(-1, keepdims=True)
    return (np.where(scores < best + np.log(0.05), -np.inf, scores) / 0.5).astype(scores.dtype)


def repetition_for_each_time(input_ids: Any, scores: Any) -> Any:
    out = scores.copy()
    for i, ids in enumerate(input_ids):
        for token in ids[ids >= 0]:
            out[i, token] = out[i, token] * 1.2 if out[i, token] < 0 else out[i, token] / 1.2
    return out


def repetition_spares_token_zero(input_ids: Any, scores: Any) -> Any:
    """Id 0 is taken for padding."""
    out = scores.copy()
    for i, ids in enumerate(input_ids):
        seen = np.unique(ids[ids > 0])
        values = out[i, seen]
        out[i, seen] = np.where(values < 0, values * 1.2, values / 1.2)
    return out


def presence_of_the_neighbours(scores: Any, prompt_ids: Any, generated_ids: Any) -> Any:
    out = scores.copy()
    out[:, np.unique(generated_ids[generated_ids >= 0])] -= 0.6
    return out


def presence_late_by_one(scores: Any, prompt_ids: Any, generated_ids: Any) -> Any:
    out = scores.copy()
    for i, ids in enumerate(generated_ids):
        out[i, np.unique(ids[ids >= 0][:-1])] -= 0.6
    return out


class TopPKeepsItsOrder:
    """The order of a row is kept for the next call with the same shape."""

    def __init__(self) -> None:
        self.order: dict[Any, Any] = {}

    def __call__(self, scores: Any) -> Any:
        order = self.order.setdefault(scores.shape, np.argsort(-scores, -1, kind="stable"))
        q = np.take_along_axis(softmax(scores.astype(np.float64)), order, -1)
        keep = np.empty(scores.shape, bool)
        np.put_along_axis(keep, order, np.cumsum(q, -1) - q < 0.8, -1)
        return np.where(keep, scores, -np.inf)


def top_p_sums_in_half(scores: Any) -> Any:
    p = softmax(scores.astype(np.float64))
    order = np.argsort(-p, -1, kind="stable")
    q = np.take_along_axis(p, order, -1)
    keep = np.empty(scores.shape, bool)
    np.put_along_axis(keep, order, np.cumsum(q, -1, dtype=np.float16) - q < 0.8, -1)
    return np.where(keep, scores, -np.inf)


# Samplers.


class DrawsOn:
    """A generator is kept for each seed, so that the same draw is another one the next time."""

    def __init__(self) -> None:
        self.generators: dict[int, Any] = {}

    def __call__(self, logits: Any, seeds: Any) -> Any:
        for seed in map(int, seeds):
            self.generators.setdefault(seed, np.random.default_rng(seed))
        return choose(logits, [self.generators[int(seed)].random() for seed in seeds])


def draw_positions_of_eight_bits(logits: Any, seeds: Any, positions: Any) -> Any:
    u = [noise(int(s), int(p) & 255, 1)[0] for s, p in zip(seeds, positions, strict=True)]
    return choose(logits, u)


def draw_with_u_in_half(logits: Any, u: Any) -> Any:
    rounded = np.asarray(u, np.float16).astype(np.float64)
    return np.minimum(choose(logits, rounded), logits.shape[1] - 1)


def draw_takes_what_is_nearly_sure(logits: Any, u: Any) -> Any:
    p = softmax(logits.astype(np.float64))
    return np.where(p.max(-1) > 0.97, p.argmax(-1), choose(logits, u))


def draw_logprob_of_the_greedy(logits: Any, u: Any) -> Any:
    """The logprob is that of the likeliest token."""
    tokens = np.array(choose(logits, u))
    return tokens, np.log(softmax(logits.astype(np.float64)).max(-1))


# Streams.


def _decoded(tokens: Any) -> Iterator[str]:
    import codecs

    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    for token in tokens:
        yield decoder.decode(token)
    yield decoder.decode(b"", final=True)


def stream_looks_at_three_tokens(tokens: Any, stops: Any) -> Any:
    pieces: list[str] = []
    for piece in _decoded(tokens):
        pieces.append(piece)
        text, window = "".join(pieces), "".join(pieces[-3:])
        hits = [len(text) - len(window) + window.find(stop) for stop in stops if stop in window]
        if hits:
            return text[: min(hits)]
    return "".join(pieces)


def stream_decodes_token_by_token(tokens: Any) -> Any:
    for token in tokens:
        yield token.decode("utf-8", "replace")


def stream_looks_at_the_end_of_tokens(tokens: Any, stops: Any) -> Any:
    """A stop string that ends inside a token is missed."""
    text = ""
    for piece in _decoded(tokens):
        text += piece
        found = [stop for stop in stops if text.endswith(stop)]
        if found:
            return text[: -max(map(len, found))]
    return text


def stream_takes_the_first_of_the_list(tokens: Any, stops: Any) -> Any:
    text = "".join(_decoded(tokens))
    for stop in stops:
        if stop in text:
            return text[: text.find(stop)]
    return text


def stream_loses_what_it_held(tokens: Any, stops: Any) -> Any:
    """What may begin a stop string is held back, and not given where the text ends with it."""
    text = ""
    for piece in _decoded(tokens):
        text += piece
        hits = [text.find(stop) for stop in stops if stop in text]
        if hits:
            return text[: min(hits)]
    held = max((n for s in stops for n in range(len(s)) if text.endswith(s[:n])), default=0)
    return text[: len(text) - held]


def stream_strips(tokens: Any) -> Any:
    return "".join(_decoded(tokens)).lstrip()


# Grammars of (ab)+c.


class MaskIsLate(Grammar):
    """The mask is that before the last token."""

    def __init__(self) -> None:
        super().__init__()
        self.made = super().mask()

    def mask(self) -> Any:
        return self.made

    def advance(self, token_id: int) -> bool:
        before = super().mask()
        taken = super().advance(token_id)
        if taken and len(self.lengths) > 1:
            self.made = before
        elif taken:
            self.made = super().mask()
        return taken


class TakesARefusedToken(Grammar):
    """A token that does not fit is refused, and stays in the text."""

    def advance(self, token_id: int) -> bool:
        taken = super().advance(token_id)
        if not taken and token_id == 8:
            self.text += TOKENS[token_id]
        return taken


class RollsBackBytes(Grammar):
    def rollback(self, count: int) -> None:
        del self.lengths[-count:]
        self.text = self.text[: len(self.text) - count]


class OneMaskForAll(Grammar):
    """Right: every mask is written to one buffer, as engines do."""

    def __init__(self) -> None:
        super().__init__()
        self.made = np.zeros(len(TOKENS), bool)

    def mask(self) -> Any:
        self.made[:] = super().mask()
        return self.made


class MayEndTooEarly(Grammar):
    @property
    def is_accepting(self) -> bool:
        return re.fullmatch(rb"(ab)+c?", self.text) is not None


# Engines with slots.


class LosesWhatWaits(Slots):
    """With a full batch, all but one of those that wait are forgotten."""

    def admit(self) -> None:
        super().admit()
        del self.waiting[1:]


class HistoryOfTheSlot(Slots):
    """A shorter prompt than the last text of the slot leaves the end of that text in the cache."""

    def fill(self, request: Any) -> None:
        old = self.cache[request["slot"]]
        kept = (
            old[len(request["prompt"]) :]
            if request["prompt"] == old[: len(request["prompt"])]
            else []
        )
        self.cache[request["slot"]] = list(request["prompt"]) + kept


class LastRowMoves(Slots):
    """When one of three is done, the last row is moved to its place without its last token."""

    def release(self, request: Any, state: str) -> None:
        slot = request["slot"]
        super().release(request, state)
        later = [r for r in self.requests if r["slot"] is not None and r["slot"] < (slot or 0)]
        if state == "done" and len(later) == 2:
            self.cache[later[-1]["slot"]].pop()


class WaitsAfterAFault(Slots):
    """The model's failure at the first step of a request leaves it without a slot for ever."""

    def step(self) -> list[tuple[int, int]]:
        self.admit()
        before = {k: self.requests[k]["slot"] for k in self.running()}
        given = super().step()
        for k, slot in before.items():
            request = self.requests[k]
            if request["state"] == "failed" and not request["made"] and slot is not None:
                request["state"] = "running"
        return given


class FailsTheNext(Slots):
    """NaN logits fail the request that waits next, too."""

    def release(self, request: Any, state: str) -> None:
        super().release(request, state)
        if state == "failed" and self.waiting and len(self.running()) == 2:
            self.requests[self.waiting.pop(0)]["state"] = "failed"


class ForgetsWhileItWaits(Slots):
    """A request that has waited for some steps begins with a part of its prompt."""

    def admit(self) -> None:
        for k in self.waiting:
            self.requests[k]["waited"] = self.requests[k].get("waited", 0) + 1
        super().admit()

    def fill(self, request: Any) -> None:
        super().fill(request)
        if request["waited"] > 4:
            self.cache[request["slot"]] = self.cache[request["slot"]][-2:]


class SharesPrefixes(Slots):
    """Requests with one prompt share one cache, and so each other's tokens."""

    def fill(self, request: Any) -> None:
        for other in self.requests:
            running = other is not request and other["slot"] is not None
            if running and other["prompt"] == request["prompt"] and other["made"] < 2:
                self.cache[request["slot"]] = self.cache[other["slot"]]
                return
        super().fill(request)


class CancelMovesTheQueue(Slots):
    """The cancellation of a request that waits gives its seed to the next one."""

    def cancel(self, key: int) -> None:
        waits = key in self.waiting
        super().cancel(key)
        if waits and self.waiting and len(self.running()) == 3:
            self.requests[self.waiting[0]]["seed"] = self.requests[key]["seed"] + 1
