"""The Numba backend: on a CPU, one call a step for the whole batch, rows spread over threads.

A row is read two or three times, in blocks of 256 logits; after the first truncation only the
compact candidates exist, or bounds of the logits that stay. All is compiled once: a row is an
address and a stored format (`formats`), and only the loops over a block have a branch for each
format. `vectors`, `intrinsics`, `blocks` and `weights` are straight-line SIMD code, `passes` and
`survey` the loops over a row, `state` what a row is between two instructions, `masks` and `touched`
edits that are not written into it, `final` what they make of one block at a time, `dense` and
`candidates` the operations before and after the first truncation, `bounds` and `sifting` the search
for what it keeps, `rows` the program's interpreter, `draw` the Gumbel-max, `finish` the draw and
its description, `step` what Python calls, `kernel` the edge, `loading` what keeps a process from
waiting for the compiler.

Nothing outside this package imports its modules but through `loading`: they import Numba.
"""
