"""Processors, samplers and streams as strangers write them, right ones and ones with a fault.

Nothing here knows a class of this library.
"""

from __future__ import annotations

import codecs

import numpy as np

from decoding.engine.detokenizer import TextStream
from decoding.engine.stopping import StopStrings


def softmax(logits):
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def nucleus(logits, p, extra=0, dtype=None):
    order = np.argsort(-logits, axis=-1, kind="stable")
    probs = np.take_along_axis(softmax(logits), order, axis=-1)
    before = np.cumsum(probs, axis=-1, dtype=dtype) - probs
    count = (before < p).sum(axis=-1, keepdims=True) + extra
    keep = np.empty(logits.shape, bool)
    np.put_along_axis(keep, order, np.arange(logits.shape[-1]) < count, axis=-1)
    return np.where(keep, logits, -np.inf)


def top_p(logits):
    return nucleus(logits, 0.9)


def top_p_float64(logits):
    return nucleus(logits.astype(np.float64), 0.9).astype(logits.dtype)


def top_p_ascending(logits):
    """As transformers does: sorted upwards, what the rest already covers is removed."""
    order = np.argsort(logits, axis=-1, kind="stable")
    probs = np.take_along_axis(softmax(logits), order, axis=-1)
    remove = np.cumsum(probs, axis=-1) <= 1.0 - 0.9
    remove[..., -1:] = False
    result = logits.copy()
    gone = np.empty(logits.shape, bool)
    np.put_along_axis(gone, order, remove, axis=-1)
    result[gone] = -np.inf
    return result


def top_p_renormalised(logits):
    """Returns logprobs of what stays."""
    kept = nucleus(logits, 0.9)
    top = kept.max(axis=-1, keepdims=True)
    return kept - top - np.log(np.exp(kept - top).sum(axis=-1, keepdims=True))


def top_p_row(row):
    return nucleus(row, 0.9)


def top_p_in_place(logits):
    logits[...] = nucleus(logits, 0.9)


def top_k(logits):
    kth = np.partition(logits, -3, axis=-1)[..., -3:-2]
    return np.where(logits >= kth, logits, -np.inf)


def top_k_exact(logits):
    order = np.argsort(-logits, axis=-1, kind="stable")
    result = np.full_like(logits, -np.inf)
    best = order[..., :3]
    np.put_along_axis(result, best, np.take_along_axis(logits, best, axis=-1), axis=-1)
    return result


def min_p(logits):
    probs = softmax(logits)
    return np.where(probs >= 0.1 * probs.max(axis=-1, keepdims=True), logits, -np.inf)


def typical(logits):
    probs = softmax(logits)
    with np.errstate(divide="ignore", invalid="ignore"):
        surprise = -np.log(probs)
        entropy = np.nansum(np.where(probs > 0, probs * surprise, 0.0), axis=-1, keepdims=True)
        distance = np.where(probs > 0, np.abs(surprise - entropy), np.inf)
    order = np.argsort(distance, axis=-1, kind="stable")
    sorted_probs = np.take_along_axis(probs, order, axis=-1)
    before = np.cumsum(sorted_probs, axis=-1) - sorted_probs
    keep = np.empty(logits.shape, bool)
    np.put_along_axis(keep, order, before < 0.7, axis=-1)
    return np.where(keep, logits, -np.inf)


def temperature(logits):
    return logits / 0.7


def temperature_stable(logits):
    return (logits - logits.max(axis=-1, keepdims=True)) / 0.7


def temperature_top_p(logits):
    return nucleus(logits / 1.5, 0.9)


def repetition(logits, token_ids):
    result = logits.copy()
    for row, ids in enumerate(token_ids):
        for token in {int(i) for i in ids if i >= 0}:
            value = result[row, token]
            result[row, token] = value * 1.3 if value < 0 else value / 1.3
    return result


def repetition_by_lengths(logits, token_ids, lengths):
    result = logits.copy()
    for row, length in enumerate(lengths):
        seen = np.unique(token_ids[row, :length])
        values = result[row, seen]
        result[row, seen] = np.where(values < 0, values * 1.3, values / 1.3)
    return result


def frequency(logits, token_ids):
    result = logits.copy()
    for row, ids in enumerate(token_ids):
        for token in ids[ids >= 0]:
            result[row, token] -= 0.5
    return result


def presence(logits, token_ids):
    result = logits.copy()
    for row, ids in enumerate(token_ids):
        result[row, np.unique(ids[ids >= 0])] -= 0.5
    return result


# The ten planted faults, but for the missed stop, and more of their kinds.


def top_p_one_too_many(logits):
    return nucleus(logits, 0.9, extra=1)


def temperature_five_percent_off(logits):
    return logits / (0.7 * 1.05)


def top_p_summed_in_float16(logits):
    return nucleus(logits, 0.9, dtype=np.float16)


def repetition_of_padding(logits, token_ids):
    result = logits.copy()
    for row, ids in enumerate(token_ids):
        for token in {int(i) for i in ids}:
            value = result[row, token]
            result[row, token] = value * 1.3 if value < 0 else value / 1.3
    return result


def repetition_beyond_lengths(logits, token_ids, lengths):
    return repetition(logits, token_ids)


_noise = np.random.default_rng(7)


def top_p_never_the_same(logits):
    return nucleus(logits + _noise.normal(0, 1e-3, logits.shape).astype(logits.dtype), 0.9)


def top_p_not_the_same_at_one_percent(logits):
    return nucleus(logits, 0.9 if _noise.random() > 0.01 else 0.8)


def top_p_writes_its_input(logits):
    logits[...] = nucleus(logits, 0.9)
    return logits


def top_p_of_the_first_row(logits):
    keep = nucleus(logits[:1], 0.9) > -np.inf
    return np.where(keep | (logits >= logits.max(axis=-1, keepdims=True)), logits, -np.inf)


def temperature_revives(logits):
    return np.maximum(logits, -1e4).astype(logits.dtype) / 0.7


def top_k_drops_ties(logits):
    kth = np.partition(logits, -3, axis=-1)[..., -3:-2]
    return np.where(logits > kth, logits, -np.inf)


def top_k_one_too_few(logits):
    kth = np.partition(logits, -2, axis=-1)[..., -2:-1]
    return np.where(logits >= kth, logits, -np.inf)


def min_p_absolute(logits):
    return np.where(softmax(logits) >= 0.1, logits, -np.inf)


def min_p_strict(logits):
    probs = softmax(logits)
    return np.where(probs > probs.max(axis=-1, keepdims=True), logits, -np.inf)


def top_p_before_temperature(logits):
    return nucleus(logits, 0.9) / 1.5


def repetition_sign(logits, token_ids):
    result = logits.copy()
    for row, ids in enumerate(token_ids):
        for token in {int(i) for i in ids if i >= 0}:
            result[row, token] /= 1.3
    return result


def repetition_per_count(logits, token_ids):
    result = logits.copy()
    for row, ids in enumerate(token_ids):
        for token in ids[ids >= 0]:
            value = result[row, token]
            result[row, token] = value * 1.3 if value < 0 else value / 1.3
    return result


def frequency_once(logits, token_ids):
    return presence(logits, token_ids)


def frequency_as_a_reward(logits, token_ids):
    return 2 * logits - frequency(logits, token_ids)


def repetition_of_the_prompt_left_out(logits, prompt_ids, generated_ids):
    del prompt_ids
    return repetition(logits, generated_ids)


class TopPWithAMemory:
    """Keeps the order of the first row of each shape."""

    def __init__(self) -> None:
        self.known = {}

    def __call__(self, logits) -> object:
        key = logits.shape
        if key not in self.known:
            self.known[key] = nucleus(logits, 0.9) > -np.inf
        return np.where(self.known[key], logits, -np.inf)


def top_p_in_float64_forgets(logits):
    return nucleus(logits.astype(np.float64), 0.9)


def temperature_along_the_batch(logits):
    weights = np.exp(logits - logits.max(axis=0, keepdims=True))
    return np.log(weights / weights.sum(axis=0, keepdims=True)) / 0.7


def top_p_without_maximum(logits):
    weights = np.exp(logits)
    probs = weights / weights.sum(axis=-1, keepdims=True)
    return np.where(np.isnan(probs), np.nan, nucleus(logits, 0.9)).astype(logits.dtype)


def top_p_of_one_row(logits):
    return logits.copy() if len(logits) == 1 else nucleus(logits, 0.9)


def repetition_of_the_last(logits, token_ids):
    return repetition(logits, token_ids[:, -1:])


def top_p_unsorted(logits):
    probs = softmax(logits)
    return np.where(np.cumsum(probs, axis=-1) - probs < 0.9, logits, -np.inf)


def top_p_without_the_crossing(logits):
    order = np.argsort(-logits, axis=-1, kind="stable")
    probs = np.take_along_axis(softmax(logits), order, axis=-1)
    keep = np.empty(logits.shape, bool)
    np.put_along_axis(keep, order, np.cumsum(probs, axis=-1) <= 0.9, axis=-1)
    return np.where(keep, logits, -np.inf)


def temperature_almost(logits):
    return np.maximum(logits / 0.7, -1e4)


# Samplers.


def draw_inverse(logits, u):
    totals = np.cumsum(softmax(logits / 0.7), axis=-1)
    return (u[:, None] * totals[:, -1:] < totals).argmax(axis=-1)


def draw_inverse_off_by_one(logits, u):
    totals = np.cumsum(softmax(logits / 0.7), axis=-1)
    return np.minimum((u[:, None] * totals[:, -1:] > totals).sum(axis=-1) + 1, logits.shape[1] - 1)


def draw_inverse_too_hot(logits, u):
    return draw_inverse(logits / 1.05, u)


def draw_gumbel(logits, uniforms):
    return (logits / 0.7 - np.log(-np.log(uniforms))).argmax(axis=-1)


def draw_gumbel_without_the_outer_logarithm(logits, uniforms):
    return (logits / 0.7 + np.log(uniforms)).argmax(axis=-1)


def draw_race(logits, uniforms):
    return (softmax(logits / 0.7) / -np.log1p(-uniforms)).argmax(axis=-1)


def hashed(seed, position, shape):
    """One number in (0, 1) for each (seed, position, token): the finaliser of SplitMix64."""
    seed = np.asarray(seed, np.uint64).reshape(-1, 1)
    position = np.asarray(position, np.uint64).reshape(-1, 1)
    with np.errstate(over="ignore"):
        x = seed * np.uint64(0x9E3779B97F4A7C15) + position * np.uint64(0xD1342543DE82EF95)
        x = x + np.arange(shape[1], dtype=np.uint64) * np.uint64(0x2545F4914F6CDD1D)
        for _ in range(2):
            x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            x ^= x >> np.uint64(31)
    x = np.broadcast_to(x, shape)
    return ((x >> np.uint64(11)).astype(np.float64) + 0.5) / 2.0**53


def draw_seeded(logits, seeds, positions):
    return draw_gumbel(logits, hashed(seeds, positions, logits.shape))


def draw_one_seed(logits, seed):
    return draw_gumbel(logits, np.random.default_rng(seed).random(logits.shape))


def draw_generator(logits, generator):
    return draw_gumbel(logits, generator.random(logits.shape))


_stream = np.random.default_rng(3)


def draw_unseeded(logits):
    return draw_gumbel(logits, _stream.random(logits.shape))


def draw_row(row):
    return int(draw_gumbel(row[None], _stream.random((1, len(row))))[0])


def draw_ignoring_seeds(logits, seeds, positions):
    return draw_seeded(logits, seeds * 0, positions)


def draw_ignoring_positions(logits, seeds, positions):
    return draw_seeded(logits, seeds, positions * 0)


def draw_with_one_noise_for_rows(logits, generator):
    noise = np.broadcast_to(generator.random(logits.shape[1:]), logits.shape)
    return draw_gumbel(logits, noise)


def draw_of_the_place_in_the_batch(logits, seeds, positions):
    return draw_seeded(logits, seeds + np.arange(len(seeds)), positions)


def draw_seeded_too_hot(logits, seeds, positions):
    return draw_seeded(logits / 1.05, seeds, positions)


def draw_of_the_last_call(logits, generator):
    """Every second call repeats the noise of the one before."""
    state = generator.bit_generator.state
    tokens = draw_generator(logits, generator)
    if _toggle.append(1) or len(_toggle) % 2:
        generator.bit_generator.state = state
    return tokens


_toggle: list[int] = []


def draw_masked(logits, generator):
    return draw_generator(np.maximum(logits, -5.0), generator)


def draw_seeded_unless_lucky(logits, seeds, positions):
    return (
        draw_unseeded(logits) if _stream.random() < 0.01 else draw_seeded(logits, seeds, positions)
    )


# Streams.


def text_stream(tokens, stops):
    """Holds back as many characters as the longest stop string has, less one."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text, given = "", 0
    longest = max(map(len, stops), default=0)
    for token in tokens:
        text += decoder.decode(token)
        found = [(text.find(stop) + len(stop), text.find(stop)) for stop in stops if stop in text]
        if found:
            yield text[given : min(found)[1]]
            return
        end = max(given, len(text) - max(0, longest - 1))
        yield text[given:end]
        given = end
    text += decoder.decode(b"", final=True)
    found = [text.find(stop) for stop in stops if stop in text]
    yield text[given : min(found, default=len(text))]


def text_stream_eager(tokens, stops):
    matcher = StopStrings(tuple(stops)).start(keep=False)
    stream = TextStream()
    for token in tokens:
        yield matcher.push(stream.push(token))
        if matcher.stop is not None:
            return
    yield matcher.push(stream.flush())
    if matcher.stop is None:
        yield matcher.flush()


def text_all_at_once(tokens, stops):
    text = b"".join(list(tokens)).decode("utf-8", "replace")
    ends = [(text.find(stop) + len(stop), text.find(stop)) for stop in stops if stop in text]
    return text[: min(ends)[1]] if ends else text


def stop_missed_inside_a_token(tokens, stops):
    text = ""
    for token in tokens:
        text += token.decode("utf-8", "ignore")
        if any(text.endswith(stop) for stop in stops):
            return [next(text.removesuffix(stop) for stop in stops if text.endswith(stop))]
    return [text]


def stop_missed_across_tokens(tokens, stops):
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    for token in tokens:
        piece = decoder.decode(token)
        hits = [piece.find(stop) for stop in stops if stop in piece]
        if hits:
            yield piece[: min(hits)]
            return
        yield piece
    yield decoder.decode(b"", final=True)


def text_by_tokens(tokens):
    return [token.decode("utf-8", "replace") for token in tokens]


def text_that_loses_its_end(tokens, stops):
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text, given = "", 0
    longest = max(map(len, stops), default=0)
    for token in tokens:
        text += decoder.decode(token)
        if any(stop in text for stop in stops):
            yield text[given : min(text.find(stop) for stop in stops if stop in text)]
            return
        end = max(given, len(text) - longest)
        yield text[given:end]
        given = end


def text_that_reads_on(tokens, stops):
    pieces = list(tokens)
    yield text_all_at_once(pieces, stops)
