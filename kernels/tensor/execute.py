"""PyTorch: runs the operations of a group of rows that share their opcodes."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from decoding.kernels.program import Opcode, Part
from decoding.kernels.randomness import XTC_COIN
from decoding.kernels.tensor import cutoffs, edits, filters
from decoding.kernels.tensor.candidates import NOTHING, Candidates, Entries
from decoding.kernels.tensor.noise import coin
from decoding.kernels.tensor.programs import Group, Operation


class Surroundings(NamedTuple):
    """The device tensors of a step besides the logits: histories and bitmasks.

    Tensors have one row a row: history `(rows, width)` int64, prompt + generated up to `lengths`
    and the prompt up to `prompt_lengths`, both `(rows, 1)`. bitmasks: `(slots, words)`, those of
    the whole batch.
    """

    token_ids: Tensor
    lengths: Tensor
    prompt_lengths: Tensor
    bitmasks: Tensor

    def of(self, group: Group) -> Surroundings:
        """The rows of one group."""
        return Surroundings(
            group.of(self.token_ids),
            group.of(self.lengths),
            group.of(self.prompt_lengths),
            self.bitmasks,
        )

    def entries(self, candidates: Candidates, operation: Operation) -> Entries:
        """Find the tokens of a penalty's scope among the candidates of their row."""
        columns = torch.arange(self.token_ids.shape[1], device=self.token_ids.device)
        in_prompt, in_generated = operation.parts == Part.PROMPT, operation.parts == Part.GENERATED
        start = torch.where(in_generated, self.prompt_lengths, 0)
        stop = torch.where(in_prompt, self.prompt_lengths, self.lengths)
        latest = torch.where(operation.last_n > 0, stop - operation.last_n, 0)
        present = (columns >= torch.maximum(start, latest)) & (columns < stop)
        if operation.token_ids.shape[1] > 0:
            same = self.token_ids[:, :, None] == operation.token_ids[:, None, :]
            present = present & ~(same & operation.present[:, None, :]).any(2)
        return candidates.entries_of(self.token_ids, present)


class Outcome(NamedTuple):
    """The result of a group's operations, one entry a row.

    emptied: `(rows, 1)` int64, the operation that removed the last candidate, −1 for none.
    uncertain: `(rows, 1)`, where a truncation may have had too few candidates to choose from.
    """

    candidates: Candidates
    emptied: Tensor
    uncertain: Tensor


_KEEP_THE_LIKELIEST = (
    Opcode.TOP_K,
    Opcode.TOP_P,
    Opcode.CUT,
    Opcode.TOP_H,
)


def run(group: Group, logits: Tensor, around: Surroundings, capacity: int | None) -> Outcome:
    """The candidates left after the group's operations on float64 logits `(rows, vocab)`.

    capacity: among how many tokens a truncation looks for those that stay; None for all.
    """
    candidates = Candidates(logits)
    emptied = torch.full((len(logits), 1), -1, device=logits.device)
    uncertain = torch.zeros_like(emptied, dtype=torch.bool)
    for position, operation in enumerate(group.operations):
        if operation.opcode in _KEEP_THE_LIKELIEST:
            candidates, doubt = _truncate(candidates, operation, capacity)
            uncertain = uncertain | doubt
        elif operation.opcode == Opcode.TYPICAL_P:
            candidates = candidates.only(filters.typical_p(candidates.logits, operation.first))
        elif operation.opcode == Opcode.XTC:
            exempt = candidates.entries_of(operation.token_ids, operation.present)
            keep = cutoffs.xtc(candidates.logits, operation.first, exempt, operation.second)
            acts = coin(operation.coins, around.lengths, XTC_COIN) < operation.third
            candidates = candidates.only(keep | ~acts)
        else:
            candidates = _edit(candidates, operation, around)
        if operation.may_empty:
            empty = candidates.logits.amax(1, keepdim=True) == NOTHING
            emptied = torch.where(empty & (emptied < 0), position, emptied)
    return Outcome(candidates, emptied, uncertain)


def _truncate(
    candidates: Candidates, operation: Operation, capacity: int | None
) -> tuple[Candidates, Tensor]:
    """The candidates that stay, and in which rows more might, `(rows, 1)`.

    Truncations keep the likeliest tokens. Where all that are kept are likelier than the least
    likely one looked at, none that was not looked at would have stayed.
    """
    width = candidates.logits.shape[1]
    if capacity is not None and operation.opcode == Opcode.TOP_K:
        capacity = operation.most + capacity // 4
    if capacity is None or capacity >= width or candidates.token_ids is not None:
        kept = candidates.only(_kept(candidates.logits, operation, candidates.logits))
        return kept, torch.zeros_like(kept.logits[:, :1], dtype=torch.bool)
    likeliest, last = candidates.likeliest(capacity)
    keep = _kept(likeliest.logits, operation, candidates.logits)
    least = torch.where(keep, likeliest.logits, torch.inf).amin(1, keepdim=True)
    return likeliest.only(keep), (least <= last) & (last > NOTHING)


def _kept(logits: Tensor, operation: Operation, whole: Tensor) -> Tensor:
    """Which of some logits stay; `whole` are all those that the mass is counted over."""
    match operation.opcode:
        case Opcode.TOP_K:
            keep_ties, most = operation.second, operation.most
            return filters.top_k(
                logits, operation.first, keep_ties, most, cuts_ties=operation.cuts_ties
            )
        case Opcode.TOP_P:
            total = filters.weights(whole).sum(1, keepdim=True)
            return filters.top_p(logits, operation.first, total)
        case Opcode.CUT:
            return cutoffs.cut(logits, operation.needs, operation.values, whole)
        case Opcode.TOP_H:
            return cutoffs.top_h(logits, operation.first, whole)
        case opcode:
            raise ValueError(f"no such opcode: {opcode}")


def _edit(candidates: Candidates, operation: Operation, around: Surroundings) -> Candidates:
    logits, first = candidates.logits, operation.first
    match operation.opcode:
        case Opcode.TEMPERATURE:
            logits = edits.temperature(logits, first, may_overflow=operation.may_overflow)
        case Opcode.DYNAMIC_TEMPERATURE:
            logits = edits.dynamic_temperature(
                logits,
                first,
                operation.second,
                operation.third,
                may_overflow=operation.may_overflow,
            )
        case Opcode.LOGIT_SCALE:
            chosen = candidates.entries_of(operation.token_ids, operation.present)
            logits = edits.logit_scale(logits, chosen, first, operation.second)
        case Opcode.REPETITION_PENALTY:
            seen = around.entries(candidates, operation)
            logits = edits.repetition_penalty(logits, seen, first)
        case Opcode.FREQUENCY_PENALTY:
            seen = around.entries(candidates, operation)
            logits = edits.frequency_penalty(logits, seen, first)
        case Opcode.PRESENCE_PENALTY:
            seen = around.entries(candidates, operation)
            logits = edits.presence_penalty(logits, seen, first)
        case Opcode.LOGIT_BIAS:
            biased = candidates.entries_of(operation.token_ids, operation.present)
            logits = edits.logit_bias(logits, biased, operation.values)
        case Opcode.BITMASK:
            members = candidates.in_bitmask(around.bitmasks.index_select(0, operation.slots))
            return candidates.only(members)
        case Opcode.BITMASK_BIAS:
            members = candidates.in_bitmask(around.bitmasks.index_select(0, operation.slots))
            logits = edits.bitmask_bias(logits, members, first)
        case opcode:
            raise ValueError(f"no such opcode: {opcode}")
    return candidates.of(logits)
