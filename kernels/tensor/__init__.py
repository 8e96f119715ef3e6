"""The PyTorch backend: any device that has float64, whole groups of rows at a time.

Rows whose programs have the same opcodes run together. Between the first operation and the one copy
of the results back to the host nothing waits for the device, and no Python runs for each row. What
happens on the device and what does not:

    float64         every logit is widened; a device without it (mps) has its rows run on the host,
                    so that its tokens are those of every other backend
    constants       operands, seeds and bitmasks that did not change stay on the device
    history         uploaded whole at every step, up to the longest row, where a program reads it
    truncations     looked for among the `capacity` likeliest tokens; rows where that was not enough
                    to be certain say so in the copied results and are run again in full
"""
