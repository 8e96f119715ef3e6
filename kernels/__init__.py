"""Numerical kernels of the decoding step and of grammar masks: arrays in, arrays out.

`program` and `result` define what a pipeline lowers to and what a decoding step returns; `backends`
names the implementations.

`reference`  every operation in float64 for one row, written from its definition: the oracle.
`vector`     NumPy; needs no compiler.
`compiled`   Numba, on a CPU.
`tensor`     torch, on any device.
`gpu`        Triton, on CUDA devices.
`grammar`    Numba: automata over bytes, and walks of the token trie through them.

Tests compare each backend with `reference`. Kernels import nothing of the library but kernels.
"""
