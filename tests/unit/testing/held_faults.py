"""Faults of another hand than those in `strangers.py`: what people write, with one mistake each.

Nothing here knows a class of this library, and the kit was not written with these in view.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np


def softmax(x: Any) -> Any:
    e = np.exp(x - np.max(x, -1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


# Processors, right.


def top_k_by_heap(scores: Any) -> Any:
    out = np.full(scores.shape, -np.inf, scores.dtype)
    for i, row in enumerate(scores):
        best = np.argpartition(row, -5)[-5:]
        out[i, best] = row[best]
    return out


def top_p_by_loop(scores: Any) -> Any:
    out = np.full_like(scores, -np.inf)
    for i, row in enumerate(scores):
        probs, mass = softmax(row.astype(np.float64)), 0.0
        for token in np.argsort(-row, kind="stable"):
            if mass >= 0.8:
                break
            out[i, token] = row[token]
            mass += probs[token]
    return out


def min_p_in_logs(scores: Any) -> Any:
    best = scores.max(-1, keepdims=True)
    return np.where(scores < best + np.log(0.05), -np.inf, scores).astype(scores.dtype)


def presence_of_text(scores: Any, prompt_ids: Any, generated_ids: Any) -> Any:
    out = scores.copy()
    for i, ids in enumerate(generated_ids):
        for token in set(ids.tolist()) - {-1}:
            out[i, token] -= 0.6
    return out


def repetition_in_torch(input_ids: Any, scores: Any) -> Any:
    import torch

    ids = torch.where(input_ids < 0, input_ids[:, :1], input_ids)
    if ids.shape[1] == 0 or (ids < 0).any():
        ids = ids.clamp(min=0) if ids.shape[1] else ids
    picked = torch.gather(scores, 1, ids)
    picked = torch.where(picked < 0, picked * 1.2, picked / 1.2)
    real = (input_ids >= 0).any(1, keepdim=True)
    return torch.where(real, scores.scatter(1, ids, picked), scores)


# Processors, wrong.


def top_k_drops_ties_at_the_end(scores: Any) -> Any:
    out = top_k_by_heap(scores)
    for i, row in enumerate(scores):
        low = out[i][out[i] > -np.inf].min()
        if (row == low).sum() > 1 and (out[i] > low).any():
            out[i][out[i] == low] = -np.inf
    return out


def min_p_of_the_sum(scores: Any) -> Any:
    p = softmax(scores)
    keep = (p >= 0.05 * p.sum(-1, keepdims=True)) | (p == p.max(-1, keepdims=True))
    return np.where(keep, scores, -np.inf)


def repetition_divides_all(input_ids: Any, scores: Any) -> Any:
    out = scores.copy()
    for i, ids in enumerate(input_ids):
        seen = np.unique(ids[ids >= 0])
        out[i, seen] = out[i, seen] / 1.2
    return out


def presence_counts_padding(scores: Any, prompt_ids: Any, generated_ids: Any) -> Any:
    out = scores.copy()
    for i, ids in enumerate(generated_ids):
        for token in set(ids.tolist()):
            out[i, token] -= 0.6
    return out


def presence_counts_the_prompt(scores: Any, prompt_ids: Any, generated_ids: Any) -> Any:
    out = scores.copy()
    for i, (prompt, text) in enumerate(zip(prompt_ids, generated_ids, strict=True)):
        for token in (set(prompt.tolist()) | set(text.tolist())) - {-1}:
            out[i, token] -= 0.6
    return out


def temperature_last(scores: Any) -> Any:
    return (top_p_by_loop(scores) / 2.0).astype(scores.dtype)


def top_p_in_the_order_of_the_vocabulary(scores: Any) -> Any:
    p = softmax(scores)
    keep = (np.cumsum(p, -1) - p < 0.8) | (scores == scores.max(-1, keepdims=True))
    return np.where(keep, scores, -np.inf)


def top_p_overflows_in_half(scores: Any) -> Any:
    e = np.exp(scores.astype(np.float16)).astype(np.float32)
    p = e / e.sum(-1, keepdims=True)
    order = np.argsort(-p, -1, kind="stable")
    q = np.take_along_axis(p, order, -1)
    keep = np.empty(scores.shape, bool)
    np.put_along_axis(keep, order, np.cumsum(q, -1) - q < 0.8, -1)
    return np.where(keep, scores, -np.inf)


def top_p_sorts_the_callers_row(scores: Any) -> Any:
    out = top_p_by_loop(scores)
    scores.sort(-1)
    return out


def repetition_sorts_the_callers_ids(input_ids: Any, scores: Any) -> Any:
    out = scores.copy()
    for i, ids in enumerate(input_ids):
        seen = np.unique(ids[ids >= 0])
        values = out[i, seen]
        out[i, seen] = np.where(values < 0, values * 1.2, values / 1.2)
    input_ids.sort(-1)
    return out


def top_p_of_the_batch(scores: Any) -> Any:
    longest = max(int((row > -np.inf).sum()) for row in top_p_by_loop(scores))
    out = np.full_like(scores, -np.inf)
    for i, row in enumerate(scores):
        best = np.argsort(-row, kind="stable")[:longest]
        out[i, best] = row[best]
    return out


def min_p_keeps_a_constant_more(scores: Any) -> Any:
    best = scores.max(-1, keepdims=True)
    return np.where(scores < best + np.log(0.05) - 0.01, -np.inf, scores).astype(scores.dtype)


def top_k_of_a_wide_row_samples(scores: Any) -> Any:
    """Looks at every second token where the vocabulary is large."""
    if scores.shape[1] <= 50_000:
        return top_k_by_heap(scores)
    out = np.full_like(scores, -np.inf)
    out[:, ::2] = top_k_by_heap(scores[:, ::2])
    return out


def top_p_ignores_a_masked_first_token(scores: Any) -> Any:
    out = top_p_by_loop(scores)
    out[np.isneginf(scores[:, 0])] = scores[np.isneginf(scores[:, 0])]
    return out


def repetition_of_the_last_eight(input_ids: Any, scores: Any) -> Any:
    out = scores.copy()
    for i, ids in enumerate(input_ids):
        seen = np.unique(ids[ids >= 0][-8:])
        values = out[i, seen]
        out[i, seen] = np.where(values < 0, values * 1.2, values / 1.2)
    return out


# Samplers, right.


def choose(logits: Any, u: Any) -> Any:
    totals = np.cumsum(softmax(logits.astype(np.float64)), -1)
    return [
        int(np.searchsorted(t / t[-1], x, side="right")) for t, x in zip(totals, u, strict=True)
    ]


def noise(seed: int, position: int, count: int) -> Any:
    return np.random.default_rng((seed, position)).random(count)


def draw_seeded(logits: Any, seeds: Any, positions: Any) -> Any:
    u = [noise(int(s), int(p), 1)[0] for s, p in zip(seeds, positions, strict=True)]
    return choose(logits, u)


def draw_with_logprob(logits: Any, u: Any) -> Any:
    tokens = choose(logits / 0.7, u)
    logprobs = np.log(softmax(logits.astype(np.float64) / 0.7))
    return np.array(tokens), np.array([row[t] for row, t in zip(logprobs, tokens, strict=True)])


# Samplers, wrong.


def draw_logprob_of_the_raw_row(logits: Any, u: Any) -> Any:
    tokens, _ = draw_with_logprob(logits, u)
    logprobs = np.log(softmax(logits.astype(np.float64)))
    return tokens, np.array([row[t] for row, t in zip(logprobs, tokens, strict=True)])


def draw_first_seed_for_all(logits: Any, seeds: Any, positions: Any) -> Any:
    return draw_seeded(logits, [seeds[0]] * len(seeds), positions)


def draw_two_positions_share(logits: Any, seeds: Any, positions: Any) -> Any:
    return draw_seeded(logits, seeds, [p // 2 for p in positions])


def draw_seed_plus_position(logits: Any, seeds: Any, positions: Any) -> Any:
    """The next seed at this position is this seed at the next."""
    u = [noise(int(s) + int(p), 0, 1)[0] for s, p in zip(seeds, positions, strict=True)]
    return choose(logits, u)


def draw_seeds_of_sixteen_bits(logits: Any, seeds: Any, positions: Any) -> Any:
    return draw_seeded(logits, [int(s) & 0xFFFF for s in seeds], positions)


def draw_never_the_last(logits: Any, u: Any) -> Any:
    return [min(t, logits.shape[1] - 2) if logits.shape[1] > 1 else 0 for t in choose(logits, u)]


def draw_sums_in_half(logits: Any, u: Any) -> Any:
    totals = np.cumsum(softmax(logits), -1, dtype=np.float16)
    return [int(np.searchsorted(t / t[-1], x)) for t, x in zip(totals, u, strict=True)]


def draw_top_fifty(logits: Any, u: Any) -> Any:
    cut = np.sort(logits, -1)[:, -min(50, logits.shape[1])][:, None]
    return choose(np.where(logits >= cut, logits, -np.inf), u)


# Streams, wrong.


def _decoded(tokens: Any) -> Iterator[str]:
    import codecs

    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    for token in tokens:
        yield decoder.decode(token)
    yield decoder.decode(b"", final=True)


def stream_looks_one_token_back(tokens: Any, stops: Any) -> Any:
    last = ""
    for piece in _decoded(tokens):
        both = last + piece
        hit = min((both.find(s) for s in stops if s in both), default=-1)
        if hit >= 0:
            yield both[:hit]
            return
        yield last
        last = piece
    yield last


def stream_keeps_the_stop_token(tokens: Any, stops: Any) -> Any:
    text, given = "", 0
    longest = max(map(len, stops), default=1)
    for piece in _decoded(tokens):
        text += piece
        if any(s in text for s in stops):
            yield text[given:]
            return
        end = max(given, len(text) - longest + 1)
        yield text[given:end]
        given = end
    yield text[given:]


def stream_waits_for_three_bytes(tokens: Any) -> Any:
    """Characters of four bytes are not known."""
    held = b""
    for token in tokens:
        held += token
        try:
            yield held.decode()
            held = b""
        except UnicodeDecodeError as error:
            if len(held) - error.start >= 3:
                yield held.decode("utf-8", "replace")
                held = b""
            else:
                yield held[: error.start].decode()
                held = held[error.start :]
    yield held.decode("utf-8", "replace")


def stream_starts_again_after_a_mismatch(tokens: Any, stops: Any) -> Any:
    """Of "aab", "aaab" is missed: a mismatch forgets what may begin the stop."""
    text = "".join(_decoded(tokens))
    ends = []
    for stop in stops:
        at = 0
        for place, letter in enumerate(text):
            at = at + 1 if letter == stop[at] else int(letter == stop[0])
            if at == len(stop):
                ends.append((place + 1, place + 1 - len(stop)))
                break
    yield text[: min(ends)[1]] if ends else text


def stream_ends_at_an_empty_piece(tokens: Any) -> Any:
    for piece in _decoded(tokens):
        if not piece:
            return
        yield piece


# Grammars of (ab)+c, wrong.

TOKENS = (b"</s>", b"a", b"b", b"ab", b"ba", b"c", b"abc", b"bc", b"d")


class Grammar:
    """Right: the text so far must lead somewhere."""

    def __init__(self) -> None:
        self.text = b""
        self.lengths: list[int] = []

    def leads(self, text: bytes) -> bool:
        import re

        return re.fullmatch(rb"(ab)*a?|(ab)+c", text) is not None

    @property
    def is_accepting(self) -> bool:
        return self.text.endswith(b"c")

    def mask(self) -> Any:
        follows = [bool(t != b"</s>" and self.leads(self.text + t)) for t in TOKENS]
        follows[0] = self.is_accepting
        return np.array(follows)

    def advance(self, token_id: int) -> bool:
        if token_id == 0 or not self.leads(self.text + TOKENS[token_id]):
            return False
        self.lengths.append(len(self.text))
        self.text += TOKENS[token_id]
        return True

    def rollback(self, count: int) -> None:
        self.text = self.text[: self.lengths[-count]]
        del self.lengths[-count:]


class DeadEndAfterThree(Grammar):
    """After three pairs nothing follows, and the text may not end."""

    def leads(self, text: bytes) -> bool:
        return super().leads(text) and not (text.startswith(b"ababab") and len(text) > 6)


class KeepsItsMask(Grammar):
    """The mask is not made again after a rollback."""

    kept: Any = None

    def mask(self) -> Any:
        if self.kept is None:
            self.kept = super().mask()
        return self.kept

    def advance(self, token_id: int) -> bool:
        taken = super().advance(token_id)
        if taken:
            self.kept = None
        return taken


class TakesWhatTheMaskForbids(Grammar):
    def advance(self, token_id: int) -> bool:
        if TOKENS[token_id] == b"d" and self.text:
            self.lengths.append(len(self.text))
            return True
        return super().advance(token_id)


class LongTokensAreLeftOut(Grammar):
    def mask(self) -> Any:
        found = super().mask()
        found[[6, 7]] = False
        return found


# Engines with slots, as real ones have.


class Slots:
    """Right: each request has a slot of a fixed pool, with a cache of its own text."""

    def __init__(self, forward: Any) -> None:
        self.forward = forward
        self.free = [0, 1, 2]
        self.cache: list[list[int]] = [[], [], []]
        self.waiting: list[int] = []
        self.requests: list[dict[str, Any]] = []

    def add(self, prompt: list[int], seed: int, max_tokens: int) -> int:
        self.requests.append(
            {"prompt": list(prompt), "seed": seed, "most": max_tokens, "made": 0, "slot": None,
             "state": "running"}
        )  # fmt: skip
        self.waiting.append(len(self.requests) - 1)
        return len(self.requests) - 1

    def admit(self) -> None:
        while self.waiting and self.free:
            request = self.requests[self.waiting.pop(0)]
            request["slot"] = self.free.pop()
            self.fill(request)

    def fill(self, request: Any) -> None:
        self.cache[request["slot"]] = list(request["prompt"])

    def release(self, request: Any, state: str) -> None:
        request["state"] = state
        if request["slot"] is not None:
            self.free.append(request["slot"])
            request["slot"] = None

    def running(self) -> list[int]:
        return [i for i, r in enumerate(self.requests) if r["slot"] is not None]

    def address(self, request: Any) -> tuple[int, ...]:
        return (request["seed"], request["made"])

    def step(self) -> list[tuple[int, int]]:
        self.admit()
        keys = self.running()
        if not keys:
            return []
        try:
            rows = self.forward([self.cache[self.requests[k]["slot"]] for k in keys])
        except RuntimeError:
            for k in keys:
                self.release(self.requests[k], "failed")
            return []
        given = []
        for k, row in zip(keys, rows, strict=True):
            request = self.requests[k]
            if not np.isfinite(row).all():
                self.release(request, "failed")
                continue
            u = np.random.default_rng(self.address(request)).random()
            totals = np.cumsum(softmax(row.astype(np.float64)))
            token = int(np.searchsorted(totals, u * totals[-1], side="right"))
            self.cache[request["slot"]].append(token)
            request["made"] += 1
            given.append((k, token))
            if request["made"] >= request["most"]:
                self.release(request, "done")
        return self.shown(given)

    def shown(self, given: list[tuple[int, int]]) -> list[tuple[int, int]]:
        return given

    def cancel(self, key: int) -> None:
        request = self.requests[key]
        if request["state"] != "running":
            return
        if key in self.waiting:
            self.waiting.remove(key)
        self.release(request, "cancelled")

    def state(self, key: int) -> Any:
        from decoding.testing import State

        return State(self.requests[key]["state"])


class CacheOutlivesCancel(Slots):
    """The cache of a cancelled request is not emptied, and the next one of its slot goes on in it."""

    def fill(self, request: Any) -> None:
        if getattr(self, "dirty", None) == request["slot"]:
            self.cache[request["slot"]] += request["prompt"]
            self.dirty = None
        else:
            super().fill(request)

    def cancel(self, key: int) -> None:
        slot = self.requests[key]["slot"]
        super().cancel(key)
        if slot is not None:
            self.dirty = slot


class ReleasesTwice(Slots):
    """Cancel after the end gives the slot back once more: two requests share it."""

    last: Any = None

    def release(self, request: Any, state: str) -> None:
        request["had"] = request["slot"]
        super().release(request, state)

    def cancel(self, key: int) -> None:
        request = self.requests[key]
        if request["state"] == "done" and request["had"] is not None:
            self.free.append(request["had"])
            request["had"] = None
        super().cancel(key)


class LosesTheLastOfTwo(Slots):
    """Of two requests that end in one step, the second's last token is lost."""

    def shown(self, given: list[tuple[int, int]]) -> list[tuple[int, int]]:
        ended = [k for k, _ in given if self.requests[k]["state"] == "done"]
        return [item for item in given if item[0] not in ended[1:]]


class PositionOfTheEngine(Slots):
    """The noise is addressed by the engine's steps, not by the request's."""

    steps = 0

    def step(self) -> list[tuple[int, int]]:
        given = super().step()
        self.steps += 1
        return given

    def address(self, request: Any) -> tuple[int, ...]:
        return (request["seed"], self.steps)


class PositionOffByOneInCompany(Slots):
    def address(self, request: Any) -> tuple[int, ...]:
        return (request["seed"], request["made"] + (len(self.running()) > 2))


class CancelEndsTheNeighbour(Slots):
    def cancel(self, key: int) -> None:
        slot = self.requests[key]["slot"]
        super().cancel(key)
        if slot == 2 and self.running():
            self.release(self.requests[self.running()[-1]], "cancelled")
