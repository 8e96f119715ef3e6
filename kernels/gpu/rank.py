"""Triton: a second pass over the raw logits, which counts the rank of the drawn token."""

import triton
import triton.language as tl

from decoding.kernels.gpu.finish import FIELDS, OK, RANK, TOKEN_ID
from decoding.kernels.gpu.operations import NOTHING, widened


@triton.jit
def rank(
    raw_logits, raw_row_stride, batch, width, fields,
    ROWS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Add to each row's rank how many raw logits of one slice are larger than its token's."""
    row = (tl.program_id(0) * ROWS + tl.arange(0, ROWS))[:, None].to(tl.int64)
    inside = row < batch
    token = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)[None, :]
    fields += row * FIELDS
    fine = inside & (tl.load(fields, mask=inside, other=1) == OK)
    chosen = tl.load(fields + TOKEN_ID, mask=fine, other=0)
    raw_logits += row * raw_row_stride
    mine = widened(tl.load(raw_logits + chosen, mask=fine, other=0.0))
    here = fine & (token < width)
    raw = widened(tl.load(raw_logits + token, mask=here, other=NOTHING))
    larger = tl.sum((here & (raw > mine)).to(tl.int64), axis=1, keep_dims=True)
    tl.atomic_add(fields + RANK, larger, mask=fine)
