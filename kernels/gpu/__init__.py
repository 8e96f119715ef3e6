"""Triton: tensors on CUDA devices, the common chain in few launches that read each logit once.

`plans` says which programs these are; all others go to torch's kernels. Without a device the
kernels run under Triton's interpreter, if TRITON_INTERPRET was set when triton was imported.
"""
