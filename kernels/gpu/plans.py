"""Decides which programs the Triton kernels run; prepares their arrays once a batch.

A row is accepted if its program is

    (penalty | logit bias | bitmask | bitmask bias)*
    (temperature | top-k | top-p | cut | typical-p)*

each in any order and number: every edit before every temperature and truncation. A repetition
penalty is over the whole history, the others over what is generated, without exempt tokens. A cut
has one term, of a constant and of ln Z: min-p, epsilon, top-a and their like. Its
parameters must be moderate too, so that edits and temperatures stay far from the ends of float32
and float64: temperatures, alone and multiplied up to the first truncation, and the repetition
penalty in [10⁻³⁰, 10³⁰], every other number up to 10³⁰ in magnitude, a bias of −inf aside.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from decoding.kernels.program import Batch, Opcode, Part, Program, Term

_LARGE = 1e30
_PENALTIES = (Opcode.REPETITION_PENALTY, Opcode.FREQUENCY_PENALTY, Opcode.PRESENCE_PENALTY)
_DENSE = (Opcode.BITMASK, Opcode.BITMASK_BIAS)
_EDITS = (*_PENALTIES, Opcode.LOGIT_BIAS, *_DENSE)
_TRUNCATIONS = (Opcode.TOP_K, Opcode.TOP_P, Opcode.CUT, Opcode.TYPICAL_P)
_AFTER_EDITS = (Opcode.TEMPERATURE, *_TRUNCATIONS)
_FACTORS = (Opcode.TEMPERATURE, Opcode.REPETITION_PENALTY)

_FULL = 0.9
"""How much of the room for candidates a row's slices may fill, as they do not do it evenly."""


class Geometry(NamedTuple):
    """How rows of a width are laid out over programs; it depends on the width alone.

    rows: of a program. block: tokens of a slice, a power of two. splits: slices of a row. wide,
    narrow: for how many candidates of a row there is room in the finishing step for rows with many,
    or few, of them; powers of two.
    """

    rows: int
    block: int
    splits: int
    wide: int
    narrow: int

    @classmethod
    def of(cls, width: int, *, tile: int, wide: int, narrow: int) -> Geometry:
        """Slices of at most `tile` tokens, a power of two and at least 32."""
        whole = max(32, power_of_two(width))
        block = min(whole, tile)
        splits = -(-width // block)
        wide = min(whole, power_of_two(wide))
        rows = max(1, tile // block)
        return cls(rows, block, splits, wide, min(wide, power_of_two(narrow)))


class Needs(NamedTuple):
    """The candidates that the first kernel must mark in each row.

    targets, limits: it should mark the tokens in so many of a slice's likeliest quads, 0 for none.
    contenders: 1 where it marks them by their noise, 2 where by their logit, else 0.
    rooms: how many candidates there is room for, `wide` or `narrow` of the geometry.
    """

    targets: NDArray[np.int32]
    limits: NDArray[np.int32]
    contenders: NDArray[np.int32]
    rooms: NDArray[np.int32]


class Plan(NamedTuple):
    """The programs of a batch's rows as arrays that the kernels read.

    operands: the first two of the program's, of a cut its term's two. cut_starts: each row's
    first instruction that is no edit. temperatures: the product of those ahead of the first
    truncation. firsts: the first truncation, −1 where there is none.
    """

    operands: NDArray[np.float64]
    cut_starts: NDArray[np.int64]
    temperatures: NDArray[np.float32]
    firsts: NDArray[np.int64]
    reads_history: NDArray[np.int32]
    most_edits: int
    most_cuts: int
    dense: bool
    biased: bool
    sparse: bool
    needs_mass: bool


def plan(batch: Batch) -> Plan | None:
    """Make the plan of a batch whose rows share no instructions; None if a row is unsupported."""
    program = batch.program
    size = len(batch.seeds)
    cut_starts = program.firsts.copy()
    temperatures = np.ones(size)
    firsts = np.full(size, -1, np.int64)
    for row in range(size):
        start, stop = int(program.firsts[row]), int(program.lasts[row])
        opcodes = program.opcodes[start:stop].tolist()
        edits = sum(opcode in _EDITS for opcode in opcodes)
        if any(opcode not in _AFTER_EDITS for opcode in opcodes[edits:]):
            return None
        cut_starts[row] = start + edits
        truncations = [i for i in range(start, stop) if program.opcodes[i] in _TRUNCATIONS]
        heated = slice(start + edits, truncations[0] if truncations else stop)
        temperatures[row] = program.operands[heated, 0].prod()
        if truncations:
            firsts[row] = truncations[0]
    if not (
        _are_plain(program)
        and _cuts_are_simple(program)
        and _are_moderate(program)
        and ((temperatures >= 1 / _LARGE) & (temperatures <= _LARGE)).all()
    ):
        return None
    penalised = np.isin(program.opcodes, _PENALTIES)
    reads = np.add.reduceat(np.append(penalised, False), program.firsts)
    reads[program.firsts == program.lasts] = 0
    operands = program.operands[:, :2].copy()
    starts = program.sparse_starts[:-1][program.opcodes == Opcode.CUT]
    operands[program.opcodes == Opcode.CUT] = program.sparse_values[starts[:, np.newaxis] + [0, 1]]
    first_opcodes = program.opcodes[firsts[firsts >= 0]]
    weighing = (first_opcodes == Opcode.CUT) & (operands[firsts[firsts >= 0], 1] != 0.0)
    return Plan(
        operands,
        cut_starts,
        temperatures.astype(np.float32),
        firsts,
        (reads > 0).astype(np.int32),
        int((cut_starts - program.firsts).max(initial=0)),
        int((program.lasts - cut_starts).max(initial=0)),
        bool(np.isin(program.opcodes, _DENSE).any()),
        bool((program.opcodes == Opcode.BITMASK_BIAS).any()),
        bool(penalised.any() or (program.opcodes == Opcode.LOGIT_BIAS).any()),
        bool(weighing.any() or np.isin(first_opcodes, (Opcode.TOP_P, Opcode.TYPICAL_P)).any()),
    )


def needs(batch: Batch, ready: Plan, geometry: Geometry, *, describe: bool) -> Needs:
    """How many tokens of each slice to mark as candidates, assuming that they are spread evenly."""
    truncated = ready.firsts >= 0
    wanted = batch.top_n.astype(np.float64) * describe
    counted = truncated.copy()
    counted[truncated] = batch.program.opcodes[ready.firsts[truncated]] == Opcode.TOP_K
    wanted[counted] = batch.program.operands[ready.firsts[counted], 0]
    share = np.minimum(wanted, 8 + 4 * np.ceil(wanted / geometry.splits))
    most = _quads_within(geometry)
    everything = truncated & ~counted
    # A row that fits as a whole is taken as a whole.
    some = geometry.narrow if geometry.splits == 1 else np.minimum(1.75 * share, most)
    limits = np.where(everything, most, np.where(wanted > 0, some, 0)).astype(np.int32)
    targets = np.where(everything, 0.8 * most, np.minimum(share, limits)).astype(np.int32)
    contenders = np.where(truncated, 0, np.where(batch.greedy, 2, 1))
    is_wide = limits * geometry.splits > _FULL * geometry.narrow
    return Needs(
        np.maximum(targets, limits > 0).astype(np.int32),
        limits,
        contenders.astype(np.int32),
        np.where(is_wide, geometry.wide, geometry.narrow).astype(np.int32),
    )


def _quads_within(geometry: Geometry) -> int:
    """How many of a slice's likeliest quads hold its share of what there is room for.

    Of q tokens spread at random over n quads of four, q = 4n·p, the quads that hold one are
    n · (1 − (1 − p)⁴).
    """
    share = _FULL * geometry.wide / (geometry.splits * geometry.block)
    if geometry.wide >= geometry.splits * geometry.block:
        return geometry.block
    return int(geometry.block / 4 * (1.0 - (1.0 - share) ** 4))


def power_of_two(least: int) -> int:
    """The smallest power of two that is not below `least`, which is at least 1."""
    return 1 << (least - 1).bit_length()


def _are_plain(program: Program) -> bool:
    """Whether each penalty looks at what it looks at by itself."""
    over = np.where(program.opcodes == Opcode.REPETITION_PENALTY, Part.ALL, Part.GENERATED)
    plain = (program.scopes[:, 0] == over) & (program.scopes[:, 1] == 0)
    plain &= np.diff(program.sparse_starts) == 0
    return bool(plain[np.isin(program.opcodes, _PENALTIES)].all())


def _cuts_are_simple(program: Program) -> bool:
    """Whether each cut has one term, of a constant and of ln Z."""
    cuts = np.flatnonzero(program.opcodes == Opcode.CUT)
    width, starts = len(Term._fields), program.sparse_starts
    if not (starts[cuts + 1] - starts[cuts] == width).all():
        return False
    others = starts[cuts][:, np.newaxis] + np.arange(2, width)
    return not program.sparse_values[others].any()


def _are_moderate(program: Program) -> bool:
    first = program.operands[:, 0]
    factors = np.isin(program.opcodes, _FACTORS)
    edits = np.isin(program.opcodes, _EDITS)
    values = program.sparse_values[program.sparse_values > -np.inf]
    return bool(
        (first[factors] >= 1 / _LARGE).all()
        and (np.abs(first[factors | edits]) <= _LARGE).all()
        and (np.abs(values) <= _LARGE).all()
    )
