"""`step_of_row`: a generator that edits, draws and describes a row split over processes."""

from __future__ import annotations

import struct
import sys
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from decoding.distributed import cuts
from decoding.distributed.exact_sums import SCALE, add_sums, exact_sum, pack_sums
from decoding.distributed.row_part import (
    BeyondFloatError,
    RowPart,
    Talk,
    mass_of,
    part_of,
)
from decoding.kernels.program import Opcode, Program
from decoding.kernels.randomness import XTC_COIN
from decoding.kernels.result import EMPTY_SUPPORT, INVALID_LOGITS, TIES_BEYOND_TOP_N
from decoding.kernels.vector import noise
from decoding.kernels.vector.execute import Candidates, Emptied, apply_instruction

Row = NDArray[np.float64]

_RAW = struct.Struct("<IId")
_DRAWN = struct.Struct("<dIdd")
_ENTRY = struct.Struct("<Idd")
_NOBODY = 2**32 - 1
_LIMIT = sys.float_info.max


class RowInput(NamedTuple):
    """The inputs of a step of one row.

    raw: this process's slice of the logits. first: its first token id. program, row: what the row
    runs. seed: of the noise; None for greedy.
    """

    raw: Row
    first: int
    rank: int
    program: Program
    row: int
    bitmasks: NDArray[np.int32]
    history: NDArray[np.int32]
    prompt_length: int
    seed: int | None
    top_n: int


class Fault(NamedTuple):
    """Why a row has no token; as the first three fields of `decoding.kernels.result.ROW`."""

    status: int
    position: int
    faults: int


class Described(NamedTuple):
    """A row's token; fields as those of `decoding.sampling.batch.Sample`."""

    token_id: int
    raw_logprob: float
    processed_logprob: float
    rank: int
    entropy: float
    support_size: int
    top: list[tuple[int, float, float]]


def step_of_row(given: RowInput, *, describe: bool) -> Talk[Described | Fault]:
    """Draw one row's token: yield messages to all processes, receive theirs.

    A first attempt takes for granted that no temperature leaves the range of float64, which costs
    no round of its own.
    """
    try:
        return (yield from _attempt(given, describe=describe, is_careful=False))
    except BeyondFloatError:
        return (yield from _attempt(given, describe=describe, is_careful=True))


def _attempt(given: RowInput, *, describe: bool, is_careful: bool) -> Talk[Described | Fault]:
    raw = given.raw
    wrong = np.flatnonzero(~(raw < np.inf))
    part = part_of(np.where(raw < np.inf, raw, -np.inf), given.first, given.rank)
    raw_largest = float(part.candidates.logits.max(initial=-np.inf))
    first_wrong = int(wrong[0]) + given.first if len(wrong) else _NOBODY
    program, index = given.program, int(given.program.firsts[given.row])
    last = int(program.lasts[given.row])
    start = index
    try:
        # What needs no other process comes before the first round.
        while index < last and _is_local(program.opcodes[index], is_careful=is_careful):
            _apply_here(part, given, index, start)
            index += 1
        own = _RAW.pack(len(wrong), first_wrong, raw_largest)
        replies = yield own + part.own_largest()
        told = [_RAW.unpack_from(reply) for reply in replies]
        if any(count for count, *_ in told):
            faults = sum(count for count, *_ in told)
            return Fault(INVALID_LOGITS, min(first for _, first, _ in told), faults)
        raw_largest = max(largest for *_, largest in told)
        part.take_largest(replies, _RAW.size)
        for place in range(index, last):
            yield from _apply(part, given, place, start, is_careful=is_careful)
        yield from part.find_largest()
    except Emptied as error:
        return Fault(EMPTY_SUPPORT, error.position, 0)
    return (yield from _drawn(part, given, raw_largest, describe=describe))


_LOCAL = frozenset(
    (
        Opcode.REPETITION_PENALTY,
        Opcode.FREQUENCY_PENALTY,
        Opcode.PRESENCE_PENALTY,
        Opcode.LOGIT_BIAS,
        Opcode.BITMASK,
        Opcode.BITMASK_BIAS,
        Opcode.LOGIT_SCALE,
        Opcode.NO_REPEAT_NGRAM,
        Opcode.DRY,
    )
)
"""What changes a token's logit or removes it without a look at other tokens."""


def _is_local(opcode: int, *, is_careful: bool) -> bool:
    return opcode in _LOCAL or (opcode == Opcode.TEMPERATURE and not is_careful)


def _apply_here(part: RowPart, given: RowInput, index: int, start: int) -> None:
    """Run an instruction that needs no other process."""
    candidates = part.candidates
    if len(candidates.logits) == 0:
        part.largest = None
        return
    opcode = given.program.opcodes[index]
    if opcode == Opcode.TEMPERATURE:
        value = float(given.program.operands[index][0])
        part.overflowed |= float(np.abs(candidates.logits).max()) > _LIMIT * value
    after = apply_instruction(
        candidates,
        given.program,
        index,
        given.bitmasks,
        given.history,
        given.prompt_length,
    )
    part.replace(after, index - start, edits=True)


def _apply(
    part: RowPart, given: RowInput, index: int, start: int, *, is_careful: bool
) -> Talk[None]:
    program = given.program
    opcode = program.opcodes[index]
    if _is_local(opcode, is_careful=is_careful):
        _apply_here(part, given, index, start)
        return
    first, second, third = program.operands[index].tolist()
    entries = slice(program.sparse_starts[index], program.sparse_starts[index + 1])
    match opcode:
        case Opcode.TEMPERATURE:
            yield from _temperature(part, first, index - start)
            return
        case Opcode.DYNAMIC_TEMPERATURE:
            value = yield from cuts.dynamic_temperature(part, first, second, third)
            if value is not None:
                yield from _temperature(part, value, index - start)
            return
        case Opcode.TOP_K:
            keep = yield from cuts.top_k(part, int(first), keep_ties=second == 1.0)
        case Opcode.TOP_P:
            keep = yield from cuts.top_p(part, first)
        case Opcode.TYPICAL_P:
            keep = yield from cuts.typical_p(part, first)
        case Opcode.TOP_H:
            keep = yield from cuts.top_h(part, first)
        case Opcode.CUT:
            keep = yield from cuts.cut(part, int(first), program.sparse_values[entries])
        case Opcode.XTC:
            if noise.coin(int(program.coins[index]), len(given.history), XTC_COIN) >= third:
                return
            exempt = program.sparse_token_ids[entries]
            keep = yield from cuts.xtc(part, first, int(second), exempt)
        case _:
            raise ValueError(f"no such opcode: {opcode}")
    # XTC alone may remove the largest.
    part.replace(part.candidates.only(keep), index - start, edits=opcode == Opcode.XTC)


def _temperature(part: RowPart, value: float, position: int) -> Talk[None]:
    """z / T; where that leaves float64 in some part, (z − max) / T in all."""
    largest = yield from part.find_largest()
    token_ids, logits = part.candidates
    widest = float(np.abs(logits).max(initial=0.0))
    replies = yield struct.pack("<d", widest)
    widest = max(struct.unpack("<d", reply)[0] for reply in replies)
    if widest <= _LIMIT * value:
        changed = logits / value
    else:
        with np.errstate(over="ignore"):
            changed = np.maximum((logits - largest) / value, -_LIMIT)
    part.replace(Candidates(token_ids, changed), position, edits=True)


def _drawn(
    part: RowPart, given: RowInput, raw_largest: float, *, describe: bool
) -> Talk[Described]:
    logits = part.candidates.logits
    own = (-np.inf, _NOBODY, -np.inf, -np.inf)
    if len(logits):
        own = _best(part.candidates, given)
    message = _DRAWN.pack(*own)
    count = min(given.top_n, len(logits))
    if describe:
        _, mass_message = part.own_mass()
        with np.errstate(over="ignore"):
            raw_weights = np.exp(given.raw - raw_largest)
        listed, more = _likeliest(part.candidates, given, given.top_n)
        message += struct.pack("<I", len(logits)) + mass_message
        message += pack_sums(exact_sum(raw_weights))
        if given.top_n:
            packed = b"".join(_ENTRY.pack(*entry) for entry in listed[:count])
            message += struct.pack("<B", more) + packed.ljust(given.top_n * _ENTRY.size, b"\0")
    replies = yield message
    told = [_DRAWN.unpack_from(reply) for reply in replies]
    _, token_id, logit, raw = max(told, key=lambda item: (item[0], -item[1]))
    if not describe:
        return Described(token_id, 0.0, 0.0, 0, 0.0, 0, [])
    place = _DRAWN.size
    counts = [struct.unpack_from("<I", reply, place)[0] for reply in replies]
    mass = mass_of(replies, place + 4)
    [raw_total] = add_sums(replies, place + 28, 1)
    after = place + 40
    entries, extra = _entries_of(replies, after, counts, given.top_n)
    message = struct.pack("<I", np.count_nonzero(given.raw > raw))
    beyond = _likeliest(part.candidates, given, given.top_n + extra)[0][given.top_n :]
    packed = b"".join(_ENTRY.pack(*entry) for entry in beyond)
    replies = (
        yield message
        + struct.pack("<B", len(beyond)) * bool(extra)
        + packed.ljust(extra * _ENTRY.size, b"\0")
    )
    rank = 1 + sum(struct.unpack_from("<I", reply)[0] for reply in replies)
    if extra:
        for reply in replies:
            entries += [_ENTRY.unpack_from(reply, 5 + item * _ENTRY.size)
                        for item in range(reply[4])]  # fmt: skip
    assert part.largest is not None  # ours
    logs = (float(np.log(raw_total / SCALE)), mass.log_total)
    largest = (raw_largest, part.largest)
    top = [
        (entry[0], entry[2] - largest[0] - logs[0], entry[1] - largest[1] - logs[1])
        for entry in _cut_entries(entries, given.top_n)
    ]
    return Described(
        token_id,
        raw - largest[0] - logs[0],
        logit - largest[1] - logs[1],
        rank,
        max(0.0, mass.entropy),
        sum(counts),
        top,
    )


def _best(candidates: Candidates, given: RowInput) -> tuple[float, int, float, float]:
    """Score, token id, logit and raw logit of the best candidate of this process."""
    token_ids, logits = candidates
    if given.seed is None:
        place = int(logits.argmax())
        score = float(logits[place])
    else:
        at = noise.Place(given.seed, len(given.history))
        place = noise.choose(token_ids, logits, at)
        [own] = noise.token_noise(token_ids[place : place + 1], at)
        score = float(logits[place] + own)
    token_id = int(token_ids[place])
    return score, token_id, float(logits[place]), float(given.raw[token_id - given.first])


def _likeliest(
    candidates: Candidates, given: RowInput, count: int
) -> tuple[list[tuple[int, float, float]], int]:
    """The likeliest candidates of this process as entries, and how many more tie with the last."""
    token_ids, logits = candidates
    if count == 0 or len(logits) == 0:
        return [], 0
    place = max(0, len(logits) - count)
    chosen = np.flatnonzero(logits >= np.partition(logits, place)[place])
    chosen = chosen[np.argsort(-logits[chosen], kind="stable")]
    ids = token_ids[chosen[:count]]
    raw = given.raw[ids - given.first]
    listed = zip(ids.tolist(), logits[chosen[:count]].tolist(), raw.tolist(), strict=True)
    return list(listed), min(len(chosen) - len(ids), TIES_BEYOND_TOP_N)


def _entries_of(
    replies: list[bytes], place: int, counts: list[int], top_n: int
) -> tuple[list[tuple[int, float, float]], int]:
    """The entries that all processes told, and how many more some process has to tell."""
    if top_n == 0:
        return [], 0
    told = [
        [_ENTRY.unpack_from(reply, place + 1 + item * _ENTRY.size) for item in range(own)]
        for reply, count in zip(replies, counts, strict=True)
        for own in [min(count, top_n)]
    ]
    entries = [entry for own in told for entry in own]
    last = sorted((entry[1] for entry in entries), reverse=True)[:top_n][-1]
    more = [
        reply[place] for reply, own in zip(replies, told, strict=True) if own and own[-1][1] == last
    ]
    return entries, max(more, default=0)


def _cut_entries(
    entries: list[tuple[int, float, float]], top_n: int
) -> list[tuple[int, float, float]]:
    if top_n == 0:
        return []
    ordered = sorted(entries, key=lambda entry: (-entry[1], entry[0]))
    last = ordered[:top_n][-1][1]
    return [entry for entry in ordered if entry[1] >= last][: top_n + TIES_BEYOND_TOP_N]
