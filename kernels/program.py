"""Programs: the instructions of a batch of pipelines, which a kernel runs row by row.

A processor lowers to instructions; the instructions of every row, one row after the other, are a
program. It consists of arrays only, so that any backend can read it without Python in the loop.

One arithmetic. Every backend computes an edited logit in float64 from the stored logit, with the
operations of `decoding.kernels.vector` in the order of the program, each rounded once: a product is
never fused with a sum, z / T is a division and not a product with 1 / T, two temperatures divide
twice, and a power of DRY is repeated squaring. So what penalties, biases, scales, temperatures, DRY
and bans on n-grams leave of a row is the same float64 on every backend, bit for bit, but for the
sign of a zero, and so are its order, its ties, what top-k keeps of it and the greedy token. What
sums over the row is not the same to the last bit: logprobs and entropy, and with them the
temperature that `DYNAMIC_TEMPERATURE` takes from the entropy, agree to 10⁻⁵ (relative, where they
are above 1; Numba sums a row in float32, NumPy and torch in float64). A cut by probability mass or
by entropy keeps the same tokens unless the sum before one is within that distance of the cut. The
noise of a draw has the same bits everywhere (`docs/noise.md`), so a drawn token is the same unless
such a cut or temperature comes before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Opcode(IntEnum):
    """The operations a backend implements; unused operands (`first` to `third`) are 0."""

    TEMPERATURE = 0
    """first: the temperature, > 0."""
    TOP_K = 1
    """first: k ≥ 1; second: 1 keeps ties with the k-th, 0 keeps exactly k."""
    TOP_P = 2
    """first: p in (0, 1)."""
    CUT = 3
    """Keep what is not too far below the largest logit, see `cut`; first: which statistics its
    terms need, 0 for none; sparse values: the coefficients of the terms, `len(Term._fields)` each.
    """
    TYPICAL_P = 4
    """first: the mass in (0, 1)."""
    REPETITION_PENALTY = 5
    """first: the penalty, > 0."""
    FREQUENCY_PENALTY = 6
    """first: the penalty an occurrence."""
    PRESENCE_PENALTY = 7
    """first: the penalty a distinct token."""
    LOGIT_BIAS = 8
    """sparse: token ids and what is added to their logits."""
    BITMASK = 9
    """bitmask: the tokens that stay."""
    BITMASK_BIAS = 10
    """first: what is added to the logits of the tokens in the bitmask."""
    DYNAMIC_TEMPERATURE = 14
    """first, second: lowest and highest temperature, 0 ≤ first ≤ second; third: the exponent."""
    TOP_H = 15
    """first: the share of the entropy, in (0, 1)."""
    XTC = 16
    """first: the threshold; second: how few may be left; third: the probability that it acts, by
    the coin of its seed at the row's place; sparse: token ids that stay."""
    LOGIT_SCALE = 17
    """first, second: what logits below 0 are multiplied by, others divided by; sparse: whose."""
    NO_REPEAT_NGRAM = 18
    """first: n ≥ 1; second: 1 where only n-grams of the prompt count, which the text then begins
    with, else 0."""
    DRY = 19
    """first: the multiplier; second: the base; third: the allowed length; sparse: breakers."""


READS_HISTORY = frozenset(
    (
        Opcode.REPETITION_PENALTY,
        Opcode.FREQUENCY_PENALTY,
        Opcode.PRESENCE_PENALTY,
        Opcode.NO_REPEAT_NGRAM,
        Opcode.DRY,
    )
)
"""What looks at `Instruction.part` of the history, at the last `Instruction.last_n` tokens of it.

For the penalties the sparse operand are token ids that they leave alone.
"""


class Part(IntEnum):
    """The part of a row's history that an instruction reads: all, the prompt, or the generated."""

    ALL = 0
    """The prompt, then what was generated."""
    PROMPT = 1
    GENERATED = 2


class Instruction(NamedTuple):
    """One operation on one row: opcode, operands, tokens, bitmask, part of the history, seed."""

    opcode: Opcode
    first: float = 0.0
    second: float = 0.0
    third: float = 0.0
    token_ids: tuple[int, ...] | NDArray[np.integer] = ()
    values: tuple[float, ...] | NDArray[np.float64] = ()
    """One a token id, 0 where the operation has no use for it."""
    bitmask: NDArray[np.int32] | None = None
    """Packed words: bit i % 32 of word i // 32 is token i; tokens beyond them are not in it."""
    part: Part = Part.ALL
    last_n: int = 0
    """0 for no limit."""
    seed: int = 0
    """Of a coin, in [0, 2⁶⁴)."""


class Program(NamedTuple):
    """The instructions of a batch's rows as arrays; rows may share instructions.

    Row r runs the instructions `firsts[r]` up to `lasts[r]`. Rows may share them, and some may be
    no row's: `unshared` lays out each row's own. Instruction i has the operands `operands[i]`, the
    sparse operand from `sparse_starts[i]` up to `sparse_starts[i + 1]`, sorted by token id, the
    part and last n `scopes[i]`, the seed of a coin `coins[i]`, and the bitmask
    `bitmasks[slots[i]]`, where `slots[i]` is not −1. The bitmasks `(slots, words)` are those at
    assembly: what changes with every step is handed to a kernel beside the program.
    """

    opcodes: NDArray[np.int32]
    operands: NDArray[np.float64]
    scopes: NDArray[np.int64]
    coins: NDArray[np.uint64]
    firsts: NDArray[np.int64]
    lasts: NDArray[np.int64]
    sparse_starts: NDArray[np.int64]
    sparse_token_ids: NDArray[np.int32]
    sparse_values: NDArray[np.float64]
    slots: NDArray[np.int32]
    bitmasks: NDArray[np.int32]


class Batch(NamedTuple):
    """A batch's program, and how each row draws and is described.

    Row r draws greedily where `greedy[r]`, else with the noise of `seeds[r]`; `top_n[r]` of its
    likeliest tokens are described. raw: whether a row's description has what is about the row as
    the model gave it, raw logprobs and rank; True for all rows. Numba's kernel leaves it out. The
    others compute it, and `result.hide_raw` removes it.
    """

    program: Program
    seeds: NDArray[np.uint64]
    greedy: NDArray[np.bool_]
    top_n: NDArray[np.int64]
    raw: NDArray[np.bool_] | bool = True


class Term(NamedTuple):
    """One bound of a cut: its offset from the largest logit, a weighted sum of row statistics.

    The statistics are of the row as it stands, z − max over its possible tokens; all are finite.

    constant: of 1. log_total: of ln Z, Z = Σ exp(z − max): a token's ln p is z − max − ln Z.
    entropy: of H = −Σ p ln p. deviation: of σ, the population standard deviation of the logits.
    log_squares: of ln Σ exp(2 (z − max)), so that ln Σ p² is this less 2 ln Z.
    """

    constant: float = 0.0
    log_total: float = 0.0
    entropy: float = 0.0
    deviation: float = 0.0
    log_squares: float = 0.0


NEEDS_TOTAL, NEEDS_DEVIATION, NEEDS_SQUARES = 1, 2, 4
"""Bits of a cut's first operand: whether a term has to do with Z or H, with σ, with Σ p²."""


def cut(*terms: Term) -> Instruction:
    """Keep z ≥ max + min(0, the least term): min-p, epsilon, eta, top-nσ, top-a and their like.

    >>> cut(Term(constant=-2.0, log_total=1.0)).first
    1.0
    """
    needs = (
        NEEDS_TOTAL * any(term.log_total or term.entropy for term in terms)
        | NEEDS_DEVIATION * any(term.deviation for term in terms)
        | NEEDS_SQUARES * any(term.log_squares for term in terms)
    )
    values = tuple(number for term in terms for number in term)
    return Instruction(Opcode.CUT, float(needs), token_ids=tuple(range(len(values))), values=values)


def assemble(rows: Sequence[Sequence[Instruction]]) -> Program:
    """Lay the instructions of every row out as one program."""
    flat = [instruction for row in rows for instruction in row]
    sparse = [_by_token(item) for item in flat if len(item.token_ids)]
    bitmasks = [item.bitmask for item in flat if item.bitmask is not None]
    slots = iter(range(len(bitmasks)))
    starts = _starts([len(row) for row in rows])
    return Program(
        np.array([item.opcode for item in flat], np.int32),
        np.array([item[1:4] for item in flat], np.float64).reshape(-1, 3),
        np.array([item[7:9] for item in flat], np.int64).reshape(-1, 2),
        np.array([item.seed for item in flat], np.uint64),
        starts[:-1],
        starts[1:],
        _starts([len(item.token_ids) for item in flat]),
        np.concatenate([_NO_IDS, *(token_ids for token_ids, _ in sparse)]),
        np.concatenate([_NO_VALUES, *(values for _, values in sparse)]),
        np.array([-1 if item.bitmask is None else next(slots) for item in flat], np.int32),
        fit_bitmasks(bitmasks, max(map(len, bitmasks), default=0)),
    )


def patched(program: Program, changed: Mapping[int, Instruction]) -> Program:
    """Replace instructions at some positions of a program; its bitmasks stay the same."""
    starts = program.sparse_starts
    token_ids, values, moved, last = [], [], starts.copy(), 0
    for index in sorted(changed):
        start, stop = starts[index], starts[index + 1]
        own_ids, own_values = _by_token(changed[index])
        token_ids += [program.sparse_token_ids[last:start], own_ids]
        values += [program.sparse_values[last:start], own_values]
        moved[index + 1 :] += len(own_ids) - (stop - start)
        last = stop
    return retuned(program, changed)._replace(
        sparse_starts=moved,
        sparse_token_ids=np.concatenate([*token_ids, program.sparse_token_ids[last:]]),
        sparse_values=np.concatenate([*values, program.sparse_values[last:]]),
    )


def retuned(program: Program, changed: Mapping[int, Instruction]) -> Program:
    """Replace opcodes, operands, scopes and seeds at some positions of a program."""
    opcodes, operands = program.opcodes.copy(), program.operands.copy()
    scopes, coins = program.scopes.copy(), program.coins.copy()
    for index, item in changed.items():
        opcodes[index], operands[index], scopes[index] = item.opcode, item[1:4], item[7:9]
        coins[index] = item.seed
    return program._replace(opcodes=opcodes, operands=operands, scopes=scopes, coins=coins)


def gathered(program: Program, firsts: NDArray[np.int64], lasts: NDArray[np.int64]) -> Program:
    """Concatenate some runs of instructions to a program: row r is the r-th run.

    Slots are those of `program`, whose bitmasks they name.
    """
    places = _ranges(firsts, lasts)
    starts, stops = program.sparse_starts[places], program.sparse_starts[places + 1]
    entries = _ranges(starts, stops)
    ends, sparse_ends = np.cumsum(lasts - firsts), np.cumsum(stops - starts)
    return Program(
        program.opcodes[places],
        program.operands[places],
        program.scopes[places],
        program.coins[places],
        ends - (lasts - firsts),
        ends,
        np.concatenate((np.zeros(1, np.int64), sparse_ends)),
        program.sparse_token_ids[entries],
        program.sparse_values[entries],
        program.slots[places],
        program.bitmasks,
    )


def unshared(program: Program) -> Program:
    """The same program with separate instructions for every row, in the order of the rows."""
    firsts, lasts = program.firsts, program.lasts
    ends = np.append(0, lasts)
    if (firsts == ends[:-1]).all() and ends[-1] == len(program.opcodes):
        return program
    return gathered(program, firsts, lasts)


def _ranges(firsts: NDArray[np.int64], lasts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The numbers from each first up to its last, one range after the other."""
    lengths = lasts - firsts
    ends = np.cumsum(lengths)
    return np.arange(int(lengths.sum())) + np.repeat(firsts - (ends - lengths), lengths)


_NO_IDS, _NO_VALUES = np.zeros(0, np.int32), np.zeros(0)


def _by_token(item: Instruction) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    token_ids = np.asarray(item.token_ids, np.int32)
    if len(token_ids) < 2:
        return token_ids, np.asarray(item.values, np.float64)
    order = np.argsort(token_ids, kind="stable")
    return token_ids[order], np.asarray(item.values, np.float64)[order]


def words_of(width: int) -> int:
    """The number of 32-bit words that hold a bit for each of `width` tokens."""
    return (width + 31) // 32


def fit_bitmasks(bitmasks: Sequence[NDArray[np.int32]], words: int) -> NDArray[np.int32]:
    """Stack bitmasks as one array `(len(bitmasks), words)`; cut or pad each with zeros."""
    fitted = np.zeros((len(bitmasks), words), np.int32)
    for slot, bitmask in enumerate(bitmasks):
        fitted[slot, : len(bitmask)] = bitmask[:words]
    return fitted


def _starts(lengths: Sequence[int]) -> NDArray[np.int64]:
    return np.array([0, *accumulate(lengths)], np.int64)
